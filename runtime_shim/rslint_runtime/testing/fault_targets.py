"""Finds what a dotted name stands for in a rank, and puts something else in its place wherever it is called."""

from __future__ import annotations

import builtins
import difflib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from rslint_runtime.testing.faults import FaultTargetError
from rslint_runtime.testing.file_names import shown

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

# What is called is a constant of the code, since neither the function's globals nor its closure are ours to add to.
_TRAMPOLINES = {
    "function": "def call(*args, **kwargs):\n  wrapped = '-'\n  return wrapped(*args, **kwargs)",
    "coroutine": "async def call(*args, **kwargs):\n  wrapped = '-'\n  return await wrapped(*args, **kwargs)",
    "generator": "def call(*args, **kwargs):\n  wrapped = '-'\n  return (yield from wrapped(*args, **kwargs))",
    "async generator": (
        "async def call(*args, **kwargs):\n  wrapped = '-'\n"
        "  async for item in wrapped(*args, **kwargs):\n    yield item"
    ),
}
_trampolines: set[CodeType] = set()


def found(name: str, program: ModuleType) -> Any:
    """What the dotted name stands for: in the program, else as an import.

    Raises:
        FaultTargetError: when it is neither.
    """
    owner, last = _owner(name, program)
    return getattr(owner, last)


def replace(target: str, program: ModuleType, wrap: Wrap) -> None:
    """Let every call of the target go to what `wrap` makes of it.

    Raises:
        FaultTargetError: when the target does not exist, cannot be called, or cannot be replaced.
    """
    owner, name = _owner(target, program)
    if not isinstance(owner, (ModuleType, type)):
        _set(owner, name, wrap(_callable(getattr(owner, name), target)), target)
        return
    value = inspect.getattr_static(owner, name, None) or getattr(owner, name)
    if isinstance(value, type):
        owner, name = value, _constructor(value)
        value = inspect.getattr_static(owner, name)
    function = _callable(_function_of(value), target)
    if isinstance(function, FunctionType) and name in vars(owner):
        _redirect(function, wrap)
        return
    wrapped: Any = wrap(function)
    if isinstance(value, (staticmethod, classmethod, property, functools.cached_property)):
        wrapped = _rewrapped(value, wrapped)
    _set(owner, name, wrapped, target)
    if isinstance(owner, ModuleType):
        _replace_references(value, wrapped)


def _constructor(kind: type) -> str:
    # A class that makes its objects in __new__ alone would be refused the arguments, had it an __init__ as well.
    as_of_object = {
        name: inspect.getattr_static(kind, name) is inspect.getattr_static(object, name)
        for name in ("__init__", "__new__")
    }
    return "__new__" if as_of_object["__init__"] and not as_of_object["__new__"] else "__init__"


def kind_of(function: Callable[..., Any]) -> str:
    """`function`, `coroutine`, `generator` or `async generator`."""
    if inspect.isasyncgenfunction(function):
        return "async generator"
    if inspect.iscoroutinefunction(function):
        return "coroutine"
    return "generator" if inspect.isgeneratorfunction(function) else "function"


def _redirect(function: FunctionType, wrap: Wrap) -> None:
    """Change the function itself, so that whoever holds it, under whatever name, calls the wrapped one."""
    original = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(original, function)
    del original.__wrapped__  # type: ignore[attr-defined]
    original.__kwdefaults__ = function.__kwdefaults__
    wrapped = wrap(original)
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    function.__defaults__ = None
    function.__kwdefaults__ = None
    function.__code__ = _trampoline(function.__code__, kind_of(original), wrapped)


def _trampoline(code: CodeType, kind: str, wrapped: Callable[..., Any]) -> CodeType:
    """Code that calls `wrapped`, with as many free variables as `code`: a function's closure cannot be changed."""
    names = code.co_freevars
    source = _TRAMPOLINES[kind]
    if names:
        source = source.replace("\n", f"\n  if 0: {', '.join(names)}\n", 1)
        lines = "".join(f"  {line}\n" for line in source.splitlines())
        source = f"def around():\n  {' = '.join(names)} = None\n{lines}"
    made = _code_named("call", compile(source, code.co_filename, "exec"))
    made = made.replace(
        co_consts=tuple(wrapped if constant == "-" else constant for constant in made.co_consts),
        co_name=code.co_name,
        co_firstlineno=code.co_firstlineno,
    )
    if sys.version_info >= (3, 11):
        made = made.replace(co_qualname=code.co_qualname)
    _trampolines.add(made)
    return made


def is_trampoline(code: CodeType) -> bool:
    """Whether it stands where a function's own code stood and only passes the call on."""
    return code in _trampolines


def _code_named(name: str, code: CodeType) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            return constant if constant.co_name == name else _code_named(name, constant)
    raise AssertionError(f"no code named {name}")


def _function_of(value: Any) -> Any:
    """The function inside a descriptor."""
    if isinstance(value, (staticmethod, classmethod)):
        return value.__func__
    if isinstance(value, property):
        return value.fget
    return value.func if isinstance(value, functools.cached_property) else value


def _rewrapped(value: Any, wrapped: Any) -> Any:
    if isinstance(value, property):
        return property(wrapped, value.fset, value.fdel, value.__doc__)
    return type(value)(wrapped)


def _callable(value: Any, target: str) -> Callable[..., Any]:
    if not callable(value):
        raise FaultTargetError(f"fault target {target!r} is not a function")
    function: Callable[..., Any] = value
    return function


def _set(owner: Any, name: str, value: Any, target: str) -> None:
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError):
        raise FaultTargetError(
            f"fault target {target!r} cannot be replaced: {getattr(owner, '__name__', type(owner).__name__)} is "
            'written in C. Name a function of yours that calls it, or say where it is called: at="file.py:12"'
        ) from None


def _owner(target: str, program: ModuleType) -> tuple[Any, str]:
    """The module, class or object that holds the target, and the attribute's name."""
    *path, name = target.split(".")
    inside = _attribute(program, path)
    if _has(inside, name):
        return inside, name
    imported = _imported(path)
    if _has(imported, name):
        return imported, name
    built_in = _attribute(builtins, path)
    if _has(built_in, name):
        return built_in, name
    raise FaultTargetError(
        f"fault target {target!r} cannot be resolved: neither in {_file_of(program)} nor as a dotted name"
        + _suggestion(target, program)
    )


def _file_of(program: ModuleType) -> str:
    """What its author knows it by: the name it has here may be made up."""
    file = getattr(program, "__file__", None)
    return shown(file) if file else program.__name__


def _suggestion(target: str, program: ModuleType) -> str:
    """The program's functions and methods that are spelled like it."""
    known: list[str] = []
    for name, value in vars(program).items():
        if inspect.isroutine(value):
            known.append(name)
        elif isinstance(value, type):
            known += [f"{name}.{method}" for method, held in vars(value).items() if inspect.isroutine(held)]
    near = difflib.get_close_matches(target, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _has(owner: Any, name: str) -> bool:
    try:
        inspect.getattr_static(owner, name)
    except AttributeError:
        # What a module or an object makes up when it is asked (`__getattr__`).
        return owner is not None and not isinstance(owner, type) and hasattr(owner, name)
    return owner is not None


def _imported(path: list[str]) -> Any:
    for length in range(len(path), 0, -1):
        name = ".".join(path[:length])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only "no such module" is an answer; a module that exists and fails to import must say so.
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                continue
            raise
        return _attribute(module, path[length:])
    return None


def _attribute(start: Any, path: list[str]) -> Any:
    for part in path:
        start = getattr(start, part, None)
    return start


def _replace_references(original: Any, wrapped: Any) -> None:
    """`from os import replace` copies the reference; the copies count as calls of the same function."""
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict):
            continue
        for name, value in list(namespace.items()):
            if value is original:
                namespace[name] = wrapped

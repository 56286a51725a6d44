"""How a function gets to a rank: by name where the rank's own import finds it, else as code and captured values.

A rank loads the program's module afresh. A function at its top level is looked up there. A lambda, a function
nested in a test or a decorated one is rebuilt over that fresh module, from its code object and the pickles of
what it has captured. Both ends run the same interpreter from the same files, so code objects fit.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import marshal
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What pytest's rewritten assert statements refer to, by the names it puts into a module.
_ASSERTION_NAMES = {"@py_builtins": "builtins", "@pytest_ar": "_pytest.assertion.rewrite"}


@dataclass(frozen=True)
class Sent:
    """A function on its way to the ranks.

    Attributes:
        program: the file of its module.
        module_name: under which name ranks load that file.
        qualname: where in the module the function stands, or its name if `pickled` holds it.
        pickled: the function by value, else None.
        modules: name and file of every module whose functions are in `pickled`.
    """

    program: str
    module_name: str
    qualname: str
    pickled: bytes | None
    modules: tuple[tuple[str, str], ...]


def sent(fn: Callable[..., Any]) -> Sent:
    """Decide how `fn` travels.

    Raises:
        TypeError: when it cannot be sent; the text says what is in the way and what to do.
    """
    anchor = _anchor(fn)
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    try:
        program = str(Path(inspect.getfile(anchor)).resolve())
    except (TypeError, OSError):
        raise TypeError(
            f"{name} cannot be sent to a rank: it comes from no Python file; "
            "write a function (rank, world_size, *args) that calls it"
        ) from None
    if not Path(program).is_file():
        raise TypeError(
            f"{name} cannot be sent to a rank: its module is no file ({program}), "
            "and ranks load the module afresh; put the function into a file"
        )
    module_name = _loaded_as(anchor.__module__)
    if isinstance(fn, types.FunctionType) and _found_by_name(fn):
        return Sent(program, module_name, fn.__qualname__, None, ())
    try:
        value, modules = pickled(fn)
    except Exception as error:
        raise TypeError(f"{name} cannot be sent to a rank: {_culprit(fn, error)}") from error
    return Sent(program, module_name, name, value, modules)


def pickled(value: Any) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """Like `pickle.dumps`, but takes functions that cannot be imported by name; name and file of their modules."""
    pickler = _Pickler()
    data = pickler.dumps(value)
    return data, tuple(pickler.modules.items())


def _anchor(fn: Any) -> Any:
    """The function or class whose module is the program."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, types.MethodType):
        fn = fn.__func__
    return fn if inspect.isfunction(fn) or inspect.isclass(fn) or inspect.isbuiltin(fn) else type(fn)


def _loaded_as(module_name: str) -> str:
    return "__mp_main__" if module_name == "__main__" else module_name


def _found_by_name(fn: types.FunctionType) -> bool:
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is fn


def _culprit(fn: Any, error: Exception) -> str:
    """What of the function cannot be pickled, as far as that can be told, and what to do."""
    for name, value in _captured(fn):
        try:
            pickled(value)
        except Exception as own:
            return (
                f"it captures {name!r}, a {type(value).__name__}, which cannot be pickled ({own}); "
                "make it inside the function, or pass plain values by args="
            )
    return f"{error}; put it at module level and pass plain values by args="


def _captured(fn: Any) -> Iterator[tuple[str, Any]]:
    while isinstance(fn, functools.partial):
        yield from ((f"argument {position}", value) for position, value in enumerate(fn.args))
        yield from fn.keywords.items()
        fn = fn.func
    if isinstance(fn, types.MethodType):
        yield "self", fn.__self__
    elif isinstance(fn, types.FunctionType):
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            content = _content(cell)
            if content and content[0] is not fn:
                yield name, content[0]
        for value in fn.__defaults__ or ():
            yield "a default value", value


class _Pickler(pickle.Pickler):
    """Takes functions that have no importable name, and modules; notes where those functions come from."""

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        self.modules: dict[str, str] = {}
        super().__init__(self._stream, protocol=5)

    def dumps(self, value: Any) -> bytes:
        self.dump(value)
        return self._stream.getvalue()

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, types.ModuleType):
            return importlib.import_module, (value.__name__,)
        if not isinstance(value, types.FunctionType) or _found_by_name(value):
            return NotImplemented
        module_name = _loaded_as(value.__module__)
        self.modules[module_name] = str(Path(inspect.getfile(value)).resolve())
        # Captured values go into the state: a function may capture itself.
        captured = tuple(_content(cell) for cell in value.__closure__ or ())
        state = (captured, value.__defaults__, value.__kwdefaults__, dict(value.__dict__))
        parts = (
            marshal.dumps(value.__code__),
            module_name,
            value.__name__,
            value.__qualname__,
            len(captured),
        )
        return _function, parts, state, None, None, _complete


def _content(cell: types.CellType) -> tuple[Any, ...]:
    """The value in the cell, none if it has not been assigned yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _function(
    code_bytes: bytes, module_name: str, name: str, qualname: str, captured: int
) -> types.FunctionType:
    """In the rank: the function over its module as loaded here, its captured values still missing."""
    code: types.CodeType = marshal.loads(code_bytes)
    namespace = importlib.import_module(module_name).__dict__
    for global_name in _ASSERTION_NAMES.keys() & set(_names(code)):
        namespace.setdefault(global_name, importlib.import_module(_ASSERTION_NAMES[global_name]))
    cells = tuple(types.CellType() for _ in range(captured))
    function = types.FunctionType(code, namespace, name, None, cells)
    function.__qualname__ = qualname
    return function


def _complete(function: types.FunctionType, state: Any) -> None:
    captured, function.__defaults__, function.__kwdefaults__, attributes = state
    for cell, content in zip(function.__closure__ or (), captured, strict=True):
        if content:
            cell.cell_contents = content[0]
    function.__dict__.update(attributes)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)

"""Make a named function raise, or wait, at its n-th call on one rank, without a change to the program under test."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class FaultTargetError(LookupError):
    """The target, or the type to raise, names nothing that exists in the rank."""


@dataclass(frozen=True)
class Fault:
    """Raise on `rank`, at the `nth` call (from 1) of the function that `target` names; or hold that call back.

    Args:
        rank: global rank on which it fires.
        target: dotted name: `package.module.function`, `package.module.Class.method`, or, within the module of the
            function under test, just `function` or `Class.method`.
        nth: which call raises; the others go through.
        raises: an exception type, an instance, a function without arguments that makes one, or the dotted name of
            a type (resolved as `target` is, builtins included).
        message: argument for the type; "" stands for a text that names the fault.
        holds: a function, or its dotted name, that is called with the call's own arguments instead of raising; the
            call goes on when it comes back. It has to come back by itself, after what it waits for or after a while.
    """

    rank: int
    target: str
    nth: int = 1
    raises: type[BaseException] | BaseException | Callable[[], BaseException] | str = RuntimeError
    message: str = ""
    holds: Callable[..., object] | str | None = None

    def __post_init__(self) -> None:
        if self.rank < 0 or self.nth < 1:
            raise ValueError(f"fault on {self.target!r}: rank counts from 0 and nth from 1")


def install(fault: Fault, program: ModuleType, fired: Callable[[], None]) -> None:
    """Replace the target, wherever loaded modules refer to it; `fired` is called just before it raises.

    Raises:
        FaultTargetError: when target or exception type cannot be found.
    """
    owner, name = _owner(fault.target, program)
    original = inspect.getattr_static(owner, name)
    function = original.__func__ if isinstance(original, (staticmethod, classmethod)) else original
    if not callable(function):
        raise FaultTargetError(f"fault target {fault.target!r} is not a function")
    wrapped: Any = _counting(function, fault, _deed(fault, program), fired)
    if isinstance(original, (staticmethod, classmethod)):
        wrapped = type(original)(wrapped)
    setattr(owner, name, wrapped)
    if isinstance(owner, ModuleType):
        _replace_aliases(original, wrapped)


def _counting(
    function: Callable[..., Any], fault: Fault, deed: Callable[..., object], fired: Callable[[], None]
) -> Callable[..., Any]:
    lock = threading.Lock()
    calls = 0

    def check(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        with lock:
            calls += 1
            due = calls == fault.nth
        if due:
            fired()
            deed(*args, **kwargs)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def counted_coroutine(*args: Any, **kwargs: Any) -> Any:
            check(*args, **kwargs)
            return await function(*args, **kwargs)

        return counted_coroutine

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        check(*args, **kwargs)
        return function(*args, **kwargs)

    return counted


def _deed(fault: Fault, program: ModuleType) -> Callable[..., object]:
    """What happens at the call that is meant: raising, or holding it back."""
    holds: Any = fault.holds
    if isinstance(holds, str):
        owner, name = _owner(holds, program)
        holds = getattr(owner, name)
    if holds is not None:
        if not callable(holds):
            raise FaultTargetError(f"fault on {fault.target!r}: {fault.holds!r} is not a function")
        held: Callable[..., object] = holds
        return held
    make = _exception_maker(fault, program)

    def raising(*args: Any, **kwargs: Any) -> None:
        raise make()

    return raising


def _exception_maker(fault: Fault, program: ModuleType) -> Callable[[], BaseException]:
    raises: Any = fault.raises
    if isinstance(raises, str):
        owner, name = _owner(raises if "." in raises else _qualified_type(raises, program), program)
        raises = getattr(owner, name)
    if isinstance(raises, BaseException):
        return lambda: raises
    if isinstance(raises, type) and issubclass(raises, BaseException):
        kind = raises
        text = fault.message or f"injected at call {fault.nth} of {fault.target} on rank {fault.rank}"
        return lambda: kind(text)
    if callable(raises):
        factory: Callable[[], BaseException] = raises
        return factory
    raise FaultTargetError(f"fault on {fault.target!r}: {fault.raises!r} is no exception")


def _qualified_type(name: str, program: ModuleType) -> str:
    return name if hasattr(program, name) else f"builtins.{name}"


def _owner(target: str, program: ModuleType) -> tuple[Any, str]:
    """The module or class that holds the target, and the attribute's name."""
    *path, name = target.split(".")
    owner = _attribute(program, path)
    if owner is None or not _has(owner, name):
        owner = _imported(path)
    if owner is None or not _has(owner, name):
        raise FaultTargetError(
            f"fault target {target!r} cannot be resolved: neither in {program.__name__} nor as a dotted name"
        )
    return owner, name


def _has(owner: Any, name: str) -> bool:
    try:
        inspect.getattr_static(owner, name)
    except AttributeError:
        return False
    return True


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


def _replace_aliases(original: Any, wrapped: Any) -> None:
    """`from client import start` copies the reference; the copies count as calls of the same function."""
    for module in list(sys.modules.values()):
        namespace = getattr(module, "__dict__", None)
        if not isinstance(namespace, dict):
            continue
        for name, value in list(namespace.items()):
            if value is original:
                namespace[name] = wrapped

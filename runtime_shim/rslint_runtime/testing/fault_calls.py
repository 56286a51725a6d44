"""Counts the calls that a fault is about, and does at those that are meant what the fault says."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
import sysconfig
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rslint_runtime.testing import call_watch
from rslint_runtime.testing.fault_targets import found, is_trampoline, kind_of, replace
from rslint_runtime.testing.faults import UNSET, Fault, FaultTargetError, Setting, Unset

_HARNESS = __name__.rpartition(".")[0]
_STANDARD = sysconfig.get_path("stdlib") + os.sep


def install(fault: Fault, setting: Setting) -> None:
    """Put the fault into this rank.

    Raises:
        FaultTargetError: when target, exception type or function cannot be found, or the target not be replaced.
    """
    deed = _Deed(fault.delays, _function(fault, fault.holds, setting), _end(fault, setting))
    trigger = _Trigger(fault, setting, _function(fault, fault.until, setting))
    if fault.at:
        call_watch.interrupt(fault.at, fault.target, lambda: _watched(trigger, deed))
    else:
        replace(fault.target, setting.program, lambda function: _counting(function, trigger, deed))


@dataclass(frozen=True)
class _Deed:
    """What happens at a call that is meant. UNSET: the call goes on; anything else is what its caller gets."""

    delay: float
    hold: Callable[..., Any] | None
    end: Callable[[], Any]

    def do(self, *args: Any, **kwargs: Any) -> Any:
        time.sleep(self.delay)
        if self.hold is not None:
            self.hold(*args, **kwargs)
        return self.end()

    async def do_awaited(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(self.delay)
        if self.hold is not None:
            held = self.hold(*args, **kwargs)
            if inspect.isawaitable(held):
                await held
        return self.end()


class _Trigger:
    """Which call of this rank it is, and whether the fault is meant for it."""

    def __init__(self, fault: Fault, setting: Setting, ends: Callable[..., Any] | None) -> None:
        self._fault = fault
        self._setting = setting
        self._ends = ends
        self._lock = threading.Lock()
        self._calls = 0
        self._over = False

    def pulled(self, *args: Any, **kwargs: Any) -> bool:
        if self._over or not self._setting.is_on():
            return False
        with self._lock:
            self._calls += 1
            call = self._calls
        if call == 1:
            self._setting.called()
        if not self._fault.meant(call):
            return False
        if self._ends is not None and self._ends(*args, **kwargs):
            self._over = True
            return False
        self._setting.fired()
        return True


def _counting(function: Callable[..., Any], trigger: _Trigger, deed: _Deed) -> Callable[..., Any]:
    """The function with the fault in front of it, of the same kind."""

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        if not _called_by_harness() and trigger.pulled(*args, **kwargs):
            given = deed.do(*args, **kwargs)
            if given is not UNSET:
                return given
        return function(*args, **kwargs)

    @functools.wraps(function)
    async def counted_coroutine(*args: Any, **kwargs: Any) -> Any:
        if trigger.pulled(*args, **kwargs):
            given = await deed.do_awaited(*args, **kwargs)
            if given is not UNSET:
                return given
        return await function(*args, **kwargs)

    @functools.wraps(function)
    def counted_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        given: Any = deed.do(*args, **kwargs) if trigger.pulled(*args, **kwargs) else UNSET
        return (yield from function(*args, **kwargs) if given is UNSET else given)

    @functools.wraps(function)
    async def counted_async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        given: Any = await deed.do_awaited(*args, **kwargs) if trigger.pulled(*args, **kwargs) else UNSET
        if given is not UNSET:
            for item in given:
                yield item
            return
        async for item in function(*args, **kwargs):
            yield item

    return {
        "function": counted,
        "coroutine": counted_coroutine,
        "generator": counted_generator,
        "async generator": counted_async_generator,
    }[kind_of(function)]


def _watched(trigger: _Trigger, deed: _Deed) -> None:
    if trigger.pulled():
        deed.do()


def _called_by_harness() -> bool:
    """Whether what calls, be it by way of Python's own library, is the harness.

    It writes to its sockets and reads /proc in the midst of the program, and the first read with an encoding imports
    that encoding's module, which is opened too.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        # Other faults on the same function stand in between.
        if not is_trampoline(code) and frame.f_globals is not globals():
            if not _is_standard(code.co_filename):
                return str(frame.f_globals.get("__name__", "")).startswith(_HARNESS)
            if code.co_name == "run" and code.co_filename == threading.__file__:
                return False  # a thread's target: the harness only started to watch the thread
        frame = frame.f_back
    return False


def _is_standard(file: str) -> bool:
    return file.startswith(("<frozen ", _STANDARD)) and "site-packages" not in file


def _function(fault: Fault, given: Any, setting: Setting) -> Callable[..., Any] | None:
    """A function given as such or by its dotted name."""
    if given is None:
        return None
    function: Any = found(given, setting.program) if isinstance(given, str) else given
    if not callable(function):
        raise FaultTargetError(f"fault on {fault.target!r}: {given!r} is not a function")
    checked: Callable[..., Any] = function
    return checked


def _end(fault: Fault, setting: Setting) -> Callable[[], Any]:
    """How the call ends: by an exception, with the process, with an answer; or it goes on."""
    kills = fault.kills
    if kills is not None:
        return lambda: _killed(kills)
    if not isinstance(fault.returns, Unset):
        return lambda: fault.returns
    if fault.raises is None and (fault.delays or fault.holds is not None):
        return lambda: UNSET
    make = _exception_maker(fault, setting)

    def raising() -> Any:
        raise make()

    return raising


def _killed(by: int) -> Any:
    os.kill(os.getpid(), by)
    return UNSET  # the program has a handler for that signal


def _exception_maker(fault: Fault, setting: Setting) -> Callable[[], BaseException]:
    raises: Any = RuntimeError if fault.raises is None else fault.raises
    if isinstance(raises, str):
        raises = found(raises, setting.program)
    if isinstance(raises, BaseException):
        return lambda: raises
    if isinstance(raises, type) and issubclass(raises, BaseException):
        kind = raises
        text = fault.message or f"injected at {fault.which()} on rank {setting.rank}"
        try:
            kind(text)
        except Exception as error:
            raise FaultTargetError(
                f"fault on {fault.target or fault.at!r}: {kind.__name__} cannot be made from a message alone "
                f"({error}); give raises= an instance, or a function that makes one"
            ) from None
        return lambda: kind(text)
    if callable(raises):
        factory: Callable[[], BaseException] = raises
        return factory
    raise FaultTargetError(f"fault on {fault.target!r}: {fault.raises!r} is no exception")

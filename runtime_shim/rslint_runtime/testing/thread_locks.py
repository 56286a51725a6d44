"""Locks and waits of the program, for as long as its threads are controlled: they wait by letting others go on."""

from __future__ import annotations

import sys
import threading
import time
import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rslint_runtime.testing.thread_code import is_program, words_of
from rslint_runtime.testing.thread_state import (
    Abandoned,
    Controlled,
    Operation,
    allocate,
    current,
)

if TYPE_CHECKING:
    from rslint_runtime.testing.thread_scheduler import Scheduler

_time, _monotonic, _perf_counter = time.time, time.monotonic, time.perf_counter
_sleep = time.sleep
_EPOCH = 1_600_000_000.0
_swapped = 0


class CooperativeLock:
    """Stands for `threading.Lock`. In a thread that is not controlled it is the lock that it holds inside."""

    def __init__(self) -> None:
        self._lock = allocate()
        maker = current()
        self._scheduler = None if maker is None else maker.scheduler
        self._name = _next_name()
        self._place = _place_of_caller()
        self._notifies = sys._getframe(1).f_code is threading.Condition.wait.__code__
        self.holder: Controlled | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = current()
        if me is None:
            return self._lock.acquire(blocking, timeout)
        scheduler = me.scheduler
        if scheduler.over or self._is_of_another(scheduler):
            return self._acquire_afterwards(me, blocking)
        scheduler.point(me, Operation(me.name, (self._name, True), words=f"takes {self.words()}"))
        if not self._lock.acquire(False):
            if not blocking or not scheduler.wait(me, self._is_free, timeout, lambda: self._waited_for(me)):
                return False
            if not self._lock.acquire(False):
                raise AssertionError("a lock is taken between two turns")
            scheduler.executed(me, Operation(me.name, (self._name, True), words=f"gets {self.words()}"))
        self.holder = me
        return True

    def _acquire_afterwards(self, me: Controlled, blocking: bool) -> bool:
        """In what is unwound, and in finalizers of an earlier run, which keep nobody waiting any more."""
        if not self._lock.acquire(False):
            if not blocking:
                return False
            me.patience -= 1
            if me.patience < 0:
                raise Abandoned
        return True

    def release(self) -> None:
        me = current()
        if me is not None and (me.scheduler.over or self._is_of_another(me.scheduler)):
            if self._lock.locked():
                self._lock.release()
            return
        if me is not None:
            me.scheduler.point(me, Operation(me.name, (self._name, True), words=f"gives back {self.words()}"))
        self.holder = None
        self._lock.release()

    def locked(self) -> bool:
        me = current()
        if me is not None and not self._is_of_another(me.scheduler):
            me.scheduler.point(me, Operation(me.name, (self._name, False), words=f"looks at {self.words()}"))
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _is_owned(self) -> bool:
        """What `threading.Condition` asks: it would try to take the lock otherwise."""
        me = current()
        return self._lock.locked() or (me is not None and me.scheduler.over)

    def _at_fork_reinit(self) -> None:
        self._lock = allocate()

    def words(self) -> str:
        """What a report calls it."""
        return "a notification" if self._notifies else f"the lock of {self._place}"

    def _is_of_another(self, scheduler: Scheduler) -> bool:
        return self._scheduler is not None and self._scheduler is not scheduler

    def _is_free(self) -> bool:
        return not self._lock.locked()

    def _waited_for(self, me: Controlled) -> str:
        if self._notifies or self.holder is None:
            return self.words()
        return f"{self.words()}, which {'it' if self.holder is me else self.holder.name} holds"


def _next_name() -> str:
    global _swapped
    me = current()
    if me is None:
        _swapped += 1
        return f"lock {_swapped}"
    me.locks += 1
    return f"lock {me.name} {me.locks}"


def _place_of_caller() -> str:
    frame = sys._getframe(2)
    while frame is not None and not is_program(frame.f_code.co_filename):
        if frame.f_back is None:
            break
        frame = frame.f_back
    return words_of(frame.f_code, frame.f_lineno)


def _never() -> bool:
    return False


def sleep(seconds: float) -> None:
    """`time.sleep`: nothing but a wait with a timeout, and no time passes by the clock."""
    me = current()
    if me is None or me.quiet:
        _sleep(seconds)
    else:
        me.scheduler.wait(me, _never, max(seconds, 0.0), lambda: f"{seconds} s")


def _clock(real: Any, start: float) -> Any:
    def read() -> float:
        me = current()
        if me is None:
            return float(real())
        me.scheduler.point(me, Operation(me.name, ("clock", False), words="reads the clock"))
        return start + me.scheduler.now

    return read


CLOCKS = {
    "time": _clock(_time, _EPOCH),
    "monotonic": _clock(_monotonic, 0.0),
    "perf_counter": _clock(_perf_counter, 0.0),
}
"""What stands for the functions of `time` that tell the time."""


_join, _is_alive = threading.Thread.join, threading.Thread.is_alive


def controlled_of(thread: threading.Thread) -> Controlled | None:
    """The controlled thread that a Thread has become."""
    return getattr(thread, "_rslint_controlled", None)


def join(thread: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`."""
    me, other = current(), controlled_of(thread)
    if me is None or other is None or other.scheduler is not me.scheduler:
        _join(thread, timeout)
        return
    me.scheduler.point(me, Operation(me.name, (f"thread {other.name}", False), words=f"joins {other.name}"))
    if not other.done:
        me.scheduler.wait(me, lambda: other.done, timeout, lambda: f"the end of {other.name}")


def is_alive(thread: threading.Thread) -> bool:
    """`Thread.is_alive`."""
    me, other = current(), controlled_of(thread)
    if me is None or other is None:
        return _is_alive(thread)
    me.scheduler.point(
        me, Operation(me.name, (f"thread {other.name}", False), words=f"looks at {other.name}")
    )
    return not other.done


def hash_of(thread: threading.Thread) -> int:
    """`Thread.__hash__`: sets of threads, as executors have them, keep one order in all runs."""
    number: int | None = vars(thread).get("_rslint_hash")
    if number is None:
        me = current()
        if me is None:
            number = object.__hash__(thread)
        else:
            me.hashes += 1
            number = zlib.crc32(f"{me.name} {me.hashes}".encode())
        vars(thread)["_rslint_hash"] = number
    return number

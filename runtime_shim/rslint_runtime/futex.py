"""Sleeping until a word of shared memory changes: the futexes of Linux, and plain sleep where there are none.

Nothing rests on a wake-up. A sleeper sleeps for a bounded time and looks again, so one that is missed, or a peer that
dies before it wakes anybody, costs a pause. What it buys: a waiter leaves the CPU at once and is back in microseconds.

Source: futex(2). The kernel finds sleepers by the memory itself, so processes need nothing but the mapping.
"""

from __future__ import annotations

import errno
import platform
import sys
import time
from functools import cache
from typing import Any

__all__ = ["SharedWord"]

_SYSCALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221, "s390x": 238}
_WAIT, _WAKE = 0, 1
_ALL = (1 << 31) - 1
_UNWAKEABLE_SLEEP = 0.001
# What a wait may come back with: woken, changed before, interrupted, time is up. Anything else: not to be had here.
_USUAL = frozenset({errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT})


class SharedWord:
    """Four bytes of a shared mapping, at an offset that four divides, that processes sleep on."""

    def __init__(self, view: memoryview, offset: int) -> None:
        self._bytes = view[offset : offset + 4]
        self._word = _addressable(self._bytes)
        if self._word is not None:
            self._call, ctypes = _futex()
            self._address = ctypes.addressof(self._word)
            self._time = (ctypes.c_long * 2)()
            self._time_address = ctypes.addressof(self._time)

    def load(self) -> int:
        """What is there now, for `sleep`; anything where that cannot be woken."""
        return 0 if self._word is None else int.from_bytes(self._bytes, sys.byteorder)

    def sleep(self, seen: int, seconds: float) -> None:
        """Sleep until somebody wakes who sleeps here, `seconds` at most; not at all where `seen` is not there now.

        Where there are no futexes it sleeps for a millisecond.
        """
        if self._word is None or not self._wait(seen, seconds):
            self._word = None
            time.sleep(min(seconds, _UNWAKEABLE_SLEEP))

    def wake(self) -> None:
        """Wake whoever sleeps here."""
        if self._word is not None:
            self._call(_number(), self._address, _WAKE, _ALL, None, None, 0)

    def close(self) -> None:
        """Let go of the mapping."""
        self._word = None
        self._bytes.release()

    def _wait(self, seen: int, seconds: float) -> bool:
        """Whether the kernel knows how."""
        self._time[0], self._time[1] = int(seconds), int(seconds % 1 * 1e9)
        if self._call(_number(), self._address, _WAIT, seen, self._time_address, None, 0) == 0:
            return True
        return _futex()[1].get_errno() in _USUAL


@cache
def _number() -> int | None:
    """The number of the system call here; None where there is none that is known."""
    return _SYSCALLS.get(platform.machine()) if sys.platform == "linux" else None


def _addressable(view: memoryview) -> Any:
    """The word as the kernel wants it; None where there are no futexes, or a model of memory stands for it."""
    if _number() is None or not isinstance(view, memoryview):
        return None
    return _futex()[1].c_uint32.from_buffer(view)


@cache
def _futex() -> tuple[Any, Any]:
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    pointer = ctypes.c_void_p
    call.argtypes = (ctypes.c_long, pointer, ctypes.c_int, ctypes.c_uint32, pointer, pointer, ctypes.c_uint32)
    return call, ctypes

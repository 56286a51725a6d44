"""A flag and a counter in memory that processes share, stored with release and loaded with acquire.

What was stored to shared memory before `store` is seen by whoever has seen the stored value: `store` puts a fence
before its store, `load` one behind its load (`memory_fence`).

Both wait for single bytes alone. A byte is never seen half stored, whatever the CPU, the compiler and the interpreter
do. Of wider stores Python promises nothing: `struct.pack_into` fills its place with zeros first, slices are copied by
whatever `memmove` does, and `memoryview.cast("Q")` is one instruction only because today's compilers make it one.
"""

from __future__ import annotations

import operator
from typing import Any

from rslint_runtime.order import memory_fence
from rslint_runtime.waiting import BUSY_SECONDS, wait_until, wait_until_async

__all__ = ["SharedCounter", "SharedFlag"]

_COUNTER_WIDTH = 8


class SharedFlag:
    """One byte of a shared buffer as a flag: a value from 0 to 255, zero in a fresh segment.

    `buffer` is any writable buffer of bytes, such as `SharedMemory.buf` or an `mmap`; `offset` says which of its bytes.
    Each process makes its own `SharedFlag` over its own mapping. Any process may store; where several do, the last
    store stays. A process that is killed leaves the flag as it was before its store or as it is after.
    """

    nbytes = 1

    def __init__(self, buffer: Any, offset: int = 0) -> None:
        self._bytes = _window(buffer, offset, self.nbytes, "SharedFlag")

    def store(self, value: int) -> None:
        """Store a value with release: who loads it sees all that this thread has stored before.

        Raises ValueError when it is not within 0 to 255, TypeError when it is no int.
        """
        value = _flag_value(value)
        memory_fence()
        self._bytes[0] = value

    def load(self) -> int:
        """The value, with acquire: what was stored before it is seen by whatever this thread loads next."""
        value = self._bytes[0]
        memory_fence()
        return value

    def set(self) -> None:
        """Store 1."""
        self.store(1)

    def clear(self) -> None:
        """Store 0."""
        self.store(0)

    def is_set(self) -> bool:
        """Whether the value is not 0."""
        return self.load() != 0

    def wait(
        self, value: int = 1, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        """Wait until the flag holds `value`. A value that comes and goes between two looks is missed.

        Raises TimeoutError after `timeout` seconds, None for no limit; it says what the flag holds. Raises ValueError
        for a value that no flag holds.
        """
        value = _flag_value(value)
        if not wait_until(lambda: self.load() == value, timeout, busy_seconds=busy_seconds):
            raise self._late(value, timeout)

    async def wait_async(
        self, value: int = 1, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        """`wait` for asyncio; other tasks run meanwhile."""
        value = _flag_value(value)
        if not await wait_until_async(lambda: self.load() == value, timeout, busy_seconds=busy_seconds):
            raise self._late(value, timeout)

    def _late(self, value: int, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"the flag did not become {value} within {timeout:g} s; it holds {self._bytes[0]}"
        )


class SharedCounter:
    """Seventeen bytes of a shared buffer as a counter from 0 to 2**64 - 1, zero in a fresh segment.

    One process stores, any number loads. A load never gives a mixture of two values, and a writer that is killed at any
    step leaves the value from before or the one from after. There are two copies of eight bytes and a byte that counts
    stores: its lowest bit tells which copy holds. A store writes the other copy, then counts. A load that the counting
    byte has changed under begins again; it would be fooled only by exactly 256 stores, or a multiple, between two of
    its steps.
    """

    nbytes = 1 + 2 * _COUNTER_WIDTH

    def __init__(self, buffer: Any, offset: int = 0) -> None:
        self._bytes = _window(buffer, offset, self.nbytes, "SharedCounter")

    def store(self, value: int) -> None:
        """Store a value with release: who loads it sees all that this thread has stored before.

        Raises ValueError when it is not within 0 to 2**64 - 1, TypeError when it is no int.
        """
        value = _whole(value, "SharedCounter")
        if not 0 <= value < 2 ** (8 * _COUNTER_WIDTH):
            raise ValueError(f"a SharedCounter holds 0 to 2**64 - 1, not {value}")
        data = value.to_bytes(_COUNTER_WIDTH, "little")
        stores = (self._bytes[0] + 1) % 256
        start = _copy_start(stores)
        # The copy was the valid one until the last store; that store has to be seen before this copy changes.
        memory_fence()
        self._bytes[start : start + _COUNTER_WIDTH] = data
        memory_fence()
        self._bytes[0] = stores

    def add(self, amount: int = 1) -> int:
        """Store the value plus `amount`, and return it. Not atomic: only the one process that stores may add."""
        value = self.load() + amount
        self.store(value)
        return value

    def load(self) -> int:
        """The value, with acquire: what was stored before it is seen by whatever this thread loads next."""
        while True:
            stores = self._bytes[0]
            start = _copy_start(stores)
            memory_fence()
            data = bytes(self._bytes[start : start + _COUNTER_WIDTH])
            memory_fence()
            if self._bytes[0] == stores:
                return int.from_bytes(data, "little")

    def wait(self, at_least: int, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS) -> int:
        """Wait until the counter holds at least `at_least`, and return what it holds.

        Raises TimeoutError after `timeout` seconds, None for no limit; it says what the counter holds.
        """
        at_least = _whole(at_least, "SharedCounter")
        if not wait_until(lambda: self.load() >= at_least, timeout, busy_seconds=busy_seconds):
            raise self._late(at_least, timeout)
        return self.load()

    async def wait_async(
        self, at_least: int, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> int:
        """`wait` for asyncio; other tasks run meanwhile."""
        at_least = _whole(at_least, "SharedCounter")
        if not await wait_until_async(lambda: self.load() >= at_least, timeout, busy_seconds=busy_seconds):
            raise self._late(at_least, timeout)
        return self.load()

    def _late(self, at_least: int, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"the counter did not reach {at_least} within {timeout:g} s; it holds {self.load()}"
        )


def _copy_start(stores: int) -> int:
    return 1 + _COUNTER_WIDTH * (stores & 1)


def _flag_value(value: int) -> int:
    value = _whole(value, "SharedFlag")
    if not 0 <= value <= 255:
        raise ValueError(f"a SharedFlag holds 0 to 255, not {value}; SharedCounter holds more")
    return value


def _whole(value: int, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"a {what} holds an int, not {value!r}") from None


def _window(buffer: Any, offset: int, size: int, what: str) -> memoryview:
    """The bytes of a flag. What is a view already is sliced as it is, since a model of memory may stand for it."""
    view: memoryview = buffer if hasattr(buffer, "readonly") else memoryview(buffer)
    if view.readonly or view.itemsize != 1:
        raise TypeError(f"{what} needs a writable buffer of bytes")
    if not 0 <= offset <= len(view) - size:
        raise ValueError(f"{what} takes {size} bytes at offset {offset}; the buffer has {len(view)}")
    return view[offset : offset + size]

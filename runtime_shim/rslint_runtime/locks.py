"""Values that can be reached only while their lock is held.

    sessions = Guarded({})

    with sessions as held:
        held.value[key] = Session(key)
    held.value  # ReleasedError: the lock is not held any more

An attribute beside its lock is guarded by convention, and the convention is forgotten in the one function that reads
the entry inside and uses it outside of the `with` (RS201, RS202). Here the value has no other name than `held.value`,
as in Rust, where a Mutex holds its value and the guard is the way to it.

Python cannot take back what was copied out: `sessions = held.value` inside of the block is a second name for the value,
which works for ever. `held.lent` is for whoever wants a name: it stands for the value until the lock is released, and
raises afterwards. `read` and `update` call a function with the value and keep it from getting a name at all.

asyncio is imported by what is used inside of a coroutine, where it is there already.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from rslint_runtime.lent_values import Lent
from rslint_runtime.waiting import checked_timeout

__all__ = ["AsyncGuarded", "Guarded", "Held", "ReleasedError"]

GuardedT = TypeVar("GuardedT")
ResultT = TypeVar("ResultT")


class ReleasedError(RuntimeError):
    """A guarded value was used through a handle whose lock has been released."""


class Held(Generic[GuardedT]):
    """The way to a guarded value while its lock is held; afterwards each use raises ReleasedError."""

    __slots__ = ("_box",)

    def __init__(self, box: list[GuardedT]) -> None:
        """Give access to the one item of `box` until `_release`; Guarded and AsyncGuarded do."""
        self._box: list[GuardedT] | None = box

    @property
    def value(self) -> GuardedT:
        """The guarded value; assign to it to put another in its place."""
        return self._open()[0]

    @value.setter
    def value(self, value: GuardedT) -> None:
        self._open()[0] = value

    @property
    def lent(self) -> GuardedT:
        """A stand-in for the value, to be named and passed on: using it after the release raises ReleasedError.

        Not covered: what is taken out of it (an item, an attribute), which is not stood in for. See `lent_values`.
        """
        self._open()
        return cast(GuardedT, Lent(lambda: self._open()[0]))

    def _open(self) -> list[GuardedT]:
        if self._box is None:
            raise ReleasedError("the lock of this value has been released: take it again, and look again")
        return self._box

    def _release(self) -> None:
        self._box = None

    def __repr__(self) -> str:
        return "<Held, released>" if self._box is None else f"<Held {type(self._box[0]).__name__}>"


class Guarded(Generic[GuardedT]):
    """A value behind a lock of threads; `with guarded as held` is the only way to it.

    The lock is not re-entrant: a thread that holds it and asks again is told so by a RuntimeError instead of waiting
    for itself. As with every lock of threads, a child forked while another thread holds it finds it held for ever.
    """

    def __init__(self, value: GuardedT) -> None:
        self._box = [value]
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._held: Held[GuardedT] | None = None

    def __enter__(self) -> Held[GuardedT]:
        return self._acquire(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @contextlib.contextmanager
    def lock(self, timeout: float | None = None) -> Iterator[Held[GuardedT]]:
        """As `with guarded`, waiting no longer than `timeout` seconds; TimeoutError when it was not free by then.

        None and infinity set no limit; a number below 0, or NaN, is a ValueError.
        """
        held = self._acquire(timeout)
        try:
            yield held
        finally:
            self._release()

    def read(self, function: Callable[[GuardedT], ResultT]) -> ResultT:
        """What `function` makes of the value, called under the lock.

        Raises TypeError when that is the value itself, which would leave its lock: return a copy.
        """
        with self as held:
            return _not_itself(function(held.value), held.value)

    def update(self, change: Callable[[GuardedT], GuardedT]) -> None:
        """Put what `change` makes of the value in its place, under the lock; as it was if `change` raises."""
        with self as held:
            held.value = change(held.value)

    def _acquire(self, timeout: float | None) -> Held[GuardedT]:
        limit = checked_timeout(timeout)
        thread = threading.get_ident()
        if self._thread == thread:
            raise RuntimeError("this thread holds the lock of this value already and would wait for itself")
        if not self._lock.acquire(timeout=-1 if limit is None else limit):
            raise TimeoutError(f"another thread has held the lock of this value for {timeout:g} s")
        self._thread = thread
        self._held = Held(self._box)
        return self._held

    def _release(self) -> None:
        if self._held is not None:
            self._held._release()
        self._held = self._thread = None
        self._lock.release()

    def __repr__(self) -> str:
        return f"<Guarded {type(self._box[0]).__name__}{', held' if self._lock.locked() else ''}>"


class AsyncGuarded(Generic[GuardedT]):
    """A value behind a lock of asyncio tasks; `async with guarded as held` is the only way to it.

    A task that is cancelled while it waits does not get the lock, and one that is cancelled inside gives it back. A
    task that holds it and asks again is told so by a RuntimeError. Use it within one event loop; for a timeout use
    `asyncio.timeout` or `asyncio.wait_for` around it.
    """

    def __init__(self, value: GuardedT) -> None:
        import asyncio

        self._box = [value]
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._held: Held[GuardedT] | None = None

    async def __aenter__(self) -> Held[GuardedT]:
        import asyncio

        task = asyncio.current_task()
        if task is not None and self._task is task:
            raise RuntimeError("this task holds the lock of this value already and would wait for itself")
        await self._lock.acquire()
        self._task = task
        self._held = Held(self._box)
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without an await: a task that is cancelled here still gives the lock back.
        if self._held is not None:
            self._held._release()
        self._held = self._task = None
        self._lock.release()

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[Held[GuardedT]]:
        """As `async with guarded`."""
        async with self as held:
            yield held

    async def read(self, function: Callable[[GuardedT], ResultT]) -> ResultT:
        """What `function` makes of the value, called under the lock; it does not await.

        Raises TypeError when that is the value itself, which would leave its lock: return a copy.
        """
        async with self as held:
            return _not_itself(function(held.value), held.value)

    async def update(self, change: Callable[[GuardedT], GuardedT]) -> None:
        """Put what `change` makes of the value in its place, under the lock; as it was if `change` raises."""
        async with self as held:
            held.value = change(held.value)

    def __repr__(self) -> str:
        return f"<AsyncGuarded {type(self._box[0]).__name__}{', held' if self._lock.locked() else ''}>"


_IMMUTABLE = (int, float, complex, str, bytes, bool, type(None), frozenset)


def _not_itself(result: ResultT, value: object) -> ResultT:
    # Values that cannot be changed may leave: nothing is shared through them.
    if cast(object, result) is value and not isinstance(value, _IMMUTABLE):
        raise TypeError(
            f"read() would let the guarded {type(value).__name__} out of its lock: return a copy, or a part of it"
        )
    return result

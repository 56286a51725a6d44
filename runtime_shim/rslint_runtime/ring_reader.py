"""A reading end of a ring: waits for the next message, lends it out, and acknowledges it with one byte."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any

from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, PeerDiedError
from rslint_runtime.ring_layout import (
    ATTACHED,
    CLOSED,
    COUNT,
    EXPECTED,
    JOINING,
    OVERFLOWED,
    SLOT_HEADER,
    SLOT_HEADER_SIZE,
    WRITER_CELL,
)
from rslint_runtime.ring_members import WRITER_PLACE, RingMember
from rslint_runtime.ring_messages import object_of
from rslint_runtime.ring_overflow import OverflowReader
from rslint_runtime.waiting import wait_until, wait_until_async

__all__ = ["RingReader"]


class RingReader:
    """One reader of a ring. Get it from `ShmRing.reader`. For one thread, or one task, at a time."""

    def __init__(self, name: str, rank: int, *, busy_seconds: float) -> None:
        if rank < 0:
            raise ValueError(f"ring {name} has readers from 0 on, not {rank}")
        self._member = RingMember(name, 1 + rank)
        self._layout, self._view, self._cell = self._member.layout, self._member.view, self._member.cell
        self._hold, self._busy = self._member.hold, busy_seconds
        self._modulus = self._layout.modulus
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._overflow = OverflowReader()
        self._read = self._ready = 0
        self._lent = False
        state = self._view[self._cell]
        if state in (ATTACHED, JOINING):
            self._member.leave(None)
            raise ConnectionError(
                f"ring {name}: {self._member.peer(1 + rank)} died there; the writer has to drop it before its place is "
                "taken again (drop_dead_readers)"
            )
        self._admitted = state == EXPECTED
        self._member.come_in(ATTACHED if self._admitted else JOINING)

    # Reading ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def read(self, timeout: float | None = None) -> Iterator[memoryview]:
        """Lend the next message, as it stands in the ring, for the time of the block; then acknowledge it."""
        self._need_message(timeout)
        with self._lend() as view:
            yield view

    @contextlib.asynccontextmanager
    async def read_async(self, timeout: float | None = None) -> AsyncIterator[memoryview]:
        """`read` for asyncio. Cancelled while it waits, it leaves the message unread."""
        await self._need_message_async(timeout)
        with self._lend() as view:
            yield view

    def receive(self, timeout: float | None = None) -> Any:
        """The next message as the object that was sent, or as bytes if bytes were written."""
        self._need_message(timeout)
        return self._taken()

    async def receive_async(self, timeout: float | None = None) -> Any:
        """`receive` for asyncio. Cancelled, it leaves the message unread."""
        await self._need_message_async(timeout)
        return self._taken()

    def __iter__(self) -> Iterator[Any]:
        """All messages to the end, as `receive` gives them."""
        with contextlib.suppress(EOFError):
            while True:
                yield self.receive()

    async def __aiter__(self) -> AsyncIterator[Any]:
        with contextlib.suppress(EOFError):
            while True:
                yield await self.receive_async()

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    # Closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave; the writer does not wait for this reader any more. Doing it twice is harmless."""
        self._overflow.close()
        self._member.leave(CLOSED)

    def __enter__(self) -> RingReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Inside -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._hold.fd < 0:
            self._member.refuse()
        if self._lent:
            raise RuntimeError("a message of this reader is being read; leave its block before the next one")

    def _need_message(self, timeout: float | None) -> None:
        self._check()
        if not self._ready and not wait_until(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy
        ):
            raise self._nothing_came(timeout)
        self._need_more()

    async def _need_message_async(self, timeout: float | None) -> None:
        self._check()
        if not self._ready and not await wait_until_async(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy
        ):
            raise self._nothing_came(timeout)
        self._check()
        self._need_more()

    def _need_more(self) -> None:
        if not self._ready:
            raise EOFError(f"ring {self._member.name}: the writer has closed it, and everything is read")

    @contextlib.contextmanager
    def _lend(self) -> Iterator[memoryview]:
        self._lent = True
        try:
            with self._message()[1] as view:
                yield view
        finally:
            self._lent = False
            self._acknowledge()

    def _taken(self) -> Any:
        try:
            kind, view = self._message()
            with view:
                return object_of(kind, view)
        finally:
            self._acknowledge()

    def _message(self) -> tuple[int, memoryview]:
        """Kind and bytes of the next message, where they stand."""
        slot = self._read % self._layout.slots
        start = self._starts[slot]
        kind, name_length, size = struct.unpack_from(SLOT_HEADER, self._view, start)
        body = start + SLOT_HEADER_SIZE
        if kind < OVERFLOWED:
            self._overflow.drop(slot)
            return kind, self._view[body : body + size]
        name = bytes(self._view[body : body + name_length]).decode()
        try:
            return kind - OVERFLOWED, self._overflow.open(slot, name, size)
        except FileNotFoundError:
            self._watch_writer(pending=False)
            raise EOFError(
                f"ring {self._member.name} was removed before this message was read; flush the writer first"
            ) from None

    def _acknowledge(self) -> None:
        # This process's own count first: an exception between the two lines may delay the acknowledgement, but never
        # has the message read twice.
        self._ready -= 1
        self._read = (self._read + 1) % self._modulus
        memory_fence()
        self._view[self._cell + COUNT] = self._read

    def _arrived(self) -> bool:
        """Whether there is a message, or none will ever come."""
        if self._available():
            return True
        if self._view[WRITER_CELL] != CLOSED:
            return False
        memory_fence()
        self._available()
        return True

    def _available(self) -> bool:
        if not self._admitted:
            if self._view[self._cell] != ATTACHED:
                return False
            memory_fence()
            self._read = self._view[self._cell + COUNT]
            self._admitted = True
        written = self._view[WRITER_CELL + COUNT]
        if written == self._read:
            return False
        memory_fence()
        self._ready = (written - self._read) % self._modulus
        return True

    def _watch_writer(self, *, pending: bool = True) -> None:
        """Raise PeerDiedError when the writer has died and has left no message behind; also one, if not `pending`."""
        if self._member.has_died(WRITER_PLACE) and not (pending and self._available()):
            writer = self._member.peer(WRITER_PLACE)
            raise PeerDiedError(f"ring {self._member.name}: {writer} died", (writer,))

    def _nothing_came(self, timeout: float | None) -> TimeoutError:
        writer = self._member.peer(WRITER_PLACE)
        has = f"{writer} wrote nothing" if writer.pid else "no writer has come"
        return TimeoutError(f"ring {self._member.name}: {has} within {timeout} seconds")

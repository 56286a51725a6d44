"""A reading end of a ring: waits for the next message, lends it out, and acknowledges it with one byte."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import AsyncIterator, Iterator
from functools import partial
from types import TracebackType
from typing import Any

from rslint_runtime.futex import SharedWord
from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, PeerDiedError
from rslint_runtime.ring_borrowed import Borrowed
from rslint_runtime.ring_layout import (
    ADMITTED,
    ATTACHED,
    CLOSED,
    COUNT,
    EXPECTED,
    FAILED,
    JOINING,
    OVERFLOWED,
    SLEEPER,
    SLOT_HEADER,
    SLOT_HEADER_SIZE,
    TICKET,
    WRITER_CELL,
)
from rslint_runtime.ring_members import WRITER_PLACE, RingMember
from rslint_runtime.ring_messages import object_of
from rslint_runtime.ring_overflow import OverflowReader
from rslint_runtime.waiting import checked_timeout, wait_until, wait_until_async

__all__ = ["RingReader"]


class RingReader:
    """One reader of a ring, from `ShmRing.reader`. For one thread at a time; tasks of one event loop may share it.

    A message is acknowledged once it has been read, whether or not what was done with it raised; the writer may use its
    slot again from then on. As a context manager it leaves the ring; left with an exception it counts as failed, and
    the writer is told (not with one that just ends the task or process: CancelledError, KeyboardInterrupt, SystemExit).

    What waits raises:
        EOFError: the writer has closed the ring, and this reader has read everything.
        PeerDiedError: the writer has died or failed, and this reader has read what it had sent before.
        TimeoutError: no message within `timeout` seconds; None waits for ever, but not for the dead.
        ValueError: this reader is closed, or was opened by a parent process; a timeout below 0, or NaN.
    """

    def __init__(self, name: str, rank: int, *, busy_seconds: float) -> None:
        if rank < 0:
            raise ValueError(f"ring {name} has readers from 0 on, not {rank}")
        self._member = RingMember(name, 1 + rank)
        self._layout, self._view, self._cell = self._member.layout, self._member.view, self._member.cell
        self._hold, self._busy = self._member.hold, busy_seconds
        self._modulus = self._layout.modulus
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._overflow = OverflowReader()
        self._read, self._ready, self._lent = 0, 0, False
        self._writer_word = SharedWord(self._view, WRITER_CELL)
        self._come_in()

    def _come_in(self) -> None:
        state = self._view[self._cell]
        if state in (ATTACHED, JOINING, FAILED):
            before = self._member.peer(self._member.place)
            self._member.leave(None)
            raise ConnectionError(
                f"ring {self._member.name}: {before} was there and is lost; its place is free again when the "
                "writer has dropped it (drop_dead_readers)"
            )
        self._admitted = state == EXPECTED
        if not self._admitted:
            self._view[self._cell + TICKET] = (self._view[self._cell + TICKET] + 1) % 256
        self._member.come_in(ATTACHED if self._admitted else JOINING)

    # Reading ------------------------------------------------------------------------------------------------

    def read(self, timeout: float | None = None) -> Borrowed:
        """Lend the next message, as it stands in the ring, for the time of a block; then acknowledge it.

            with reader.read(timeout=5) as view:
                handle(view)

        The view is released at the end of the block. What was made of it and shares its memory, such as a slice or an
        array, must not be used any more: the writer stores the next message there. An object that was sent is seen in
        its pickled form. Waits when the block is entered.
        """
        return Borrowed(partial(self._borrow, timeout), self._give_back)

    @contextlib.asynccontextmanager
    async def read_async(self, timeout: float | None = None) -> AsyncIterator[memoryview]:
        """`read` for asyncio. Cancelled while it waits, it leaves the message unread."""
        await self._need_message_async(timeout)
        with Borrowed(self._lend, self._give_back) as view:
            yield view

    def receive(self, timeout: float | None = None) -> Any:
        """The next message as the object that was sent, or as bytes where bytes were written.

        The object owns its memory. Unpickling runs what the sender says, so the writer has to be trusted; what it
        raises is raised here, and the message counts as read.
        """
        self._need_message(timeout)
        return self._taken()

    async def receive_async(self, timeout: float | None = None) -> Any:
        """`receive` for asyncio. Cancelled, it leaves the message unread."""
        await self._need_message_async(timeout)
        return self._taken()

    def __iter__(self) -> Iterator[Any]:
        """All messages to the end, as `receive` gives them."""
        while self._need_message(None, end_is_error=False):
            yield self._taken()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while await self._need_message_async(None, end_is_error=False):
            yield self._taken()

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    # Closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave; the writer does not wait for this reader any more. Doing it twice is harmless.

        Raises RuntimeError while a message is being read.
        """
        self._leave(None)

    def __enter__(self) -> RingReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error if isinstance(error, Exception) else None)

    def _leave(self, error: BaseException | None) -> None:
        self._refuse_while_lent()
        self._overflow.close()
        self._writer_word.close()
        self._member.leave(CLOSED if error is None else FAILED, error)

    # Waiting ------------------------------------------------------------------------------------------------

    def _check(self, timeout: float | None = None) -> None:
        checked_timeout(timeout)
        if self._hold.fd < 0:
            self._member.refuse()
        self._refuse_while_lent()

    def _refuse_while_lent(self) -> None:
        if self._lent:
            raise RuntimeError("a message of this reader is still being read; leave its block first")

    def _need_message(self, timeout: float | None, *, end_is_error: bool = True) -> bool:
        self._check(timeout)
        if not self._ready and not wait_until(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._nothing_came(timeout)
        return self._ready > 0 or self._end(end_is_error)

    async def _need_message_async(self, timeout: float | None, *, end_is_error: bool = True) -> bool:
        self._check(timeout)
        if not self._ready and not await wait_until_async(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy
        ):
            raise self._nothing_came(timeout)
        self._check()
        return self._ready > 0 or self._end(end_is_error)

    def _end(self, is_error: bool) -> bool:
        if self._member.is_lost(WRITER_PLACE):
            raise self._writer_lost()
        if is_error:
            raise EOFError(f"ring {self._member.name}: its writer has closed it, and everything is read")
        return False

    def _sleep(self, seconds: float) -> None:
        """Sleep until the writer wakes its readers."""
        self._view[WRITER_CELL + SLEEPER] = 1
        seen = self._writer_word.load()
        if not self._arrived():
            self._writer_word.sleep(seen, seconds)

    def _arrived(self) -> bool:
        """Whether there is a message, or none will ever come."""
        if self._available():
            return True
        if self._view[WRITER_CELL] not in (CLOSED, FAILED):
            return False
        memory_fence()
        self._available()
        return True

    def _available(self) -> bool:
        """Look how many messages there are."""
        if not self._admitted:
            if self._view[self._cell + ADMITTED] != self._view[self._cell + TICKET]:
                return False
            memory_fence()
            self._read = self._view[self._cell + COUNT]
            self._admitted = True
            self._view[self._cell] = ATTACHED
        written = self._view[WRITER_CELL + COUNT]
        if written == self._read:
            return False
        memory_fence()
        self._ready = (written - self._read) % self._modulus
        return True

    def _watch_writer(self) -> None:
        """Raise PeerDiedError when the writer is lost and has left no message behind."""
        if self._member.is_lost(WRITER_PLACE) and not self._available():
            raise self._writer_lost()

    def _writer_lost(self) -> PeerDiedError:
        return PeerDiedError(self._member.name, (self._member.peer(WRITER_PLACE),))

    def _nothing_came(self, timeout: float | None) -> TimeoutError:
        writer = self._member.peer(WRITER_PLACE)
        has = f"{writer} wrote nothing" if writer.pid else "no writer has come"
        return TimeoutError(f"ring {self._member.name}: {has} within {timeout:g} s")

    # One message --------------------------------------------------------------------------------------------

    def _borrow(self, timeout: float | None) -> memoryview:
        self._need_message(timeout)
        return self._lend()

    def _lend(self) -> memoryview:
        """The next message, which is there; `_give_back` follows."""
        self._lent = True
        try:
            return self._message()[1]
        except BaseException:
            self._lent = False
            self._acknowledge()
            raise

    def _give_back(self, view: memoryview) -> None:
        """The message is read. Raises BufferError, after that, where something still uses the view."""
        self._lent = False
        try:
            view.release()
        except BufferError:
            raise BufferError(
                f"something made of a message of ring {self._member.name} is used beyond its block; copy it there"
            ) from None
        finally:
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
            if self._member.is_lost(WRITER_PLACE):
                raise self._writer_lost() from None
            raise ConnectionError(
                f"ring {self._member.name} was removed before a long message was read; flush its writer before"
            ) from None

    def _acknowledge(self) -> None:
        # This process's own count first: an exception between the two lines may delay the acknowledgement, but never
        # has the message read twice.
        self._ready -= 1
        self._read = (self._read + 1) % self._modulus
        memory_fence()
        self._view[self._cell + COUNT] = self._read
        # A writer that sleeps is woken when it can write many messages, not for each: that would be a turn for each.
        if self._view[self._cell + SLEEPER] and 2 * self._ready <= self._layout.slots:
            self._view[self._cell + SLEEPER] = 0
            self._member.word.wake()

"""The writing end of a ring: waits for a free slot, fills it, and publishes it with one byte."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from rslint_runtime.futex import SharedWord
from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, PeerDiedError, SlowReaderError
from rslint_runtime.ring_layout import (
    ATTACHED,
    BYTES,
    CLOSED,
    COUNT,
    DROPPED,
    EXPECTED,
    FAILED,
    JOINING,
    OVERFLOWED,
    SLEEPER,
    SLOT_HEADER,
    SLOT_HEADER_SIZE,
    WRITER_CELL,
)
from rslint_runtime.ring_members import WRITER_PLACE, RingMember
from rslint_runtime.ring_messages import lay_out, pickled_frames, sized
from rslint_runtime.ring_overflow import OverflowWriter
from rslint_runtime.waiting import wait_until, wait_until_async

__all__ = ["RingWriter"]

_LOOK_SECONDS = 0.1
_READING = (EXPECTED, ATTACHED, FAILED)


class RingWriter:
    """The one writer of a ring, from `ShmRing.writer`. For one thread at a time; tasks of one event loop may share it.

    A message is published by the store of one byte. A writer that is killed, cancelled or interrupted anywhere has sent
    the whole message or nothing of it. As a context manager it leaves the ring; left with an exception it counts as
    failed, and readers are told instead of finding the end.

    What waits raises:
        SlowReaderError: no slot became free within `timeout` seconds, since the readers it names do not read or have
            not come; None waits for ever, but not for the dead. Nothing has been sent.
        PeerDiedError: a reader has died or failed. Nothing has been sent. `drop_dead_readers` goes on without it; a
            writer that was opened with `drop_dead_readers=True` does so by itself.
        BrokenPipeError: every reader has left, or was dropped.
        OSError: there is no memory for a message longer than a slot. Nothing has been sent.
        ValueError: this writer is closed, or was opened by a parent process.
    """

    def __init__(self, name: str, *, drop_dead_readers: bool, busy_seconds: float) -> None:
        self._member = RingMember(name, WRITER_PLACE)
        if self._member.view[WRITER_CELL] != EXPECTED:
            before = self._member.peer(WRITER_PLACE)
            self._member.leave(None)
            raise ConnectionError(f"ring {name} has had its {before}, and has only one; make a new ring")
        self._hold = self._member.hold
        self._layout, self._view = self._member.layout, self._member.view
        self._drop_dead, self._busy = drop_dead_readers, busy_seconds
        self._written = self._free = 0
        self._look_at = 0.0
        self._filling = False
        self._overflow = OverflowWriter()
        self._modulus = self._layout.modulus
        self._slot_bytes = self._layout.slot_bytes
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._cells = [self._layout.reader_cell(rank) for rank in range(self._layout.readers)]
        self._words = [SharedWord(self._view, cell) for cell in self._cells]
        self._member.come_in(ATTACHED)

    # Writing ------------------------------------------------------------------------------------------------

    def write(self, data: Any, timeout: float | None = None) -> None:
        """Send bytes, or any other contiguous buffer, to every reader. Waits until a slot is free."""
        data, size = sized(data)
        self._need_slot(timeout)
        self._store(BYTES, (data,), size)

    def send(self, value: object, timeout: float | None = None) -> None:
        """Send an object, pickled, to every reader. Raises what `write` and pickling raise; then nothing is sent."""
        kind, parts, size = lay_out(pickled_frames(value))
        self._need_slot(timeout)
        self._store(kind, parts, size)

    @contextlib.contextmanager
    def reserve(self, size: int, timeout: float | None = None) -> Iterator[memoryview]:
        """`size` bytes of the ring to be filled in the block; the message is sent when the block ends.

        A block that raises sends nothing. What the bytes held before is undefined.
        """
        self._need_slot(timeout)
        self._filling = True
        try:
            with self._open(BYTES, size) as view:
                yield view
            self._publish()
        finally:
            self._filling = False

    async def write_async(self, data: Any, timeout: float | None = None) -> None:
        """`write` for asyncio. Cancelled, it has sent the whole message or nothing."""
        data, size = sized(data)
        await self._need_slot_async(timeout)
        self._store(BYTES, (data,), size)

    async def send_async(self, value: object, timeout: float | None = None) -> None:
        """`send` for asyncio. Cancelled, it has sent the whole message or nothing."""
        kind, parts, size = lay_out(pickled_frames(value))
        await self._need_slot_async(timeout)
        self._store(kind, parts, size)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every reader has read everything, those too that have not come yet. Raises what `write` raises."""
        self._check()
        if not wait_until(
            self._all_read, timeout, watch=self._look, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._too_slow(timeout, "has not read everything")

    async def flush_async(self, timeout: float | None = None) -> None:
        """`flush` for asyncio."""
        self._check()
        if not await wait_until_async(self._all_read, timeout, watch=self._look, busy_seconds=self._busy):
            raise self._too_slow(timeout, "has not read everything")

    # Readers ------------------------------------------------------------------------------------------------

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    def drop_dead_readers(self) -> tuple[Peer, ...]:
        """Go on without the readers that have died or failed, and return who they were. Their places are free again."""
        self._check()
        dead = self._dead()
        for peer in dead:
            assert peer.rank is not None
            self._view[self._cells[peer.rank]] = DROPPED
        self._free = 0
        return dead

    # Closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave. Readers read what has been sent, and then find the end. Doing it twice is harmless.

        Raises RuntimeError while a message is being written.
        """
        self._leave(None)

    def __enter__(self) -> RingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        self._refuse_while_filling()
        self._overflow.close()
        for word in self._words:
            word.close()
        self._member.leave(CLOSED if error is None else FAILED, error)

    # Inside -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._hold.fd < 0:
            self._member.refuse()
        self._refuse_while_filling()

    def _refuse_while_filling(self) -> None:
        if self._filling:
            raise RuntimeError(
                f"a message of ring {self._member.name} is still being written; leave its block first"
            )

    def _need_slot(self, timeout: float | None) -> None:
        self._check()
        self._look_now_and_then()
        if not self._free and not wait_until(
            self._found_free, timeout, watch=self._look, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._too_slow(timeout, "left no slot free")

    async def _need_slot_async(self, timeout: float | None) -> None:
        self._check()
        self._look_now_and_then()
        if not self._free and not await wait_until_async(
            self._found_free, timeout, watch=self._look, busy_seconds=self._busy
        ):
            raise self._too_slow(timeout, "left no slot free")
        self._check()

    def _store(self, kind: int, parts: Sequence[Any], size: int) -> None:
        """Fill a slot and publish it. Without a `finally`: what raises before the last line has sent nothing."""
        with self._open(kind, size) as view:
            start = 0
            for part in parts:
                end = start + len(part)
                view[start:end] = part
                start = end
        self._publish()

    def _open(self, kind: int, size: int) -> memoryview:
        """Where the next message goes, `size` bytes; its header is written."""
        slot = self._written % self._layout.slots
        start = self._starts[slot]
        body = start + SLOT_HEADER_SIZE
        if size <= self._slot_bytes:
            self._overflow.drop(slot)
            struct.pack_into(SLOT_HEADER, self._view, start, kind, 0, size)
            return self._view[body : body + size]
        name, view = self._overflow.open(slot, size)
        self._view[body : body + len(name)] = name.encode()
        struct.pack_into(SLOT_HEADER, self._view, start, kind | OVERFLOWED, len(name), size)
        return view

    def _publish(self) -> None:
        # This process's own count first: an exception between the two lines may delay the message, but never has
        # the next one written over it.
        self._free -= 1
        self._written = (self._written + 1) % self._modulus
        memory_fence()
        self._view[WRITER_CELL + COUNT] = self._written
        if self._view[WRITER_CELL + SLEEPER]:
            self._view[WRITER_CELL + SLEEPER] = 0
            self._member.word.wake()

    def _sleep(self, seconds: float) -> None:
        """Sleep until the slowest reader has read a message and wakes the writer."""
        behind = self._most_behind()
        for cell, word in zip(self._cells, self._words, strict=True):
            if behind > 0 and self._behind(cell) == behind:
                self._view[cell + SLEEPER] = 1
                seen = word.load()
                if self._behind(cell) == behind:
                    word.sleep(seen, seconds)
                return

    def _found_free(self) -> bool:
        # No fence between these loads and the stores to a slot that they allow: stores wait for the branch.
        most = self._most_behind()
        if most < 0:
            self._look()
        self._free = self._layout.slots - max(most, 0)
        return self._free > 0

    def _all_read(self) -> bool:
        return self._most_behind() <= 0

    def _most_behind(self) -> int:
        """How far the slowest reader is behind, the lost among them; -1 where nobody is to be waited for."""
        return max(map(self._behind, self._cells))

    def _behind(self, cell: int) -> int:
        if self._view[cell] not in _READING:
            return -1
        return (self._written - self._view[cell + COUNT]) % self._modulus

    def _look_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look()

    def _look(self) -> None:
        """Notice who died, take in who joins. Raises PeerDiedError and BrokenPipeError."""
        dead = self._dead()
        if dead and self._drop_dead:
            self.drop_dead_readers()
        elif dead:
            raise PeerDiedError(self._member.name, dead)
        for cell in self._cells:
            if self._view[cell] == JOINING:
                self._view[cell + COUNT] = self._written
                memory_fence()
                self._view[cell] = ATTACHED
        if all(self._view[cell] in (CLOSED, DROPPED) for cell in self._cells):
            raise BrokenPipeError(f"ring {self._member.name}: no reader is left")

    def _dead(self) -> tuple[Peer, ...]:
        places = range(1, 1 + self._layout.readers)
        return tuple(self._member.peer(place) for place in places if self._member.is_lost(place))

    def _too_slow(self, timeout: float | None, what: str) -> SlowReaderError:
        most = self._most_behind()
        behind = tuple(peer for peer in self._member.everybody()[1:] if peer.behind and peer.behind == most)
        names = ", ".join(f"{peer} ({peer.state}, {peer.behind} behind)" for peer in behind) or "a reader"
        return SlowReaderError(f"ring {self._member.name}: {names} {what} within {timeout} seconds", behind)

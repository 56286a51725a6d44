"""The writing end of a ring: waits for a free slot, fills it, and publishes it with one byte."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer
from rslint_runtime.ring_audience import Audience
from rslint_runtime.ring_layout import (
    ATTACHED,
    BYTES,
    CLOSED,
    COUNT,
    EXPECTED,
    FAILED,
    OVERFLOWED,
    SLEEPER,
    SLOT_HEADER,
    SLOT_HEADER_SIZE,
    WRITER_CELL,
)
from rslint_runtime.ring_members import WRITER_PLACE, RingMember
from rslint_runtime.ring_messages import LARGE, message_of, sized
from rslint_runtime.ring_overflow import OverflowWriter
from rslint_runtime.waiting import checked_timeout, wait_until, wait_until_async

__all__ = ["RingWriter"]

_LOOK_SECONDS = 0.1


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
        ValueError: this writer is closed, or was opened by a parent process; a timeout below 0, or NaN.
    """

    def __init__(self, name: str, *, drop_dead_readers: bool, busy_seconds: float) -> None:
        self._member = RingMember(name, WRITER_PLACE)
        if self._member.view[WRITER_CELL] != EXPECTED:
            before = self._member.peer(WRITER_PLACE)
            self._member.leave(None)
            raise ConnectionError(f"ring {name} has had its {before}, and has only one; make a new ring")
        self._hold = self._member.hold
        self._layout, self._view = self._member.layout, self._member.view
        self._busy = busy_seconds
        self._written = self._free = 0
        self._look_at = 0.0
        self._filling = self._large = False
        self._overflow = OverflowWriter()
        self._modulus = self._layout.modulus
        self._slot_bytes = self._layout.slot_bytes
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._audience = Audience(self._member, drop_lost=drop_dead_readers)
        self._member.come_in(ATTACHED)

    # Writing ------------------------------------------------------------------------------------------------

    def write(self, data: Any, timeout: float | None = None) -> None:
        """Send bytes, or any other contiguous buffer, to every reader. Waits until a slot is free."""
        data, size = sized(data)
        self._need_slot(timeout)
        self._store(BYTES, (data,), size)

    def send(self, value: object, timeout: float | None = None) -> None:
        """Send an object, pickled, to every reader. Raises what `write` and pickling raise; then nothing is sent."""
        kind, parts, size = message_of(value, large=self._large)
        self._large = size > LARGE
        self._need_slot(timeout)
        self._store(kind, parts, size)

    @contextlib.contextmanager
    def reserve(self, size: int, timeout: float | None = None) -> Iterator[memoryview]:
        """`size` bytes of the ring to be filled in the block; the message is sent when the block ends.

        A block that raises sends nothing. What the bytes held before is undefined.
        """
        if size < 0:
            raise ValueError(f"a message has 0 bytes or more, not {size}")
        self._need_slot(timeout)
        self._filling = True
        try:
            with self._open(BYTES, size) as view:
                yield view
            self._publish()
        finally:
            self._filling = False

    async def write_async(self, data: Any, timeout: float | None = None) -> None:
        """`write` for asyncio. Cancelled, it has sent the whole message or nothing.

        `data` must not be changed before it comes back, since it is copied only then.
        """
        data, size = sized(data)
        await self._need_slot_async(timeout)
        self._store(BYTES, (data,), size)

    async def send_async(self, value: object, timeout: float | None = None) -> None:
        """`send` for asyncio. Cancelled, it has sent the whole message or nothing.

        Buffers in `value` must not be changed before it comes back, since they are copied only then.
        """
        kind, parts, size = message_of(value, large=self._large)
        self._large = size > LARGE
        await self._need_slot_async(timeout)
        self._store(kind, parts, size)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every reader has read everything, those too that have not come yet. Raises what `write` raises."""
        self._check()
        if not wait_until(
            self._all_read, timeout, watch=self._look, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._audience.too_slow(self._written, timeout, "has not read everything")

    async def flush_async(self, timeout: float | None = None) -> None:
        """`flush` for asyncio."""
        self._check()
        if not await wait_until_async(self._all_read, timeout, watch=self._look, busy_seconds=self._busy):
            raise self._audience.too_slow(self._written, timeout, "has not read everything")

    # Readers ------------------------------------------------------------------------------------------------

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    def drop_dead_readers(self) -> tuple[Peer, ...]:
        """Go on without the readers that have died or failed, and return who they were. Their places are free again."""
        self._check()
        lost = self._audience.lost()
        self._audience.drop(lost)
        return lost

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
        self._audience.close()
        self._member.leave(CLOSED if error is None else FAILED, error)

    # Inside -------------------------------------------------------------------------------------------------

    def _check(self, timeout: float | None = None) -> None:
        checked_timeout(timeout)
        if self._hold.fd < 0:
            self._member.refuse()
        self._refuse_while_filling()

    def _refuse_while_filling(self) -> None:
        if self._filling:
            raise RuntimeError("a message of this writer is still being written; leave its block first")

    def _need_slot(self, timeout: float | None) -> None:
        self._check(timeout)
        self._look_now_and_then()
        if not self._free and not wait_until(
            self._found_free,
            timeout,
            watch=self._look_for_somebody,
            busy_seconds=self._busy,
            sleep=self._sleep,
        ):
            raise self._audience.too_slow(self._written, timeout, "left no slot free")

    async def _need_slot_async(self, timeout: float | None) -> None:
        self._check(timeout)
        self._look_now_and_then()
        if not self._free and not await wait_until_async(
            self._found_free, timeout, watch=self._look_for_somebody, busy_seconds=self._busy
        ):
            raise self._audience.too_slow(self._written, timeout, "left no slot free")
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
        self._audience.sleep(self._written, seconds)

    def _found_free(self) -> bool:
        # No fence between these loads and the stores to a slot that they allow: stores wait for the branch.
        self._free = self._audience.free_slots(self._written)
        return self._free > 0

    def _all_read(self) -> bool:
        return self._audience.most_behind(self._written) <= 0

    def _look(self) -> None:
        self._audience.look(self._written)

    def _look_for_somebody(self) -> None:
        self._look()
        self._audience.need_somebody()

    def _look_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look_for_somebody()

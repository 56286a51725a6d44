"""A ring of messages in shared memory: one writer, many readers, and nobody waits for the dead.

Every reader gets every message, in order. There are as many places for readers as the ring was made with, and messages
stay until all who are expected there have read them; so it does not matter who comes first. What is promised when whom
is killed stands in docs/guarantees/order.md.

The shape of the bug that it replaces: a ring whose flags are ordered by no fence and whose waits end only when the peer
is there (https://github.com/vllm-project/vllm/pull/29819).
"""

from __future__ import annotations

import os
import struct
from types import TracebackType
from typing import Any

from rslint_runtime.ring_layout import OVERFLOWED, SLOT_HEADER, SLOT_HEADER_SIZE, RingLayout
from rslint_runtime.ring_overflow import remove_overflow
from rslint_runtime.ring_reader import RingReader
from rslint_runtime.ring_writer import RingWriter
from rslint_runtime.segment_handle import Segment
from rslint_runtime.segments import create
from rslint_runtime.waiting import BUSY_SECONDS

__all__ = ["ShmRing"]


class ShmRing:
    """A ring, known by its name; only the name travels when it is pickled.

    with ShmRing.create(readers=2) as ring:
        start_two_processes(ring)
        with ring.writer() as writer:
            writer.send({"step": 1})
            writer.flush()

    # in the processes
    with ring.reader(rank) as reader:
        for message in reader:
            ...
    """

    def __init__(self, name: str) -> None:
        """A ring that another process has made. Whether it is there shows when an end of it is opened."""
        self.name = name
        self._creator = -1
        self._segment: Segment | None = None

    @classmethod
    def create(
        cls, readers: int, *, slots: int = 16, slot_bytes: int = 1 << 16, label: str = "ring"
    ) -> ShmRing:
        """Make a ring; this process owns its memory, and as a context manager removes it.

        It takes a little more than `slots * slot_bytes` bytes of /dev/shm, reserved at once. A message that is longer
        than a slot takes a segment of its own.

        Args:
            readers: places for readers, ranks 0 to `readers - 1`.
            slots: messages that may be under way before the writer waits, up to 128.
            slot_bytes: the longest message in bytes that a slot holds by itself, 128 or more.
            label: part of the name.

        Raises:
            TypeError: for measures that are no ints.
            ValueError: for measures that make no ring.
            OSError: there is not so much memory, or this is not Linux.
        """
        for what, value in (("readers", readers), ("slots", slots), ("slot_bytes", slot_bytes)):
            _need_int(what, value)
        layout = RingLayout(readers, slots, slot_bytes)
        segment = create(layout.size, label)
        ring = cls(segment.name)
        ring._segment, ring._creator = segment, os.getpid()
        layout.store(segment.buf)
        return ring

    def writer(self, *, drop_dead_readers: bool = False, busy_seconds: float = 0) -> RingWriter:
        """Open the writing end, in the process that is to write; once for a ring.

        `drop_dead_readers` goes on without readers that have died or failed, instead of raising PeerDiedError.
        `busy_seconds` is how long a wait for a free slot looks again and again before it sleeps until it is woken.

        Raises:
            FileNotFoundError: the ring has been removed.
            ConnectionError: it has, or has had, a writer.
            ValueError: there is no ring under that name.
            OSError: this is not Linux.
        """
        return RingWriter(self.name, drop_dead_readers=drop_dead_readers, busy_seconds=busy_seconds)

    def reader(self, rank: int, *, busy_seconds: float = BUSY_SECONDS) -> RingReader:
        """Open a reading end, in the process that is to read.

        The first reader of a rank finds all messages from the first one on. One that comes after another has closed, or
        was dropped, finds what is written from then on.

        `busy_seconds` is how long a wait for a message looks again and again, yielding the CPU, before it sleeps until
        it is woken; longer pays where CPUs have nothing else to do and microseconds matter. Where yielding shows that
        others want the CPU, it sleeps at once.

        Raises:
            FileNotFoundError: the ring has been removed.
            ConnectionError: there is a reader of that rank, or one was lost and is not dropped yet.
            TypeError: for a rank that is no int.
            ValueError: for a rank that the ring does not have, or where there is no ring under that name.
            OSError: this is not Linux.
        """
        _need_int("rank", rank)
        return RingReader(self.name, rank, busy_seconds=busy_seconds)

    def unlink(self) -> None:
        """Remove the ring, and long messages that nobody has come to; for its owner, elsewhere nothing happens.

        Ends that are open go on with what they have mapped. Flush the writer before, or wait for the readers to end.
        """
        segment, self._segment = self._segment, None
        if segment is None or self._creator != os.getpid():
            return
        layout = RingLayout.load(segment.buf, self.name)
        for slot in range(layout.slots):
            start = layout.slot_start(slot)
            kind, length, _ = struct.unpack_from(SLOT_HEADER, segment.buf, start)
            if kind >= OVERFLOWED:
                body = start + SLOT_HEADER_SIZE
                remove_overflow(bytes(segment.buf[body : body + length]))
        segment.unlink()
        segment.close()

    def __enter__(self) -> ShmRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlink()

    def __reduce__(self) -> tuple[Any, ...]:
        return ShmRing, (self.name,)


def _need_int(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"ShmRing: {what} is an int, not {value!r}")

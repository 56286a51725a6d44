"""A ring of messages in shared memory: one writer, many readers, and nobody waits for the dead."""

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
    """A ring by its name; only the name travels when it is pickled.

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
        self.name = name
        self._creator = -1
        self._segment: Segment | None = None

    @classmethod
    def create(
        cls, readers: int, *, slots: int = 16, slot_bytes: int = 1 << 16, label: str = "ring"
    ) -> ShmRing:
        layout = RingLayout(readers, slots, slot_bytes)
        segment = create(layout.size, label)
        ring = cls(segment.name)
        ring._segment, ring._creator = segment, os.getpid()
        layout.store(segment.buf)
        return ring

    def writer(self, *, drop_dead_readers: bool = False, busy_seconds: float = BUSY_SECONDS) -> RingWriter:
        return RingWriter(self.name, drop_dead_readers=drop_dead_readers, busy_seconds=busy_seconds)

    def reader(self, rank: int, *, busy_seconds: float = BUSY_SECONDS) -> RingReader:
        return RingReader(self.name, rank, busy_seconds=busy_seconds)

    def unlink(self) -> None:
        """Remove the ring and what overflowed from it. Members keep what they have mapped."""
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

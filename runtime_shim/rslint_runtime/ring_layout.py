"""Where what stands in the segment of a ring: header, one cell a member, slots.

    header      magic, number of readers, of slots, bytes a slot
    writer      state, how many messages are written, whether a reader sleeps, pid, why it failed
    reader 0    state, how many messages are read, whether the writer sleeps, pid, why it failed
    …
    slot 0      kind, size of the message, the message or the name of the segment that holds it
    …

What members wait for is single bytes, which are never seen half stored: a state, and a count of messages modulo a
multiple of the number of slots, at least two times it, so that full and empty differ and a count names its slot. All
else is read behind a fence after such a byte. State and count stand in one word, on which sleeps who waits for the
member.

Each member stores to its own cell, a cache line of its own. A reader that joins while messages are under way gets its
count from the writer: it stores a ticket, the writer stores where it begins, and then the same ticket. Besides, the
writer marks a reader that is gone as dropped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = [
    "ADMITTED",
    "ATTACHED",
    "BYTES",
    "CELL",
    "CLOSED",
    "COUNT",
    "DROPPED",
    "EXPECTED",
    "FAILED",
    "JOINING",
    "OVERFLOWED",
    "PICKLE",
    "PICKLE_WITH_BUFFERS",
    "PID",
    "REASON",
    "REASON_BYTES",
    "REASON_LENGTH",
    "SLEEPER",
    "SLOT_HEADER",
    "SLOT_HEADER_SIZE",
    "STATE_NAMES",
    "TICKET",
    "WRITER_CELL",
    "RingLayout",
]

MOST_SLOTS = 128
MOST_READERS = 4096
LEAST_SLOT_BYTES = 128  # the name of an overflow segment has to fit

# States of a member.
EXPECTED, JOINING, ATTACHED, CLOSED, FAILED, DROPPED = range(6)
STATE_NAMES = ("expected", "joining", "attached", "closed", "failed", "dropped")

# Kinds of a message.
BYTES, PICKLE, PICKLE_WITH_BUFFERS = range(3)
OVERFLOWED = 128

CELL = 64
WRITER_CELL = CELL
COUNT = 1
REASON_LENGTH = 2
SLEEPER = 4
TICKET = 5
ADMITTED = 6
PID = 8
REASON = 16
REASON_BYTES = CELL - REASON
SLOT_HEADER = "<BxxxIQ"  # kind, length of the name of the overflow segment, size
SLOT_HEADER_SIZE = 16

_MAGIC = b"rs-ring1"
_HEADER = "<8sIIQ"


@dataclass(frozen=True)
class RingLayout:
    """The measures of a ring, as its creator chose them and as its header says.

    Attributes:
        readers: how many places for readers there are.
        slots: how many messages may be under way.
        slot_bytes: the longest message, in bytes, that a slot holds by itself.
    """

    readers: int
    slots: int
    slot_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.readers <= MOST_READERS:
            raise ValueError(f"a ring has 1 to {MOST_READERS} readers, not {self.readers}")
        if not 1 <= self.slots <= MOST_SLOTS:
            raise ValueError(f"a ring has 1 to {MOST_SLOTS} slots, not {self.slots}")
        if self.slot_bytes < LEAST_SLOT_BYTES:
            raise ValueError(f"a slot has at least {LEAST_SLOT_BYTES} bytes, not {self.slot_bytes}")

    @property
    def modulus(self) -> int:
        """Counts of messages are taken modulo this; they fit a byte."""
        return self.slots * (256 // self.slots)

    @property
    def stride(self) -> int:
        """From one slot to the next."""
        return -(-(SLOT_HEADER_SIZE + self.slot_bytes) // CELL) * CELL

    @property
    def slots_start(self) -> int:
        return WRITER_CELL + CELL + self.readers * CELL

    @property
    def size(self) -> int:
        """Bytes of the segment."""
        return self.slots_start + self.slots * self.stride

    def reader_cell(self, rank: int) -> int:
        return WRITER_CELL + CELL + rank * CELL

    def slot_start(self, slot: int) -> int:
        return self.slots_start + slot * self.stride

    def store(self, view: memoryview) -> None:
        """Write the header of a segment that nobody else knows yet."""
        struct.pack_into(_HEADER, view, 0, _MAGIC, self.readers, self.slots, self.slot_bytes)

    @classmethod
    def load(cls, view: memoryview, name: str) -> RingLayout:
        """Read the header. Raises ValueError where no ring is."""
        if len(view) >= struct.calcsize(_HEADER):
            magic, readers, slots, slot_bytes = struct.unpack_from(_HEADER, view, 0)
            if magic == _MAGIC:
                return cls(readers, slots, slot_bytes)
        raise ValueError(f"the segment {name} holds no ring of this version")

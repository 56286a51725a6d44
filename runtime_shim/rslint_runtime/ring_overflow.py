"""Messages that are longer than a slot: each slot may have a segment of its own beside the ring.

The slot carries the segment's name in place of the message. The writer makes a segment when it needs one, uses it again
for the slot's next long message, and removes it when a short one follows; so memory follows what is sent.
"""

from __future__ import annotations

import contextlib
import os

from rslint_runtime.segment_handle import Segment
from rslint_runtime.segment_names import generation_of, segment_path
from rslint_runtime.segments import attach, create

__all__ = ["OverflowReader", "OverflowWriter", "remove_overflow"]

# A segment this many times larger than a message is not used for it: one giant would stay for ever.
_WASTE = 4
_SMALL_SEGMENT = 1 << 20


class OverflowWriter:
    """The writer's side: which slot has which segment."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}

    def open(self, slot: int, size: int) -> tuple[str, memoryview]:
        """The name of the segment for the slot's next message, and where the message goes.

        Raises OSError when there is no memory for it; then the slot has no segment.
        """
        known = self._segments.get(slot)
        if known is None or not size <= known.size <= max(_SMALL_SEGMENT, _WASTE * size):
            self.drop(slot)
            known = self._segments[slot] = create(size, "ring-overflow")
        return known.name, known.buf[:size]

    def drop(self, slot: int) -> None:
        """Remove the slot's segment; its readers are done."""
        if self._segments and (known := self._segments.pop(slot, None)) is not None:
            known.unlink()
            known.close()

    def close(self) -> None:
        """Give all back. The segments stay for readers that have not come to them yet, until the ring is removed."""
        for segment in self._segments.values():
            if segment.owner:  # which a forked child is not
                segment.hand_over()
            segment.close()
        self._segments.clear()


def remove_overflow(name: bytes) -> None:
    """Remove the segment that a slot names. A writer that was killed may have left half a name, or none."""
    whole = name.decode("ascii", errors="replace")
    if generation_of(whole) is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment_path(whole))


class OverflowReader:
    """A reader's side: the segments it has attached, by slot."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}

    def open(self, slot: int, name: str, size: int) -> memoryview:
        """The message. Raises FileNotFoundError when its segment has been removed."""
        known = self._segments.get(slot)
        if known is None or known.name != name:
            self.drop(slot)
            known = self._segments[slot] = attach(name, rank=-1)
        return known.buf[:size]

    def drop(self, slot: int) -> None:
        """Give back the mapping of a slot whose segment is not used any more."""
        if self._segments and (known := self._segments.pop(slot, None)) is not None:
            known.close()

    def close(self) -> None:
        for slot in list(self._segments):
            self.drop(slot)

"""Messages that are longer than a slot: each slot may have a segment of its own beside the ring.

The slot carries the segment's name in place of the message. The writer makes a segment when it needs one, uses it again
for the slot's next long message, and removes it when a short one follows; so memory follows what is sent. The name is
stored to the slot before there is such a segment, so that whoever removes the ring finds what a writer that was killed
has left.
"""

from __future__ import annotations

from typing import Any

from rslint_runtime.ring_segment import attach_segment, make_segment, remove_segment

__all__ = ["OverflowReader", "OverflowWriter"]

# A segment this many times larger than a message is not used for it: one giant would stay for ever.
_WASTE = 4
_SMALLEST_SEGMENT = 1 << 20


class OverflowWriter:
    """The writer's side: which slot has which segment."""

    def __init__(self, ring: str) -> None:
        self._ring, self._made = ring, 0
        self._segments: dict[int, Any] = {}

    def name_for(self, slot: int, size: int) -> str:
        """The name under which the slot's next message of `size` bytes will stand."""
        known = self._segments.get(slot)
        if known is not None and size <= known.size <= max(_SMALLEST_SEGMENT, _WASTE * size):
            return str(known.name)
        self.drop(slot)
        self._made += 1
        return f"{self._ring}-{slot}-{self._made}"

    def view(self, slot: int, name: str, size: int) -> memoryview:
        """Where the message goes. Raises OSError when there is no memory for it."""
        known = self._segments.get(slot)
        if known is None:
            known = self._segments[slot] = make_segment(name, size)
        view: memoryview = known.buf[:size]
        return view

    def drop(self, slot: int) -> None:
        """Remove the slot's segment; its readers are done."""
        if (known := self._segments.pop(slot, None)) is not None:
            known.close()
            remove_segment(known.name)

    def close(self) -> None:
        """Give back the mappings. The segments stay for readers that have not come to them yet."""
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()


class OverflowReader:
    """A reader's side: the segments it has attached, by slot."""

    def __init__(self) -> None:
        self._segments: dict[int, Any] = {}

    def view(self, slot: int, name: str, size: int) -> memoryview:
        """The message. Raises FileNotFoundError when its segment has been removed."""
        known = self._segments.get(slot)
        if known is None or known.name != name:
            self.drop(slot)
            known = self._segments[slot] = attach_segment(name)
        view: memoryview = known.buf[:size]
        return view

    def drop(self, slot: int) -> None:
        """Give back the mapping of a slot whose segment is not used any more."""
        if (known := self._segments.pop(slot, None)) is not None:
            known.close()

    def close(self) -> None:
        for slot in list(self._segments):
            self.drop(slot)

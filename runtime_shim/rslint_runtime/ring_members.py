"""What writer and readers of a ring have in common: a mapping, a place, and the question who else is there."""

from __future__ import annotations

import os
import struct
import traceback

from rslint_runtime.futex import SharedWord
from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, Place, is_held
from rslint_runtime.ring_layout import (
    ATTACHED,
    COUNT,
    EXPECTED,
    FAILED,
    JOINING,
    PID,
    REASON,
    REASON_BYTES,
    REASON_LENGTH,
    STATE_NAMES,
    WRITER_CELL,
    RingLayout,
)
from rslint_runtime.segment_names import segment_path
from rslint_runtime.segments import attach

__all__ = ["WRITER_PLACE", "RingMember"]

WRITER_PLACE = 0


class RingMember:
    """One process's mapping of a ring with the place it has taken there: 0 is the writer's, 1 + rank a reader's."""

    def __init__(self, name: str, place: int) -> None:
        """Raises FileNotFoundError when the ring has been removed, ValueError for a place that it has not, and
        ConnectionError when the place is taken or cannot be taken any more."""
        self.name, self.place = name, place
        self._segment = attach(name, rank=place - 1)
        try:
            self.view: memoryview = self._segment.buf
            self.layout = RingLayout.load(self.view, name)
            if not 0 <= place <= self.layout.readers:
                raise ValueError(f"ring {name} has readers 0 to {self.layout.readers - 1}, not {place - 1}")
            self.cell = self._cell(place)
            self.word = SharedWord(self.view, self.cell)
            self.hold = self._taken()
        except BaseException:
            self._segment.close()
            raise

    def _taken(self) -> Place:
        try:
            return Place(segment_path(self.name), self.place)
        except BlockingIOError:
            pass
        raise ConnectionError(f"ring {self.name} has a {self.peer(self.place)} already")

    def come_in(self, state: int) -> None:
        """Tell the others who is here, then that somebody is."""
        struct.pack_into("<Q", self.view, self.cell + PID, os.getpid())
        memory_fence()
        self.view[self.cell] = state

    def leave(self, state: int | None, error: BaseException | None = None) -> None:
        """Give the place back; `state` is what the others find, None to change nothing. Harmless when done twice."""
        if self.hold.fd >= 0:
            if error is not None:
                self._tell(error)
            if state is not None:
                # Who sees the end must see the last message, and why it failed.
                memory_fence()
                self.view[self.cell] = state
                # Who finds the place free must find the state as well; the kernel's lock orders the two, a model of
                # memory does not know that.
                memory_fence()
                self.word.wake()
            self.hold.release()
            self.word.close()
        self._segment.close()
        self.view.release()

    def _tell(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception_only(type(error), error)).strip().encode()
        reason = text[:REASON_BYTES].decode(errors="ignore").encode()
        start = self.cell + REASON
        self.view[start : start + len(reason)] = reason
        self.view[self.cell + REASON_LENGTH] = len(reason)

    def refuse(self) -> None:
        """Raise why this member is of no use."""
        raise ValueError(
            f"this end of ring {self.name} is closed, or was opened before a fork; a child opens its own"
        )

    def is_lost(self, place: int) -> bool:
        """Whether a member has died, or has left with an exception."""
        if self.view[self._cell(place)] != FAILED:
            return self.has_died(place)
        # What it has sent before it left is to be seen by whoever knows that it left.
        memory_fence()
        return True

    def has_died(self, place: int) -> bool:
        """Whether a member came, did not leave, and is gone."""
        cell = self._cell(place)
        if self.view[cell] not in (ATTACHED, JOINING) or place == self.place or is_held(self.hold.fd, place):
            return False
        # It may have left between the two looks; then it has said so before it gave back its place.
        memory_fence()
        return self.view[cell] in (ATTACHED, JOINING)

    def peer(self, place: int) -> Peer:
        """Who has a place, and in which state."""
        died = self.has_died(place)
        cell = self._cell(place)
        state = self.view[cell]
        memory_fence()
        (pid,) = struct.unpack_from("<Q", self.view, cell + PID)
        name = "died" if died else STATE_NAMES[state]
        reason = ""
        if state == FAILED:
            length = self.view[cell + REASON_LENGTH]
            reason = bytes(self.view[cell + REASON : cell + REASON + length]).decode(errors="replace")
        if place == WRITER_PLACE:
            return Peer("writer", None, pid, name, 0, reason)
        behind = 0
        if state in (EXPECTED, ATTACHED, FAILED):
            behind = (self.view[WRITER_CELL + COUNT] - self.view[cell + COUNT]) % self.layout.modulus
        return Peer("reader", place - 1, pid, name, behind, reason)

    def everybody(self) -> tuple[Peer, ...]:
        """All members, the writer first."""
        return tuple(self.peer(place) for place in range(1 + self.layout.readers))

    def _cell(self, place: int) -> int:
        return WRITER_CELL if place == WRITER_PLACE else self.layout.reader_cell(place - 1)

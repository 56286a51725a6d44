"""The readers of a ring as its writer sees them: how far each is, who is lost, and who joins."""

from __future__ import annotations

from rslint_runtime.futex import SharedWord
from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, PeerDiedError, SlowReaderError
from rslint_runtime.ring_layout import (
    ADMITTED,
    ATTACHED,
    CLOSED,
    COUNT,
    DROPPED,
    EXPECTED,
    FAILED,
    JOINING,
    SLEEPER,
    TICKET,
)
from rslint_runtime.ring_members import RingMember

__all__ = ["Audience"]

# States of readers that the writer waits for. The lost are among them, until they are dropped.
_READING = (EXPECTED, ATTACHED, FAILED)


class Audience:
    """What the writer asks of its readers. `written` is the writer's own count of messages."""

    def __init__(self, member: RingMember, *, drop_lost: bool) -> None:
        self._member, self._view, self._drop_lost = member, member.view, drop_lost
        self._modulus, self._slots = member.layout.modulus, member.layout.slots
        self._cells = [member.layout.reader_cell(rank) for rank in range(member.layout.readers)]
        self._words = [SharedWord(self._view, cell) for cell in self._cells]

    def free_slots(self, written: int) -> int:
        """How many slots may be written. Raises BrokenPipeError where nobody is left, and none joins."""
        most = self.most_behind(written)
        if most < 0:
            self.look(written)
            self.need_somebody()
            return self._slots
        return self._slots - most

    def most_behind(self, written: int) -> int:
        """How far the slowest reader is behind; -1 where nobody is to be waited for."""
        return max(self._behind(cell, written) for cell in self._cells)

    def _behind(self, cell: int, written: int) -> int:
        state = self._view[cell]
        if state == JOINING and self._view[cell + ADMITTED] == self._view[cell + TICKET]:
            state = ATTACHED
        if state not in _READING:
            return -1
        return (written - self._view[cell + COUNT]) % self._modulus

    def sleep(self, written: int, seconds: float) -> None:
        """Sleep until the slowest reader has read a message and wakes the writer."""
        most = self.most_behind(written)
        for cell, word in zip(self._cells, self._words, strict=True):
            if most > 0 and self._behind(cell, written) == most:
                self._view[cell + SLEEPER] = 1
                seen = word.load()
                if self._behind(cell, written) == most:
                    word.sleep(seen, seconds)
                return

    def look(self, written: int) -> None:
        """Drop who is lost, or raise PeerDiedError; take in who joins."""
        if (lost := self.lost()) and not self._drop_lost:
            raise PeerDiedError(self._member.name, lost)
        self.drop(lost)
        for cell in self._cells:
            if self._view[cell] == JOINING and self._behind(cell, written) < 0:
                # The reader may be gone meanwhile, and another there: then this ticket is not the other one's.
                ticket = self._view[cell + TICKET]
                self._view[cell + COUNT] = written
                memory_fence()
                self._view[cell + ADMITTED] = ticket

    def need_somebody(self) -> None:
        """Raise BrokenPipeError where every reader has left or was dropped."""
        if all(self._view[cell] in (CLOSED, DROPPED) for cell in self._cells):
            raise BrokenPipeError(f"ring {self._member.name}: no reader is left")

    def lost(self) -> tuple[Peer, ...]:
        """Readers that have died or failed, and are not dropped."""
        places = range(1, 1 + len(self._cells))
        return tuple(self._member.peer(place) for place in places if self._member.is_lost(place))

    def drop(self, lost: tuple[Peer, ...]) -> None:
        """Wait for them no more."""
        for peer in lost:
            assert peer.rank is not None
            self._view[self._cells[peer.rank]] = DROPPED

    def too_slow(self, written: int, timeout: float | None, what: str) -> SlowReaderError:
        """The error that names the slowest."""
        most = self.most_behind(written)
        behind = tuple(peer for peer in self._member.everybody()[1:] if peer.behind and peer.behind == most)
        names = ", ".join(f"{peer} ({peer.state}, {peer.behind} behind)" for peer in behind) or "a reader"
        return SlowReaderError(f"ring {self._member.name}: {names} {what} within {timeout:g} s", behind)

    def close(self) -> None:
        for word in self._words:
            word.close()

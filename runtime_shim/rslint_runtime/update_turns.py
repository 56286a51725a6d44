"""Whose turn it is among requests, updates and whoever resumes: the decisions of the update locks, in one place.

Nothing here waits or locks. A caller asks for a turn and is told by `grant`; who calls is serialised by the lock that
uses this (an event loop, or a mutex). The rules:

- Turns are granted in the order in which they were asked for. A request that comes after a waiting update waits for it,
  and an update that comes after waiting requests waits for them: neither starves the other.
- A request needs that nothing is paused and no update runs. An update needs that no other update runs and that either
  no request runs or all are paused: whether it is paused is looked up at the moment when the update is let in, and
  cannot change before it is done. A resume needs that no update runs.
- While paused, requests that wait stand aside: what comes after them is let in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Turn", "UpdateTurns"]


def _granted_at_once() -> None:
    """Nobody is to be told: who asks sees it."""


@dataclass(eq=False, slots=True)
class Turn:
    """What one caller (`holder`: its thread or task) asks for; `grant` is called once, when it gets it. `paused` tells
    whether requests were paused then."""

    kind: Literal["request", "update", "resume"]
    holder: Hashable
    grant: Callable[[], None] = _granted_at_once
    granted: bool = False
    paused: bool = False


@dataclass(eq=False)
class UpdateTurns:
    """Who runs, who waits, and whether requests are paused."""

    paused: bool = False
    requests: dict[Hashable, int] = field(default_factory=dict)
    updater: Turn | None = None
    waiting: deque[Turn] = field(default_factory=deque)

    def ask(self, turn: Turn) -> None:
        """Queue for a turn, or get it at once.

        A holder that runs a request already comes first with another one: behind an update that waits for the first, it
        would wait for itself. Raises RuntimeError where a holder would wait for itself in other ways.
        """
        own_update = self.updater is not None and self.updater.holder == turn.holder
        if own_update or (turn.kind == "update" and turn.holder in self.requests):
            inside = "an update" if own_update else "a request"
            raise RuntimeError(
                f"{turn.kind}() inside of {inside} of the same thread or task would wait for itself"
            )
        if turn.kind == "resume" and not self.paused:
            self._grant(turn)
            return
        first = turn.kind == "request" and turn.holder in self.requests
        (self.waiting.appendleft if first else self.waiting.append)(turn)
        self._advance()

    def give_back(self, turn: Turn) -> None:
        """End a turn, or stop waiting for it."""
        if not turn.granted:
            self.waiting.remove(turn)
        elif turn.kind == "update":
            self.updater = None
        elif turn.kind == "request":
            self.requests[turn.holder] -= 1
            if not self.requests[turn.holder]:
                del self.requests[turn.holder]
        self._advance()

    def pause(self) -> None:
        """Let no request in from now on. It takes back every resume that still waits: the last word counts."""
        self.paused = True
        for turn in [turn for turn in self.waiting if turn.kind == "resume"]:
            self.waiting.remove(turn)
            turn.granted = True
            turn.grant()
        self._advance()

    def _advance(self) -> None:
        """Let in whoever may, in order."""
        looked_at = 0
        while looked_at < len(self.waiting):
            turn = self.waiting[looked_at]
            if self._may(turn):
                del self.waiting[looked_at]
                self._grant(turn)
                if turn.kind == "resume":
                    looked_at = 0  # requests that stood aside come first again
            elif turn.kind == "request" and self.paused:
                looked_at += 1
            else:
                return

    def _may(self, turn: Turn) -> bool:
        if self.updater is not None:
            return False
        if turn.kind == "request":
            return not self.paused
        return turn.kind == "resume" or self.paused or not self.requests

    def _grant(self, turn: Turn) -> None:
        turn.granted, turn.paused = True, self.paused
        if turn.kind == "update":
            self.updater = turn
        elif turn.kind == "resume":
            self.paused = False
        else:
            self.requests[turn.holder] = self.requests.get(turn.holder, 0) + 1
        turn.grant()

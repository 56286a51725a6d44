"""Which runs need not be made, because they differ from others only in the order of what is independent.

Two things are used, and both keep what a bound on preemptions promises. (Sleep sets and plain dynamic partial-order
reduction do not: the one run that they keep of many equal ones may be one with more preemptions than the bound
allows; Coons, Musuvathi, McKinley, "Bounded Partial-Order Reduction", OOPSLA 2013.)

- **States that were seen** (`Visited`). Runs whose accesses happen in the same partial order are in the same state
  (Mazurkiewicz). A run that comes into a state in which another one was, with no more preemptions left, has nothing to
  show any more (Musuvathi, Qadeer, "Partial-Order Reduction for Context-Bounded State Exploration", MSR-TR-2007-12).
- **What only one thread uses** (`Sharing`, `Frontier`). A preemption in front of an access with which no other thread's
  conflicts can as well come in front of the thread's next access. Which accesses conflict is learned from the
  runs: a preemption is put aside until its access turns out to be shared. If any run within the bound had a conflict
  that is not known, a run with preemptions in front of known ones alone would lead to it just as well; so none is
  missed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Event = int
"""A hash of an access with all that happened before it."""

_ANYTHING = "*"
_MASK = (1 << 64) - 1
_MOST_STATES = 2_000_000
Choice = TypeVar("Choice")


@dataclass(eq=False)
class PartialOrder:
    """The accesses of a run so far, as one number that does not depend on the order of independent ones."""

    state: int = 0
    _all: Event = 0
    _last: dict[str, tuple[Event, int]] = field(default_factory=dict)

    def add(self, before: Event, name: str, accesses: Iterable[tuple[str, bool]]) -> Event:
        """An access of thread `name`, whose last one was `before`."""
        seen: list[object] = [before, name]
        for key, writes in accesses:
            write, reads = self._last.get(key, (self._all, 0))
            seen.append((key, writes, write, reads if writes else 0))
            if key == _ANYTHING:
                seen.append(frozenset(self._last.items()))
        event = hash(tuple(seen)) & _MASK
        for key, writes in accesses:
            if key == _ANYTHING:
                self._all = event
                self._last.clear()
            else:
                write, reads = self._last.get(key, (self._all, 0))
                self._last[key] = (event, 0) if writes else (write, (reads + event) & _MASK)
        self.state = (self.state + event) & _MASK
        return event


@dataclass(eq=False)
class Visited:
    """States in which some run was, with the preemptions it had used by then."""

    _used: dict[object, int] = field(default_factory=dict)

    def seen(self, state: object, used: int) -> bool:
        """Whether a run was here with as many preemptions left; remembers this one."""
        if self._used.get(state, used + 1) <= used:
            return True
        if len(self._used) < _MOST_STATES:
            self._used[state] = used
        return False


@dataclass(eq=False)
class Sharing:
    """Which keys are accessed by several threads and changed by one of them, over all runs."""

    _users: dict[str, dict[str, bool]] = field(default_factory=dict)
    _shared: set[str] = field(default_factory=set)

    def note(self, thread: str, key: str, writes: bool) -> None:
        """A thread has made this access."""
        users = self._users.setdefault(key, {})
        users[thread] = users.get(thread, False) or writes
        if len(users) > 1 and any(users.values()):
            self._shared.add(key)

    def is_shared(self, key: str) -> bool:
        anything = self._users.get(_ANYTHING, {})
        return key in self._shared or bool(
            anything and anything.keys() | self._users.get(key, {}).keys() != {*anything}
        )


@dataclass(eq=False)
class Frontier(Generic[Choice]):
    """The runs that are still to be made, those with fewest preemptions first; and those that may not be needed."""

    preemptions: int
    reduction: bool
    _waiting: list[deque[tuple[Choice, ...]]] = field(default_factory=list)
    _aside: dict[frozenset[str], list[tuple[tuple[Choice, ...], int]]] = field(default_factory=dict)
    _sharing: Sharing = field(default_factory=Sharing)

    def __post_init__(self) -> None:
        self._waiting = [deque() for _ in range(self.preemptions + 1)]
        self._waiting[0].append(())

    def next(self) -> tuple[tuple[Choice, ...], int] | None:
        """The choices of the next run, and how many preemptions they are; None when all are made."""
        for used, waiting in enumerate(self._waiting):
            if waiting:
                return waiting.popleft(), used
        return None

    def learn(self, accesses: Iterable[tuple[str, str, bool]]) -> None:
        """What threads did in a run; what was put aside may turn out to be needed."""
        for access in accesses:
            self._sharing.note(*access)
        for keys in [keys for keys in self._aside if self._matter(keys)]:
            for choices, used in self._aside.pop(keys):
                self._waiting[used].append(choices)

    def offer(
        self, prefix: tuple[tuple[Choice, ...], int], choice: Choice, cost: int, keys: frozenset[str]
    ) -> None:
        """A run could have gone on with this choice, in front of accesses of `keys`."""
        choices, used = (*prefix[0], choice), prefix[1] + cost
        if used > self.preemptions:
            return
        if not keys or not self.reduction or self._matter(keys):
            self._waiting[used].append(choices)
        else:
            self._aside.setdefault(keys, []).append((choices, used))

    def _matter(self, keys: frozenset[str]) -> bool:
        return any(self._sharing.is_shared(key) for key in keys)

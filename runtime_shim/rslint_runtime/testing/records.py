"""What a run of ranks leaves behind: the recorded collectives, the errors, and who waits for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Outcome = Literal["completed", "failed", "deadlock", "mismatch", "peer_died", "timeout"]
# The channel of a group's making (see Collective.channel).
CREATION = "creation"
OUTCOMES: tuple[str, ...] = get_args(Outcome)


def expected_outcomes(expect: str | Collection[str] | None) -> tuple[str, ...]:
    """The outcomes that `expect` names, all if None; ValueError for what is none."""
    outcomes = OUTCOMES if expect is None else (expect,) if isinstance(expect, str) else tuple(expect)
    for outcome in outcomes:
        if outcome not in OUTCOMES:
            raise ValueError(f"expect={outcome!r} is no outcome; there are {', '.join(OUTCOMES)}")
    return outcomes


@dataclass(frozen=True)
class Group:
    """A process group: torch's name for it (the same on every member) and its global ranks."""

    name: str
    ranks: tuple[int, ...]

    def __str__(self) -> str:
        label = "default group" if self.name in ("0", "default_pg") else f"group {self.name}"
        first, last = self.ranks[0], self.ranks[-1]
        if len(self.ranks) > 4 and self.ranks == tuple(range(first, last + 1)):
            return f"{label} [{first}-{last}]"
        return f"{label} {list(self.ranks)}"


@dataclass(frozen=True)
class Collective:
    """One operation as a rank entered it.

    Attributes:
        operation: torch's name of what was run, e.g. `broadcast`.
        call: the function the program called to get there, e.g. `broadcast_object_list`.
        group: on which group.
        channel: "" for the group's sequence of collectives; creation of a group and each point-to-point
        direction
            are counted apart, since torch does not order them with the collectives.
        index: which of this rank's operations on that group and channel this is, from 1.
        signature: what must be equal on all ranks at this index: shapes, dtypes, root.
        awaits: global ranks without which this rank cannot get past the operation.
        may_await: global ranks it may wait for as well, depending on the backend's algorithm (inner nodes of
        a
            broadcast tree, receivers of a payload that no socket buffer holds).
        place: `file:line` of the call in the program.
    """

    operation: str
    call: str
    group: Group
    channel: str
    index: int
    signature: tuple[str, ...]
    awaits: tuple[int, ...]
    may_await: tuple[int, ...]
    place: str

    @property
    def form(self) -> str:
        """What all ranks must have in common at this index, in words: `broadcast int64[] root 0`."""
        return " ".join((self.operation, *self.signature))

    def __str__(self) -> str:
        via = "" if self.call in ("", self.operation) else f" ({self.call})"
        details = " ".join(self.signature)
        return f"{self.operation}{via}{' ' + details if details else ''} on {self.group}"


@dataclass(frozen=True)
class RankError:
    """An exception that left the function on one rank.

    Attributes:
        type_name: qualified name of its type, e.g. `ConnectionError` or `client.Refused`.
        bases: qualified names of its type and all base types, nearest first.
        text: its `str()`.
        traceback: the formatted traceback, causes included.
    """

    type_name: str
    bases: tuple[str, ...]
    text: str
    traceback: str

    def is_a(self, type_name: str) -> bool:
        """Whether an `except` clause for the type of that qualified name would have caught it."""
        return type_name in self.bases

    def __str__(self) -> str:
        first_line = self.text.partition("\n")[0]
        return f"{self.type_name}: {first_line}" if first_line else self.type_name


@dataclass(frozen=True)
class DeadThread:
    """A thread that an exception has left; nobody is told but the rank's output, and the rank goes on without it.

    Attributes:
        thread: its name.
        error: the exception.
    """

    thread: str
    error: RankError


@dataclass(frozen=True)
class Wait:
    """A thread of a rank that waits inside a collective.

    Attributes:
        rank: who waits.
        thread: the name of its thread.
        collective: in what.
        missing: ranks that have not entered it, with what keeps them: `ended`, `raised …`, `waits in …`,
        `running`.
    """

    rank: int
    thread: str
    collective: Collective
    missing: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return waits_as_text([self])[0]


def waits_as_text(waits: Iterable[Wait]) -> list[str]:
    """One line for each thread that waits; ranks that wait at one place for the same stand in one line."""
    joined: dict[str, list[int]] = {}
    for wait in waits:
        thread = "" if wait.thread == "MainThread" else f" (thread {wait.thread})"
        for_whom = "; ".join(f"rank {rank} ({why})" for rank, why in wait.missing) or "its peers to finish it"
        text = f"{wait.collective} at {wait.collective.place} for {for_whom}"
        joined.setdefault(f"{thread}\0{text}", []).append(wait.rank)
    lines = []
    for key, ranks in joined.items():
        thread, text = key.split("\0", 1)
        lines.append(f"{ranks_as_text(ranks)}{thread} {'wait' if len(ranks) > 1 else 'waits'} in {text}")
    return lines


def ranks_as_text(ranks: Iterable[int]) -> str:
    """`rank 3`, `ranks 0, 2-5`."""
    ordered = sorted(ranks)
    spans: list[list[int]] = []
    for rank in ordered:
        if spans and spans[-1][-1] == rank - 1:
            spans[-1].append(rank)
        else:
            spans.append([rank])
    parts = [str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}" for span in spans]
    return f"rank{'s' if len(ordered) > 1 else ''} {', '.join(parts)}"


@dataclass(frozen=True)
class Unreadable:
    """Stands for a value that could not be carried to the caller; `text` is its repr or the reason."""

    text: str


@dataclass(frozen=True)
class RunResult:
    """How a run of ranks went.

    Attributes:
        outcome: `completed`: every rank returned. `failed`: every rank ended, some by an exception.
        `deadlock`:
            proven, see `rslint_runtime.testing.proof`. `mismatch`: at one index of one group ranks ran
            different operations or shapes. `peer_died`: a rank's process ended without returning or raising.
            `timeout`: none of these within the time given.
        results: return values by rank, for ranks that returned.
        errors: exceptions by rank, for ranks that raised.
        waiting: who was waiting when the verdict fell.
        sequences: by rank, every collective it entered, in order.
        output: by rank, what it wrote to stdout and stderr.
        detail: one line on why this outcome, "" for completed.
        unfired: positions in the run's `faults` of those that never fired on any rank.
        uncalled: positions of those whose call was never met while they were on.
        faults: what each of them was to do, in words.
        seconds: wall time from the ranks' start to the verdict.
        unclaimed: by rank, for ranks that have ended, asynchronous operations whose handle was never waited for
            nor asked: nothing tells that rank whether they have happened.
        endings: by rank, how far it came: `ended`, `raised ConnectionError: …`, `was killed by signal 11
            (SIGSEGV)`, `waits in …`, `running`.
        dead_threads: by rank, threads other than the main one that an exception has left. They do not change the
            outcome.
        stacks: by rank, for ranks that were still there and had not ended: the stacks of their threads, as text.
    """

    outcome: Outcome
    world_size: int
    results: Mapping[int, Any]
    errors: Mapping[int, RankError]
    waiting: tuple[Wait, ...]
    sequences: Mapping[int, tuple[Collective, ...]]
    output: Mapping[int, str]
    detail: str
    unfired: tuple[int, ...]
    seconds: float
    unclaimed: Mapping[int, tuple[Collective, ...]] = field(default_factory=dict)
    endings: Mapping[int, str] = field(default_factory=dict)
    stacks: Mapping[int, str] = field(default_factory=dict)
    dead_threads: Mapping[int, tuple[DeadThread, ...]] = field(default_factory=dict)
    uncalled: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()

    def report(self) -> str:
        """The run as text: the sequences side by side, where they part, who waits, who left and how."""
        from rslint_runtime.testing.reporting import report

        return report(self)

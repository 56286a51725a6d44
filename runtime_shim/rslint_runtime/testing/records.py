"""What a run of ranks leaves behind: the recorded collectives, the errors, and who waits for whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["completed", "failed", "deadlock", "mismatch", "peer_died", "timeout"]


@dataclass(frozen=True)
class Group:
    """A process group: torch's name for it (the same on every member) and its global ranks."""

    name: str
    ranks: tuple[int, ...]

    def __str__(self) -> str:
        label = "default group" if self.name in ("0", "default_pg") else f"group {self.name}"
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
        return f"{self.type_name}: {self.text}" if self.text else self.type_name


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
        thread = "" if self.thread == "MainThread" else f" (thread {self.thread})"
        for_whom = "; ".join(f"rank {rank} ({why})" for rank, why in self.missing) or "its peers to finish it"
        return (
            f"rank {self.rank}{thread} waits in {self.collective} at {self.collective.place} for {for_whom}"
        )


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
    uncalled: tuple[int, ...] = ()
    faults: tuple[str, ...] = ()

    def report(self) -> str:
        """The run as text: the sequences side by side, where they part, who waits, who left and how."""
        from rslint_runtime.testing.reporting import report

        return report(self)

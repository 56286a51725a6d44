"""What a sweep has found: one row for each call that was made to fail, and the table of them."""

from __future__ import annotations

from dataclasses import dataclass

from rslint_runtime.testing.faults import Fault
from rslint_runtime.testing.file_names import shown_place, with_shown_places
from rslint_runtime.testing.records import RunResult

# The ranks have parted: some wait for what others will never do, or would with a backend that does not check.
_PARTED = ("deadlock", "mismatch", "timeout")
_STEPS = 3


@dataclass(frozen=True)
class SweepRow:
    """One call that was made to fail on one rank, and how the run ended.

    Attributes:
        place: `file:line` of the call, the file relative to the working directory where that is shorter.
        call: the call as the source spells it.
        rank: where it failed.
        reason: why it may: `network`, `file` …
        fault: what was injected; `run_ranks(program, world_size, faults=[row.fault])` does it again.
        outcome: how the run ended, see `RunResult`; `not injected` when the call was not made this time, or could not
            be made to fail. With `timeout` the ranks may wait for each other where the harness cannot prove it.
        left: the exception with which the program left on that rank, "" if it went on there.
        thread: the thread that the failure has ended on a rank that went on, "" if it was caught.
        detail: one line on the outcome: who waits where for whom.
        report: the run's report, for outcomes other than `completed`.
        chain: `file:line` of the program's calls that led here, this one first.
        occurrence: which call of that callee on that line and rank it was, from 1.
    """

    place: str
    call: str
    rank: int
    reason: str
    fault: Fault
    outcome: str
    left: str
    detail: str
    report: str
    chain: tuple[str, ...]
    occurrence: int
    thread: str = ""

    @property
    def parted(self) -> bool:
        """Whether the ranks fell out of step: deadlock, mismatch or timeout."""
        return self.outcome in _PARTED


@dataclass(frozen=True)
class SweepResult:
    """How a sweep went.

    Attributes:
        program: what was swept.
        world_size: on how many ranks.
        rows: one for each call and rank that was tried, likeliest reasons first.
        untried: what was not, for lack of time or because of Ctrl-C: `place call on rank N`.
        baseline: the run without a fault.
        resumed: how many of the rows an earlier sweep had found.
        interrupted: whether Ctrl-C ended it.
        seconds: wall time.
    """

    program: str
    world_size: int
    rows: tuple[SweepRow, ...]
    untried: tuple[str, ...]
    baseline: RunResult
    resumed: int
    interrupted: bool
    seconds: float

    @property
    def deadlocks(self) -> tuple[SweepRow, ...]:
        """The rows whose run was proven to be deadlocked."""
        return tuple(row for row in self.rows if row.outcome == "deadlock")

    @property
    def parted(self) -> tuple[SweepRow, ...]:
        """The rows after which the ranks were out of step: deadlock, mismatch or timeout."""
        return tuple(row for row in self.rows if row.parted)

    def report(self) -> str:
        """A table of what was tried, then each way to part the ranks with the fault that shows it."""
        lines = [self._summary()]
        if self.rows:
            lines += ["", *_table(self.rows)]
        for rows in _grouped(self.parted):
            first = rows[0]
            lines += ["", f"{first.place}: {first.call} raises, and the ranks part ({first.outcome})"]
            if len(first.chain) > 1:
                lines.append(f"  called from {', '.join(_shortened(first.chain[1:]))}")
            lines += [f"  rank {row.rank} {_fate(row)}" for row in rows]
            lines += [f"  {with_shown_places(first.detail)}", f"  shown by {_code(first.fault)}"]
        if self.untried:
            lines += ["", f"not tried ({'Ctrl-C' if self.interrupted else 'time was up'}):"]
            lines += [f"  {place}" for place in self.untried]
        return "\n".join(lines)

    def _summary(self) -> str:
        count = len(self.deadlocks)
        others = len(self.parted) - count
        found = f"{count} of them lead{'s' if count == 1 else ''} to a deadlock"
        more = f", {others} to ranks out of step" if others else ""
        again = f" ({self.resumed} of them before)" if self.resumed else ""
        calls = "call" if len(self.rows) == 1 else "calls"
        return (
            f"{self.program} on {self.world_size} ranks: {len(self.rows)} failing {calls} tried{again} in "
            f"{self.seconds:.1f} s, {found}{more}"
        )


def _grouped(rows: tuple[SweepRow, ...]) -> list[list[SweepRow]]:
    """Rows of one call, by one way to it, that ended alike, whatever their rank."""
    groups: dict[tuple[str, str, str, tuple[str, ...], int], list[SweepRow]] = {}
    for row in rows:
        groups.setdefault((row.place, row.call, row.outcome, row.chain, row.occurrence), []).append(row)
    return list(groups.values())


def _table(rows: tuple[SweepRow, ...]) -> list[str]:
    cells = [("place", "call", "rank", "why", "raises", "outcome")]
    for group in _grouped(rows):
        first = group[0]
        ranks = ",".join(str(row.rank) for row in group)
        call = first.call if first.occurrence == 1 else f"{first.call} (call {first.occurrence})"
        cells.append((first.place, call, ranks, first.reason, _raised(first.fault), first.outcome))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _shortened(chain: tuple[str, ...]) -> list[str]:
    """The nearest steps of the way."""
    steps = [shown_place(place) for place in chain[:_STEPS]]
    return steps if len(chain) <= _STEPS else [*steps, "…"]


def _fate(row: SweepRow) -> str:
    if row.left:
        return f"leaves with {row.left}"
    return f"goes on without thread {row.thread}" if row.thread else "catches the failure and goes on"


def _raised(fault: Fault) -> str:
    return fault.raises if isinstance(fault.raises, str) else type(fault.raises).__name__


def _code(fault: Fault) -> str:
    """The fault as a line of code."""
    nth = "" if fault.nth == 1 else f"nth={fault.nth!r}, "
    return f"Fault({fault.rank}, {fault.target!r}, {nth}at={fault.at!r}, raises={fault.raises!r})"

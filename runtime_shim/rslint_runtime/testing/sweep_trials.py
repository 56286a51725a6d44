"""Which calls of a program a sweep makes fail, and with what."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rslint_runtime.testing.call_knowledge import Reason, reason_of, rslint_models, spelled
from rslint_runtime.testing.faults import Fault
from rslint_runtime.testing.file_names import shown
from rslint_runtime.testing.observed_calls import ObservedCall


@dataclass(frozen=True)
class Trial:
    """One call on one rank that is going to fail.

    Attributes:
        call: as it was observed.
        reason: why it may fail.
        place: `file:line`, the file relative to the working directory where that is shorter.
        fault: what makes it fail.
        key: the same for the same call in another process, whatever its working directory.
    """

    call: ObservedCall
    reason: Reason
    place: str
    fault: Fault
    key: str

    def __str__(self) -> str:
        return f"{self.place} {spelled(self.call)} on rank {self.call.rank}"


def trials_of(calls: Iterable[ObservedCall], root: Path) -> tuple[Trial, ...]:
    """The calls that may raise, likeliest first, else in the order in which they were made."""
    models = rslint_models()
    reasons = [(call, reason) for call in calls if (reason := reason_of(call, models)) is not None]
    beneath = _strongest_beneath(reasons)
    files = {place.rpartition(":")[0] for call, _ in reasons for place in call.chain}
    chosen = [
        _trial(call, reason, root, files)
        for call, reason in reasons
        # A failure is tried where it begins, so that handlers on its way count.
        if not call.own or beneath.get((call.rank, call.chain[0]), reason.strength + 1) > reason.strength
    ]
    return tuple(sorted(chosen, key=lambda trial: trial.reason.strength))


def _strongest_beneath(reasons: Iterable[tuple[ObservedCall, Reason]]) -> dict[tuple[int, str], int]:
    """By rank and place, the strength of the likeliest failure in what is called there."""
    beneath: dict[tuple[int, str], int] = {}
    for call, reason in reasons:
        for place in call.chain[1:]:
            key = (call.rank, place)
            beneath[key] = min(beneath.get(key, reason.strength), reason.strength)
    return beneath


def _trial(call: ObservedCall, reason: Reason, root: Path, files: Iterable[str]) -> Trial:
    within_project = _within(root, call.file)
    fault = Fault(
        call.rank,
        call.qualname if call.own else call.callee,
        nth=call.occurrence,
        at=f"{_ending(call.file, within_project, files)}:{call.line}",
        raises=reason.raised,
    )
    key = f"{within_project}:{call.line} {call.callee} rank {call.rank} call {call.occurrence}"
    return Trial(call, reason, f"{shown(call.file)}:{call.line}", fault, key)


def _within(root: Path, file: str) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def _ending(file: str, within_project: str, files: Iterable[str]) -> str:
    """How a fault names the file: by an end of its path that is no other's, if it may be the one that is shown."""
    for ending in (shown(file), within_project):
        if not os.path.isabs(ending) and [path for path in files if path.endswith(f"/{ending}")] == [file]:
            return ending
    return file

"""Which calls of a program a sweep makes fail, and with what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rslint_runtime.testing.call_knowledge import Reason, reason_of, rslint_models, spelled
from rslint_runtime.testing.faults import Fault
from rslint_runtime.testing.observed_calls import ObservedCall


@dataclass(frozen=True)
class Trial:
    """One call on one rank that is going to fail.

    Attributes:
        call: as it was observed.
        reason: why it may fail.
        place: `file:line`, the file relative to the program's project.
        fault: what makes it fail.
    """

    call: ObservedCall
    reason: Reason
    place: str
    fault: Fault

    @property
    def key(self) -> str:
        """The same for the same call in another process."""
        return f"{self.place} {self.call.callee} rank {self.call.rank} call {self.call.occurrence}"

    def __str__(self) -> str:
        return f"{self.place} {spelled(self.call)} on rank {self.call.rank}"


def trials_of(calls: Iterable[ObservedCall], root: Path) -> tuple[Trial, ...]:
    """The calls that may raise, likeliest first, else in the order in which they were made."""
    models = rslint_models()
    reasons = [(call, reason) for call in calls if (reason := reason_of(call, models)) is not None]
    beneath = _strongest_beneath(reasons)
    chosen = [
        Trial(call, reason, _place(call, root), _fault(call, reason, root))
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


def _fault(call: ObservedCall, reason: Reason, root: Path) -> Fault:
    target = call.qualname if call.own else call.callee
    return Fault(call.rank, target, nth=call.occurrence, at=_place(call, root), raises=reason.raised)


def _place(call: ObservedCall, root: Path) -> str:
    file = Path(call.file)
    return f"{file.relative_to(root) if file.is_relative_to(root) else file}:{call.line}"

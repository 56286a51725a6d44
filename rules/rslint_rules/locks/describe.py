"""Suspects of RS2 in words: places, traces and the parts that their messages share."""

from __future__ import annotations

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.flow.record import Step
from rslint.locks.suspects import ALSO, LockSuspect
from rslint_rules.places import place, qualified_name


def lock_text(suspect: LockSuspect) -> str:
    """The lock as source names it: an attribute with `self`."""
    return f"self{suspect.lock}" if suspect.lock.startswith(".") else suspect.lock


def row(suspect: LockSuspect, step: int) -> int:
    """The row of one of the other places."""
    return suspect.steps[step].site.row


def own_steps(suspect: LockSuspect) -> tuple[Step, ...]:
    """The steps of the suspect itself, without the other places of its root."""
    return tuple(step for step in suspect.steps if not step.text.startswith(ALSO))


def finding(
    analysis: Analysis,
    suspect: LockSuspect,
    *,
    code: str,
    name: str,
    message: str,
    suggestion: str,
    confidence: Confidence,
    severity: Severity = Severity.ERROR,
) -> Finding:
    """The finding of one suspect; its other places are related, in the order in which tasks or threads come by."""
    return Finding(
        code=code,
        name=name,
        severity=severity,
        confidence=confidence,
        message=message,
        place=place(analysis, suspect.site),
        function=qualified_name(suspect.function),
        noqa_rows=(suspect.statement.row, max(suspect.statement.end_row, suspect.site.end_row)),
        related=tuple(Related(place(analysis, step.site), step.text) for step in suspect.steps),
        suggestion=suggestion,
        preview=suspect.tier == "preview",
    )

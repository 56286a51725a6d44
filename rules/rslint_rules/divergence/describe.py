"""Suspects in words: places, sequences, traces and the parts that the messages of RS1 share."""

from __future__ import annotations

from rslint.finding import Confidence, Finding, Related, Sequence, Severity, Step
from rslint.flow.analysis import Analysis
from rslint.flow.forest import Operation
from rslint.flow.record import Reason, Source
from rslint.flow.suspects import Suspect
from rslint_rules.places import place, qualified_name

_FATES = {
    "swallowed": "the exception is swallowed, so this process lives on",
    "thread": "only the thread ends, so this process lives on",
    "dies": "the process dies, and its peers wait until the group's timeout",
    "unknown": "no caller in this project stops the exception",
}


def sequences(suspect: Suspect, these: str) -> tuple[Sequence, ...]:
    """Both sequences of collectives: that of the ranks that part, and that of the others."""
    return (
        Sequence(these, tuple(operation_text(o) for o in suspect.here)),
        Sequence("the others", tuple(operation_text(o) for o in suspect.others)),
    )


def operation_text(operation: Operation) -> str:
    """`all_reduce(tp)`; a question mark follows what is not reached on every path."""
    axis = "" if operation.axis in ("?", "world") else f"({operation.axis})"
    return f"{operation.name}{axis}{'' if operation.certain else '?'}"


def skipped(analysis: Analysis, operation: Operation, message: str) -> Related:
    return Related(place(analysis, operation.site), message)


def reason_text(reason: Reason) -> str:
    """Who raises, in the words of a message."""
    if reason.kind == "body":
        return "the body of the `with` statement"
    if reason.kind == "callback":
        return f"the callback `{reason.text}`"
    return f"`{reason.text}`"


def call_text(suspect: Suspect, reason: Reason) -> str:
    """The call that stands at the place of the finding."""
    return reason_text(reason) if reason.kind in ("body", "callback") else f"`{suspect.text}`"


def exception_text(suspect: Suspect, reason: Reason) -> str:
    """In brackets what is raised, and by which call further down."""
    name = reason.exceptions[0].rpartition(":")[2].rpartition(".")[2]
    if name == "Exception":
        return ""
    return f" ({name})" if reason.text == suspect.text else f" ({name} from `{reason.text}`)"


def source_text(source: Source) -> str:
    """Why a condition differs, in the words of a message."""
    if source.kind == "rank":
        return f"`{source.text}` differs by rank"
    if source.kind == "container":
        return f"`{source.text}` holds what this rank alone has seen"
    if source.kind == "caught":
        return f"it depends on {source.text} on this rank"
    if source.kind == "thread":
        return f"`{source.text}` is written by another thread, at a different time on each rank"
    what = {
        "filesystem": "the file system of this rank",
        "clock": "this rank's clock",
        "future": "how far this rank's future has come",
        "event": "an event of this rank",
        "queue": "this rank's queue",
        "rpc": "what a remote service answers this rank",
        "host-allocation": "this rank's host memory",
        "device-allocation": "this rank's device memory",
    }.get(source.kind, "state of this rank")
    return f"`{source.text}` asks {what}"


def fate_text(suspect: Suspect) -> str:
    return _FATES[suspect.survival.fate if suspect.survival is not None else "unknown"]


def source_steps(analysis: Analysis, suspect: Suspect) -> tuple[Step, ...]:
    steps: list[Step] = []
    for source in suspect.sources[:1]:
        for step in source.steps:
            steps.append(Step("some ranks", place(analysis, step.site), step.text))
        steps.append(Step("some ranks", place(analysis, source.site), source_text(source)))
    return tuple(steps)


def reason_steps(analysis: Analysis, suspect: Suspect) -> tuple[Step, ...]:
    """The shortest chain down to the place that raises, then up to where the exception ends."""
    rank = "leader" if suspect.leader_only else "some ranks"
    steps = [Step(rank, place(analysis, step.site), step.text) for step in suspect.reasons[0][0].steps]
    if suspect.survival is not None:
        steps += [Step(rank, place(analysis, step.site), step.text) for step in suspect.survival.steps]
    return tuple(steps)


def finding(
    analysis: Analysis,
    suspect: Suspect,
    *,
    code: str,
    name: str,
    severity: Severity,
    confidence: Confidence,
    message: str,
    related: tuple[Related, ...],
    trace: tuple[Step, ...],
    these: str,
    suggestion: str,
    preview: bool,
) -> Finding:
    """The finding of one suspect; the place is the suspect's, suppressions count on its whole statement."""
    return Finding(
        code=code,
        name=name,
        severity=severity,
        confidence=confidence,
        message=message,
        place=place(analysis, suspect.site),
        function=qualified_name(suspect.function),
        noqa_rows=(suspect.statement.row, max(suspect.statement.end_row, suspect.site.end_row)),
        related=related,
        trace=trace,
        sequences=sequences(suspect, these) if suspect.here or suspect.others else (),
        suggestion=suggestion,
        preview=preview,
    )

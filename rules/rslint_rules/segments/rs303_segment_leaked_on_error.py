"""# segment-leaked-on-error (RS303)

## What it does
Reports a shared-memory segment that keeps its name when an exception comes between the call that makes it and the one
that removes it or hands it on.

## Why is this bad?
Nobody else knows the name yet, so nobody can remove the segment: its memory stays taken in `/dev/shm` as long as the
process lives, and with it the mount fills up. Python's resource tracker removes it when the process *tree* ends; after
`SIGKILL` of the tree, or for a file below `/dev/shm` that was opened with `os.open`, nobody does.

## Example
```python
shm = SharedMemory(create=True, size=array.nbytes)
np.copyto(np.ndarray(array.shape, array.dtype, shm.buf), array)  # raises: nobody unlinks
return shm.name
```

## Use instead
```python
shm = SharedMemory(create=True, size=array.nbytes)
try:
    np.copyto(np.ndarray(array.shape, array.dtype, shm.buf), array)
except BaseException:
    shm.unlink()
    raise
return shm.name
```

## Fix and its safety
Safe: what lies between creation and hand-over is put into a `try` whose handler removes the segment and raises again.
The handle is not closed there, since closing raises while a view of the buffer lives; it closes itself when it is
collected. Offered where both stand in the same block, and the function made the segment itself.

## Known limits
A segment that an object keeps, and that nothing in the project unlinks at all, is reported too.

Several segments made in a loop or comprehension into a container that only the function knows are one finding: the last
of them may not fit any more.

A consumer that opens a segment and removes it when it has copied it out is held to the same: the removal belongs into
`finally`. What counts as a reason to raise: copies and reservations, calls into other libraries, other processes,
files, callbacks, further segments, and a `raise` of the function itself. Views of a buffer, logging, arithmetic and
collectives do not count. A segment that an object holds is safe while its constructor runs if `__del__` removes it;
removals below a condition are taken to happen.

Reported by default: a reason in this function, or one call away. With `--preview` also callbacks, and reasons two
calls away.

## References
POSIX.1-2024, shm_unlink(); CPython `multiprocessing.shared_memory` (`SharedMemory.unlink`); sgl-project/sglang pull
requests 21465 and 37047, vllm-project/vllm pull request 54619.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rslint.finding import Confidence, Finding, Fix, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import FixRequest, Rule
from rslint.segments.analysis import segment_suspects
from rslint.segments.arguments import CREATE
from rslint.segments.forgotten import Forgotten
from rslint.segments.leaks import Leak
from rslint.segments.rows import LostRow
from rslint_rules.places import place, qualified_name
from rslint_rules.segments import describe
from rslint_rules.segments.repair import unlink_on_error

CODE, NAME = "RS303", "segment-leaked-on-error"
FARTHEST = 1
SHOWN = 4


def check(analysis: Analysis) -> Iterable[Finding]:
    suspects = segment_suspects(analysis)
    for leak in one_per_root(suspects.leaks):
        yield _finding(analysis, leak[0], leak[1:])
    for row in suspects.rows:
        yield _row(analysis, row)
    reported = {leak.site for leak in suspects.leaks}
    for forgotten in suspects.forgotten:
        if forgotten.site not in reported:
            yield _forgotten(analysis, forgotten)


def one_per_root(leaks: Iterable[Leak]) -> Iterator[tuple[Leak, ...]]:
    """Segments of one function that the same call leaves behind are one root, the first opened its place."""
    group: list[Leak] = []
    for leak in leaks:
        shared = {site for _, site in leak.raisers}
        if group and group[0].function == leak.function and any(s in shared for _, s in group[0].raisers):
            group.append(leak)
            continue
        if group:
            yield tuple(group)
        group = [leak]
    if group:
        yield tuple(group)


def is_certain(leak: Leak) -> bool:
    """A reason that is near, and more than what a caller passes in."""
    return any(raiser.hops <= FARTHEST and raiser.kind != "callback" for raiser, _ in leak.raisers)


def _finding(analysis: Analysis, leak: Leak, others: tuple[Leak, ...]) -> Finding:
    near = [pair for pair in leak.raisers if pair[0].hops <= FARTHEST and pair[0].kind != "callback"]
    raiser, where = (near or list(leak.raisers))[0]
    row = place(analysis, where).row
    opening = leak.charge.opening
    if opening is None:
        message = (
            f"{describe.raiser_text(raiser)} may raise before `{sorted(leak.charge.holders)[0]}` is unlinked: the "
            "segment stays, and nobody else removes it"
        )
    else:
        what = "segment" if opening.creates else "segment that this function is to remove"
        message = (
            f"the {what} in {describe.opening_text(opening)} stays in /dev/shm if {describe.raiser_text(raiser)} on "
            f"line {row} raises: nothing unlinks it on that path"
        )
    related = [
        Related(place(analysis, site), f"may raise: {describe.raiser_text(one)}")
        for one, site in leak.raisers[:SHOWN]
        if site != leak.site
    ]
    related += [Related(place(analysis, other.site), "stays as well") for other in others]
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.HIGH if raiser.hops == 0 else Confidence.MEDIUM,
        message=message,
        place=place(analysis, leak.site),
        function=qualified_name(leak.function),
        noqa_rows=(leak.statement.row, leak.statement.end_row),
        related=tuple(related),
        suggestion="unlink the segment in a handler (or `finally`) around what may raise, and raise again",
        preview=not is_certain(leak),
    )


def _row(analysis: Analysis, row: LostRow) -> Finding:
    held = f" in `{row.container}`" if row.container else ""
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        message=f"when one of these segments cannot be made, those made before it{held} stay in /dev/shm: nothing "
        "unlinks them",
        place=place(analysis, row.site),
        function=qualified_name(row.function),
        noqa_rows=(row.statement.row, row.statement.end_row),
        suggestion="make them one by one into a name that a handler can go through and unlink",
    )


def _forgotten(analysis: Analysis, forgotten: Forgotten) -> Finding:
    held = f"in `self.{forgotten.holder}`" if forgotten.holder else "that is kept here"
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        message=f"nothing in this project unlinks the segment {held}: it stays in /dev/shm until the process tree "
        "ends, and after SIGKILL for good",
        place=place(analysis, forgotten.site),
        function=qualified_name(forgotten.function),
        noqa_rows=(forgotten.statement.row, forgotten.statement.end_row),
        suggestion="unlink it when its owner is closed, or as soon as all have attached",
    )


def fix(request: FixRequest) -> Fix | None:
    """Only a segment that the function itself has made, and that is removed through its handle."""
    for leak in segment_suspects(request.analysis).leaks:
        opening = leak.charge.opening
        if opening is None or place(request.analysis, leak.site) != request.finding.place:
            continue
        if opening.kind != CREATE or opening.helper is not None or opening.by_name or not opening.holders:
            return None
        raising = [place(request.analysis, site) for _, site in leak.raisers]
        return unlink_on_error(request.source, request.finding, opening.holders[0], raising)
    return None


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a segment keeps its name when an exception comes between its creation and its removal or hand-over",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="unlink in a handler (safe)",
)

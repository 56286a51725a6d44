"""# attach-races-creation (RS305)

## What it does
Reports an attach that nothing orders after the creation of the segment. Opt-in (`--preview`).

## Why is this bad?
One arm of a test makes the segment, the other attaches it: whoever attaches first gets FileNotFoundError. And a segment
exists before it has its size: `shm_open` comes first, `ftruncate` later, so an attach in the handler of
FileExistsError may map an empty file (`ValueError: cannot mmap an empty file`).

## Example
```python
if rank == 0:
    shm = SharedMemory(name, create=True, size=size)
else:
    shm = SharedMemory(name)  # is it there yet?
```

## Use instead
```python
if rank == 0:
    shm = SharedMemory(name, create=True, size=size)
dist.barrier(group=group)
if rank != 0:
    shm = SharedMemory(name)
```

## Fix and its safety
None: how the processes wait for each other is a decision.

## Known limits
Orders that another function makes are not seen, which is why the rule is opt-in. Sleeping, locking and retrying in the
same function count as waiting.

## References
POSIX.1-2024, shm_open() and ftruncate().
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import Rule
from rslint.segments.analysis import segment_suspects
from rslint.segments.races import EarlyAttach
from rslint_rules.places import line_text, place, qualified_name

CODE, NAME = "RS305", "attach-races-creation"
_MESSAGES = {
    "branch": "another process makes this segment on {0}, and nothing waits for it: it may not be there yet",
    "half-made": "the segment exists, but who makes it on {0} may not have sized it yet: an empty file cannot be "
    "mapped",
}


def check(analysis: Analysis) -> Iterable[Finding]:
    for attach in segment_suspects(analysis).races:
        yield _finding(analysis, attach)


def _finding(analysis: Analysis, attach: EarlyAttach) -> Finding:
    made, here = place(analysis, attach.made), place(analysis, attach.site)
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM,
        message=_MESSAGES[attach.kind].format(line_text(made, here)),
        place=here,
        function=qualified_name(attach.function),
        noqa_rows=(attach.statement.row, attach.statement.end_row),
        related=(Related(made, "made here"),),
        suggestion="wait for the maker before attaching: a barrier, a message, or trying again until it has its size",
        preview=True,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a segment is attached without waiting for the process that makes it",
    documentation=__doc__ or "",
    check=check,
    preview=True,
)

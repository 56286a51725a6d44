"""# attach-while-unpickling (RS306)

## What it does
Reports a segment that is opened while an object is unpickled (`__setstate__`, or what `__reduce__` names), unprotected,
in a project that sends objects through a collective.

## Why is this bad?
The collective unpickles on every receiving rank. Where one of them cannot open the segment (it is gone, or descriptors
have run out), the exception comes out of the collective on that rank alone; the others have their object and wait for
it in the next one.

## Example
```python
def __setstate__(self, state):
    self.__dict__.update(state)
    self.shm = SharedMemory(name=self.name)  # raises inside broadcast_object_list
```

## Use instead
```python
def __setstate__(self, state):
    self.__dict__.update(state)
    self.shm, self.error = None, None
    try:
        self.shm = SharedMemory(name=self.name)
    except OSError as error:
        self.error = error  # all ranks agree on it before the object is used
```

## Fix and its safety
None: what a rank does with an object that has no segment, and where the ranks agree on it, is a decision.

## Known limits
That an instance of this very class goes through the collective is not shown, only that the project has one that
carries objects.

## References
sgl-project/sglang pull request 37047; `torch.distributed.broadcast_object_list` unpickles implicitly.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import Rule
from rslint.segments.analysis import segment_suspects
from rslint.segments.unpickling import UnpicklingOpen
from rslint_rules.places import place, qualified_name

CODE, NAME = "RS306", "attach-while-unpickling"


def check(analysis: Analysis) -> Iterable[Finding]:
    for opened in segment_suspects(analysis).unpickled:
        yield _finding(analysis, opened)


def _finding(analysis: Analysis, opened: UnpicklingOpen) -> Finding:
    rebuilt = opened.rebuilding
    name = qualified_name(rebuilt.owner)
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.ERROR,
        confidence=Confidence.MEDIUM,
        message=(
            f"unpickling a `{name}` opens this segment: if it cannot be opened on one rank, the exception comes out of "
            "the collective there, and the other ranks go on without it"
        ),
        place=place(analysis, opened.site),
        function=qualified_name(rebuilt.function),
        noqa_rows=(opened.statement.row, opened.statement.end_row),
        related=(Related(place(analysis, opened.collective), "a collective that carries objects"),),
        suggestion="keep the error in the object, and let all ranks agree on it before they use the object",
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="an open that may raise on one rank runs inside a collective's unpickling",
    documentation=__doc__ or "",
    check=check,
)

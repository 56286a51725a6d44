"""# unlink-by-non-owner (RS304)

## What it does
Reports removals of a shared-memory segment by who does not own it, or at a moment when it cannot be removed:

- whoever runs the code unlinks, the maker and those that only attached alike;
- a reader unlinks what it only attached, and the maker unlinks it as well;
- a destructor uses a handle that a failed constructor never set;
- a teardown unlinks unprotected before it calls off the removal that it has registered for the exit.

## Why is this bad?
The name is gone as soon as the first process unlinks. Who attaches later gets FileNotFoundError, or makes a second
segment of the same name that nobody else looks at: a barrier in it never opens. The second unlink raises
FileNotFoundError in a teardown, where it hides the error that led there.

## Example
```python
class Barrier:
    def __init__(self, name):
        try:
            self.shm = SharedMemory(name, create=True, size=12)
        except FileExistsError:
            self.shm = SharedMemory(name)

    def __del__(self):
        self.shm.close()
        self.shm.unlink()  # every process does
```

## Use instead
```python
    def __del__(self):
        self.shm.close()
        if self.is_creator:
            self.shm.unlink()
```

## Fix and its safety
None: who the owner is, and how long it has to live, is a decision.

## Known limits
A test on the way to the removal that speaks of the owner (`is_creator`, `self._owner`, `rank == 0`, a process id, a
count of users) is believed. Methods named `unlink`, `remove`, `destroy` or `delete` do as their caller says; functions
that clear away stale segments, and removals that make room for a new one, are right. So is one by everybody after a
barrier, if it lets FileNotFoundError pass. A segment whose name has a UUID or a process id in it has one maker. A
consumer that unlinks after hand-over is right: the maker does not.

## References
CPython documentation of `SharedMemory.unlink`: called once across all processes; mosaicml/streaming pull request 107,
vllm-project/vllm pull request 6530, wool-labs/wool pull request 302, intelligent-machine-learning/dlrover pull
request 994.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import Rule
from rslint.segments.analysis import segment_suspects
from rslint.segments.handles import Removal
from rslint_rules.places import line_text, place, qualified_name

CODE, NAME = "RS304", "unlink-by-non-owner"
_MESSAGES = {
    "anybody": "`{0}` is unlinked by whoever comes here, whether this process made the segment or only attached it",
    "attached": "`{0}` was only attached here, and its maker unlinks it as well: the second of the two raises",
    "half-built": "`{0}` may never have been set when this destructor runs: opening the segment on {1} may raise, "
    "and then an AttributeError hides why",
    "armed": "unlinking `{0}` may raise FileNotFoundError here, and then the removal registered for the exit stays on "
    "and raises again",
}
_SUGGESTIONS = {
    "anybody": "unlink only where this process has made the segment",
    "attached": "let only the maker unlink",
    "half-built": "ask with hasattr() first, or set the attribute before anything can raise",
    "armed": "unregister first, and let FileNotFoundError pass",
}
_OPENED = {
    "anybody": "not every process makes it: here it is attached",
    "attached": "attached here",
    "half-built": "what may raise",
    "armed": "opened here",
}


def check(analysis: Analysis) -> Iterable[Finding]:
    for removal in segment_suspects(analysis).removals:
        yield _finding(analysis, removal)


def _finding(analysis: Analysis, removal: Removal) -> Finding:
    opened, here = place(analysis, removal.opened), place(analysis, removal.site)
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING if removal.kind in ("half-built", "armed") else Severity.ERROR,
        confidence=Confidence.HIGH if removal.kind in ("half-built", "armed") else Confidence.MEDIUM,
        message=_MESSAGES[removal.kind].format(removal.text, line_text(opened, here)),
        place=here,
        function=qualified_name(removal.function),
        noqa_rows=(removal.site.row, removal.site.end_row),
        related=(Related(opened, _OPENED[removal.kind]),),
        suggestion=_SUGGESTIONS[removal.kind],
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a segment is unlinked by a process that does not own it, or when it cannot be",
    documentation=__doc__ or "",
    check=check,
)

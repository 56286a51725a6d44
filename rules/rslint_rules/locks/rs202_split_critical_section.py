"""# split-critical-section (RS202)

## What it does
Reports an entry that is found under a lock and used under the same lock taken again, without a second test, when
another function removes entries under it and the use raises for one that is gone; and a value that is computed from
one read in an earlier section.

## Why is this bad?
Between the release and the next acquisition anybody may remove the entry: the second section raises KeyError, often
with the lock held.

## Example
```python
with self.lock:
    if key not in self.entries:
        return None
with self.lock:
    entry = self.entries[key]  # may be gone
```

## Use instead
```python
with self.lock:
    entry = self.entries.get(key)
if entry is None:
    return None
```

## Fix and its safety
None: whether the sections belong together or the second has to test again depends on what is done between them.

## Known limits
Reported are `d[key]`, `del d[key]`, `d.pop(key)` and `s.remove(key)` with the very key that was tested. An entry that
is pinned, counted or marked under the lock before it is released is kept. A use inside a `try` or `suppress` that
names KeyError or LookupError expects it to be gone. A value computed from an old one is followed
through one local that holds the state as it is; where the state is compared again before it is stored, it is right.

## References
LMCache/LMCache 1809: the key could be evicted between two sections, one line apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding
from rslint.flow.analysis import Analysis
from rslint.locks.find import lock_suspects
from rslint.locks.suspects import LockSuspect
from rslint.rule import Rule
from rslint_rules.locks import describe
from rslint_rules.places import qualified_name

CODE, NAME = "RS202", "split-critical-section"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "split":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    lock = describe.lock_text(suspect)
    if suspect.detail == "lost":
        return describe.finding(
            analysis,
            suspect,
            code=CODE,
            name=NAME,
            message=(
                f"`{suspect.text}` is computed from its value on line {describe.row(suspect, 0)}, but `{lock}` has "
                f"been released since: what another thread has stored meanwhile is lost"
            ),
            suggestion="read and store in one critical section",
            confidence=Confidence.HIGH,
        )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=(
            f"`{suspect.text}` was found on line {describe.row(suspect, 0)}, but `{lock}` has been released since: "
            f"`{qualified_name(suspect.steps[1].site.function)}` may have removed it, and this raises"
        ),
        suggestion="do both in one critical section, or test again in the second",
        confidence=Confidence.HIGH,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="an entry found in one critical section is used in the next without a new test",
    documentation=__doc__ or "",
    check=check,
)

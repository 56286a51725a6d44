"""# stale-guarded-read (RS201)

## What it does
Reports an entry that is found under a lock and used after the release, here or in a method that is called with its key,
when another function removes entries under that lock and the use raises for one that is gone. The other way round too:
found before the lock is taken, used under it without a second test.

## Why is this bad?
The answer was true while the lock was held. By the time it is used the entry may have been evicted, and KeyError comes
out where nobody expects it.

## Example
```python
with self.lock:
    if key not in self.entries:
        return None
data = read(path)
positions = self.entries[key].positions  # evicted during the read
```

## Use instead
```python
with self.lock:
    entry = self.entries.get(key)
    if entry is None:
        return None
data = read(path)
positions = entry.positions
```

## Fix and its safety
None: what to do when the entry is gone is a decision.

## Known limits
"Read under a lock, used after it" alone is right far more often than wrong and is not reported. Reported are uses that
raise when the entry is gone: `d[key]`, `del d[key]`, `d.pop(key)`, `s.remove(key)`, with the very key that was tested.
An entry that is pinned, counted or marked under the lock before it is released is kept. A use
inside a `try` or `suppress` that names KeyError or LookupError expects it to be gone. Methods are followed one call
deep, with the key as a parameter.

## References
LMCache/LMCache 4405.
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

CODE, NAME = "RS201", "stale-guarded-read"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "stale-read":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    lock = describe.lock_text(suspect)
    remover = qualified_name(describe.own_steps(suspect)[-1].site.function)
    if suspect.detail == "before":
        message = (
            f"`{suspect.text}` was found on line {describe.row(suspect, 0)} without `{lock}` and is used under it: "
            f"`{remover}` may have removed it while this waited for the lock, and this raises"
        )
    else:
        message = (
            f"`{suspect.text}` was found under `{lock}` on line {describe.row(suspect, 0)} and is used without it: "
            f"`{remover}` may have removed it, and this raises"
        )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=message,
        suggestion="take what is needed out of the entry under the lock, or look it up again with `.get`",
        confidence=Confidence.HIGH,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="an entry found under a lock is used after its release as if it were still there",
    documentation=__doc__ or "",
    check=check,
)

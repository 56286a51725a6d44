"""# lock-map-eviction (RS207)

## What it does
Reports a lock that is thrown out of a map of locks by a function that takes locks out of the same map.

## Why is this bad?
Who waits for the old lock goes on with it; who comes next finds no entry and makes a new one. Both then run at once
what the lock should keep apart.

## Example
```python
async def load(self, name):
    lock = self.locks.setdefault(name, asyncio.Lock())
    async with lock:
        await self.engine.load(name)
        self.locks.pop(name)  # whoever waits holds this lock next, a third one makes another
```

## Use instead
```python
async def load(self, name):
    async with self.stripes[hash(name) % len(self.stripes)]:  # a fixed list of locks, never changed
        await self.engine.load(name)
```
A `weakref.WeakValueDictionary` of locks, or a count of users that is tested before the removal, is right as well.
`lock.locked()` is no such count for an asyncio lock: between a release and the next holder's turn it is False.

## Fix and its safety
None: stripes, weak references and counts differ in what they cost.

## Known limits
Reported by default where the function also takes a lock of the map. A removal by a function that takes none (at the
end of a request whose key never comes back, say) is reported with `--preview`. A removal that a test decides whose
names speak of users, waiters, references or `locked` is taken for counted. A lock that the removal itself hands over
(`lock = locks.pop(key)`) guards what leaves together with it.

## References
ai-dynamo/dynamo pull request 10347, whose review found it.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding
from rslint.flow.analysis import Analysis
from rslint.locks.find import lock_suspects
from rslint.locks.suspects import LockSuspect
from rslint.rule import Rule
from rslint_rules.locks import describe

CODE, NAME = "RS207", "lock-map-eviction"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "eviction":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    taken = suspect.detail == "held"
    who = f"`{suspect.lock}`, which this function takes" if taken else "a lock"
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=(
            f"`{suspect.text}` removes {who}: who waits for it goes on with the old lock while the next "
            f"one makes a new lock for the same key"
        ),
        suggestion="keep the locks (a fixed list chosen by hash), hold them weakly, or count their users",
        confidence=Confidence.HIGH if taken else Confidence.LOW,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a lock is removed from a map of locks while others may hold it or wait for it",
    documentation=__doc__ or "",
    check=check,
)

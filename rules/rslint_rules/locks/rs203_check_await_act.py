"""# check-await-act (RS203)

## What it does
Reports a coroutine that acts on what it knew before an await, without a lock held over both and without a second test:
- it tests shared state, awaits, and stores or adds what it found missing;
- it stores what it has computed from a value of before the await;
- it calls methods of an attribute before and after the await, while another function sets it to None.

## Why is this bad?
At an await every other task may run and may take the same decision: two pools are opened and one of them leaks, an
adapter is listed twice, a service is registered twice. `self.total += await f()` fetches the old total first: what
others add during the await is lost.

## Example
```python
async def connect(self):
    if self.pool is None:
        self.pool = await create_pool(self.address)  # two tasks, two pools
    return self.pool
```

## Use instead
```python
async def connect(self):
    async with self.lock:
        if self.pool is None:
            self.pool = await create_pool(self.address)
    return self.pool
```

## Fix and its safety
None: a lock, a flag that is set before the first await, or a future that the others await are different answers.

## Known limits
Two equal values do no harm: a memo is not reported. Harm is shown by what the value is made with (a pool, connection,
session, task, lock: `[[once]]` in the models), by a function that closes it, by an element that is added, or by calls
that register it before others see it. A flag or entry that is tested and written before the first await claims what
follows. Coroutines that start or end their object, or whose callers all hold a lock, have one owner, and so have
objects that a coroutine makes for itself. A key that names a request belongs to one caller. A function that neither
says that it makes what is missing (`get`, `ensure`, `connect`) nor returns the state is reported with `--preview`.

An attribute that only the start or end of its object sets to None is taken to outlive its coroutines. A value computed
from an old one is followed through one local that holds the state as it is.

## References
aio-libs/aiocache 222, dask/distributed 6972, vllm-project/vllm 20636, xorbitsai/inference 2125.
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

CODE, NAME = "RS203", "check-await-act"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "await":
            yield _finding(analysis, suspect)


_HARM = {
    "resource": "two tasks both make one, and one of them is lost",
    "ended": "two tasks both make one, and only one of them is ever closed",
    "appended": "two tasks both pass the test, and both add to it",
    "registered": "two tasks both make one, and both go on to use theirs",
    "lost": "what another task has stored meanwhile is lost",
}


def _gone(analysis: Analysis, suspect: LockSuspect) -> Finding:
    remover = qualified_name(describe.own_steps(suspect)[-1].site.function)
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=(
            f"`{suspect.text}` relies on what `{suspect.state}` was before an await (line {describe.row(suspect, 0)}): "
            f"`{remover}` may have set it to None meanwhile"
        ),
        suggestion=f"keep `{suspect.state}` in a local before the await, or test it again after it",
        confidence=Confidence.MEDIUM,
    )


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    if suspect.detail == "gone":
        return _gone(analysis, suspect)
    what = "a value" if suspect.detail == "lost" else "a test"
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=(
            f"`{suspect.text}` rests on {what} from before an await (line {describe.row(suspect, 0)}): "
            f"{_HARM[suspect.detail]}"
        ),
        suggestion="hold an asyncio lock from the test to the act, or test again after the await",
        confidence=Confidence.MEDIUM,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a coroutine tests a state, awaits, and acts on the test as if nothing had happened",
    documentation=__doc__ or "",
    check=check,
)

"""# conditional-lock (RS204)

## What it does
Reports a `with` that takes a lock or nothing at all (`lock if not self.paused else nullcontext()`), chosen by state
that another function may change between the choice and the body.

## Why is this bad?
The answer was true when it was read. When the body runs without the lock, what made the lock unnecessary may be over:
a pause has ended, and weights are replaced under running requests.

## Example
```python
async with self.pause_condition:
    paused = self.paused  # the condition is released, and with it the answer
context = self.weights_lock.writer_lock if not paused else nullcontext()
async with context:
    await self.update(weights)
```

## Use instead
```python
async with self.pause_condition:
    paused = self.paused
    if paused:
        await self.update(weights)  # nobody can resume while the condition is held
if not paused:
    async with self.weights_lock.writer_lock:
        await self.update(weights)
```

## Fix and its safety
The rewrite above, with the names for the context and for `nullcontext` removed when nothing else uses them. Unsafe: a
lock is held longer, and a body that waits for somebody who needs it would wait for ever.

## Known limits
The choice must rest on an attribute or global that a function other than a constructor changes. A choice by a
parameter (the caller holds the lock), by a type, or by configuration is right. So is one that is made and used under
the lock that guards the state, or, in a coroutine, one whose body awaits nothing.

## References
sgl-project/sglang 22304.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Fix
from rslint.flow.analysis import Analysis
from rslint.locks.find import lock_suspects
from rslint.locks.suspects import LockSuspect
from rslint.rule import FixRequest, Rule
from rslint_rules.locks import describe
from rslint_rules.places import qualified_name

CODE, NAME = "RS204", "conditional-lock"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "conditional-lock":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    writer = suspect.steps[1].site
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=(
            f"`{suspect.text}` runs without `{suspect.lock}` when `{suspect.state}` says so, which was read on line "
            f"{describe.row(suspect, 0)}: `{qualified_name(writer.function)}` may change it before this is done"
        ),
        suggestion=f"decide and act in one critical section of what guards `{suspect.state}`",
        confidence=Confidence.HIGH,
    )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.locks.repair import decide_and_act

    return decide_and_act(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a lock is taken or not by state that may change before it is needed",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="decide and act in one critical section (unsafe)",
)

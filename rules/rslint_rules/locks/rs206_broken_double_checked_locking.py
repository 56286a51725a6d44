"""# broken-double-checked-locking (RS206)

## What it does
Reports a value that is tested without a lock and then made under it, when it is not tested again under the lock, or
when it is stored before the rest of its making is done.

## Why is this bad?
Without the second test every thread that waited for the lock makes its own value and overwrites the one before, which
others already use. A value that is stored too early lets the test without the lock pass others by to something that is
not ready.

## Example
```python
def session():
    global _SESSION
    if _SESSION is None:
        with _LOCK:
            _SESSION = make_session()  # each thread that waited makes another
    return _SESSION
```

## Use instead
```python
def session():
    global _SESSION
    if _SESSION is None:
        with _LOCK:
            if _SESSION is None:
                _SESSION = make_session()
    return _SESSION
```

## Fix and its safety
The second test inside the lock. Safe: without a race the program does what it did. Offered where the `if` holds nothing
but the `with`. There is none for what is published too early: what must be done before is the author's to know.

## Known limits
Reported are values that calls or displays make: a constant stored twice is the same. A value that other work follows is
reported where that work awaits, stores other state that others read, or (a value that is returned) calls its methods or
sets its attributes; what is closed or stopped is claimed before, so that it is done once, and is right.

## References
Schmidt, Harrison: Double-Checked Locking (PLoP 1996). huggingface/huggingface_hub 4868 (no second test), redis/redis-py
1270 and 2231 (published first).
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Fix
from rslint.flow.analysis import Analysis
from rslint.locks.find import lock_suspects
from rslint.locks.suspects import LockSuspect
from rslint.rule import FixRequest, Rule
from rslint_rules.locks import describe

CODE, NAME = "RS206", "broken-double-checked-locking"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind in ("double-checked", "early-publication"):
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    missing = suspect.kind == "double-checked"
    lock = describe.lock_text(suspect)
    if missing:
        message = (
            f"`{suspect.text}` is tested on line {describe.row(suspect, 0)} without `{lock}` and not again under it: "
            f"every thread or task that waited for the lock makes another one"
        )
    else:
        message = (
            f"`{suspect.text}` is stored before the work under `{lock}` is done: the test without the lock lets others "
            f"pass to something that is not ready"
        )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=message,
        suggestion="test again inside the lock" if missing else "store it last, when everything else is done",
        confidence=Confidence.HIGH,
    )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.locks.repair import tested_again

    return tested_again(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a value is made under a lock without testing again, or published before it is ready",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="sometimes (safe: the second test inside the lock)",
)

"""# mutated-while-iterated (RS208)

## What it does
Reports a dictionary, set or deque that is iterated without the lock under which another function adds or removes items;
and one that a coroutine iterates with an await between two items while another function changes its size.

## Why is this bad?
`RuntimeError: dictionary changed size during iteration` (or its like) in the loop, at a time that no test meets.

## Example
```python
def broadcast(self, message):
    for client in self.clients.values():  # `connect` adds to it under self.lock
        client.send(message)
```

## Use instead
```python
def broadcast(self, message):
    with self.lock:
        clients = list(self.clients.values())
    for client in clients:
        client.send(message)
```

## Fix and its safety
The loop goes over a copy: `list(...)`, which CPython makes without letting another thread run (on a free-threaded build
it takes the container's own lock). Unsafe: items that are removed meanwhile are still visited.

## Known limits
A copy taken at once (`list(d)`, `dict(d)`, `sorted(d)`) is right: CPython does it without letting another thread run. A
container that is only ever replaced as a whole is right too. Lists raise nothing and are left alone, and so is a loop
whose RuntimeError is caught. Where some function changes the container without the lock, and in functions that start or
end their object, it is reported with `--preview`.

## References
The Python documentation of `dict` views: iterating while adding or deleting entries may raise RuntimeError.
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

CODE, NAME = "RS208", "mutated-while-iterated"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in lock_suspects(analysis):
        if suspect.kind == "iteration":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: LockSuspect) -> Finding:
    writer = suspect.steps[0].site
    function = qualified_name(writer.function)
    if suspect.detail == "threads":
        message = (
            f"`{suspect.text}` is iterated without `{describe.lock_text(suspect)}`, under which `{function}` changes "
            f"its size (line {writer.row}): a thread in between ends the loop with RuntimeError"
        )
    else:
        message = (
            f"`{suspect.text}` is iterated with an await between two items, and `{function}` changes its size (line "
            f"{writer.row}): a task in between ends the loop with RuntimeError"
        )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        message=message,
        suggestion="iterate over a copy, taken under the lock",
        confidence=Confidence.HIGH,
    )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.locks.repair import copied

    return copied(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a container is iterated while another thread or task may change its size",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="iterate over a copy (unsafe)",
)

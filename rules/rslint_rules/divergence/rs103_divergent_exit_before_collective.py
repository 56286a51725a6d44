"""# divergent-exit-before-collective (RS103)

## What it does
Reports a test that leaves a function, loop or block before a collective when its outcome may differ between ranks:
a container that is shown to be filled on some ranks only, a health or readiness predicate, a poll of a remote store,
the file system, a rank.

## Why is this bad?
The rank that leaves never enters the collective; the ranks that stay wait for it.

## Example
```python
def poll(self, request_id):
    if request_id not in self.ongoing:  # registered only where the host pool had room
        return True
    done = torch.tensor(self.count(request_id))
    dist.all_reduce(done, op=dist.ReduceOp.MIN, group=self.group)
```

## Use instead
```python
def poll(self, request_id):
    mine = self.count(request_id) if request_id in self.ongoing else 0
    done = torch.tensor(mine)  # a neutral contribution
    dist.all_reduce(done, op=dist.ReduceOp.MIN, group=self.group)
```

## Fix and its safety
None: the neutral contribution of a rank that would have left is the author's to choose.

## Known limits
State is uniform until something shows otherwise: a container filled by the same broadcast requests everywhere is
right. The place that shows it is part of the finding's trace. Evidence is looked for two calls deep.

Reported by default, where the collective is at most three calls away:
- a test of the rank in this function, unless it asks for a pipeline's stage, and the collective stands here too or a
  callee runs it on every path;
- the file system, asked in the test itself;
- a container or attribute that is shown to be changed on some ranks only, an event, a remote answer, host memory, at
  most one call away;
- a future, asked by a predicate that the test calls;
- a global that another thread assigns, named in the test.

With `--preview`: clocks, queues, device memory, futures polled in the test itself, a flag that an exception has left
behind, and the above from farther away. So are exits that raise on evidence other than the rank, unless the exception
is known to be stopped: whoever raises there usually ends its process.

## References
sgl-project/sglang issues 26923, 27489 and 38284: early returns on state that each rank observes for itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.flow.suspects import Suspect
from rslint.rule import Rule
from rslint_rules.divergence import describe
from rslint_rules.places import line_text, place

CODE, NAME = "RS103", "divergent-exit-before-collective"
FARTHEST = 3
PIPELINE = "pp"  # its stages do different things on purpose
_SHOWN = frozenset({"container", "future", "event", "rpc", "thread", "host-allocation"})


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in analysis.suspects:
        if suspect.kind == "exit" and suspect.collective is not None:
            yield _finding(analysis, suspect, preview=not is_certain(suspect))


def is_certain(suspect: Suspect) -> bool:
    """The evidence that has held on real code; the rest is preview."""
    source, operation = suspect.sources[0], suspect.collective
    assert operation is not None
    if operation.hops > FARTHEST:
        return False
    if source.kind != "rank" and suspect.survival is not None and not suspect.survival.lives:
        # Who raises here ends its process: a check of the input, not a way to part.
        return False
    if source.kind == "rank":
        # Behind a call, a condition on the way may be what keeps the other ranks out.
        sure = operation.hops == 0 or operation.certain
        return source.hops == 0 and sure and source.axis != PIPELINE
    if source.kind == "filesystem":
        return source.hops == 0 and source.site.row == suspect.site.row
    if source.kind == "future":
        # A predicate over a future (`is_ready`); a loop that polls its own futures is usually the leader's.
        return source.hops == 1
    if source.kind == "thread":
        return source.text in suspect.text
    if source.origin == "caught" and not source.part:
        # A flag that a failure left behind parts the ranks only if they have survived that failure.
        return False
    return source.kind in _SHOWN and source.hops <= 1 and source.origin != "device-allocation"


def _finding(analysis: Analysis, suspect: Suspect, *, preview: bool) -> Finding:
    source, operation = suspect.sources[0], suspect.collective
    assert operation is not None
    where = place(analysis, operation.site)
    here = place(analysis, suspect.site)
    message = (
        f"some ranks leave here on `{suspect.text}` ({describe.source_text(source)}) and never enter "
        f"`{operation.name}` on {line_text(where, here)}, in which the others wait"
    )
    shown = tuple(Related(place(analysis, s.site), s.text) for s in source.steps)
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH if source.kind == "rank" and source.hops == 0 else Confidence.MEDIUM,
        message=message,
        related=(Related(where, f"`{operation.name}` is skipped by the ranks that leave"), *shown),
        trace=describe.source_steps(analysis, suspect),
        these="ranks that leave here",
        suggestion=f"let every rank enter `{operation.name}`, with a neutral contribution where there is nothing to do",
        preview=preview,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="some ranks leave before a collective on state that each rank sees for itself",
    documentation=__doc__ or "",
    check=check,
)

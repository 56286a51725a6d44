"""# collective-in-divergent-branch (RS102)

## What it does
Reports a branch that ranks of one group take differently while its arms run different collectives on that group.

## Why is this bad?
The ranks that take one arm wait in a collective that the others never enter, or that they enter as another operation.

## Example
```python
if dist.get_rank() == 0:
    save(model)
    dist.barrier()  # only rank 0 comes here
```

## Use instead
```python
if dist.get_rank() == 0:
    save(model)
dist.barrier()  # every rank comes here
```
`new_group`, `destroy_process_group`, the DistributedDataParallel constructor and the saving and loading of
distributed checkpoints are collectives over all ranks as well.

## Fix and its safety
None: which ranks should run the collective is a decision.

## Known limits
A test of one axis (`pp_rank == 0`) is uniform within a group of another (a tensor-parallel group): such branches are
right and not reported. So are collectives of a group that is made for the ranks that pass the test. Arms that run the
same operations some of which are conditional (a sender's loop and a receiver's loop) are taken for a protocol.

Reported by default: a test of the rank in this function, and a collective in it, or at most three calls away and there
on every path. Tests of the rank that a callee makes, tests of a pipeline's stage, evidence other than the rank (a
container, a file, a remote answer), collectives four calls away and those that a callee runs under a condition are
reported with `--preview`; what is farther away is not seen.

## References
PARCOACH (Saillard et al. 2014) finds this for MPI; huggingface/transformers issue 7365 is a real case.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.flow.suspects import Suspect
from rslint.rule import Rule
from rslint_rules.divergence import describe
from rslint_rules.places import line_text, place

CODE, NAME = "RS102", "collective-in-divergent-branch"
FARTHEST = 3
PIPELINE = "pp"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in analysis.suspects:
        if suspect.kind == "branch" and suspect.collective is not None:
            yield _finding(analysis, suspect, preview=not is_certain(suspect))


def is_certain(suspect: Suspect) -> bool:
    """A test of the rank itself in this function, and a collective that is near: what held on real code. The stages of
    a pipeline hand over to each other: what one sends on one path the next receives on another."""
    source = suspect.sources[0]
    assert suspect.collective is not None
    if source.kind != "rank" or source.axis == PIPELINE:
        return False
    # Behind a call, a condition on the way may be what keeps the other ranks out.
    sure = suspect.collective.hops == 0 or suspect.collective.certain
    return source.hops == 0 and sure and suspect.collective.hops <= FARTHEST


def _finding(analysis: Analysis, suspect: Suspect, *, preview: bool) -> Finding:
    source, operation = suspect.sources[0], suspect.collective
    assert operation is not None
    where = place(analysis, operation.site)
    here = place(analysis, suspect.site)
    message = (
        f"ranks take different arms of `{suspect.text}` ({describe.source_text(source)}), and only one arm runs "
        f"`{operation.name}` on {line_text(where, here)}: its ranks wait for the others"
    )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH if source.hops == 0 and operation.hops == 0 else Confidence.MEDIUM,
        message=message,
        related=(Related(where, f"`{operation.name}` runs on some ranks only"),),
        trace=describe.source_steps(analysis, suspect),
        these="ranks that take the other arm",
        suggestion=f"let every rank of the group run `{operation.name}`, and keep only the local work in the branch",
        preview=preview,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="the arms of a branch that differs between ranks run different collectives",
    documentation=__doc__ or "",
    check=check,
)

"""# collective-in-error-path (RS105)

## What it does
Reports a collective in an `except` block that ranks without the exception do not run.

## Why is this bad?
The exception has a reason of one rank alone (a network call, a file, a callback). That rank enters the handler's
collective; its peers are elsewhere and never join it.

## Example
```python
try:
    shard = self.client.fetch(name)
except ConnectionError:
    dist.barrier()  # only the ranks whose fetch failed come here
    raise
```

## Use instead
```python
failed = False
try:
    shard = self.client.fetch(name)
except ConnectionError:
    failed = True
flag = torch.tensor(int(failed))
dist.all_reduce(flag, op=dist.ReduceOp.MAX)  # every rank comes here
if flag.item():
    raise RuntimeError("a rank could not fetch its shard")
```

## Fix and its safety
None: what the ranks should do together after a failure of one is a decision.

## Known limits
Only handlers of exceptions that one rank alone may see are considered; an exception that every rank raises brings
all of them into the handler. A handler that repeats the collective of the normal path is right.

Reported by default: a service, a native engine, a timeout, a callback or the body of a `with` statement raises, and the
collective stands in the handler or one call away. Files, shared memory, processes and calls that only the handler
expects to raise are reported with `--preview`, and so are collectives that are farther away or end the group
(`destroy_process_group`).

## References
mosaicml/composer issue 2117: a rank out of memory enters an all_reduce while its peers are in another collective.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.aftermath import ENDING
from rslint.flow.analysis import Analysis
from rslint.flow.suspects import Suspect
from rslint.rule import Rule
from rslint_rules.divergence import describe
from rslint_rules.places import line_text, place

CODE, NAME = "RS105", "collective-in-error-path"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in analysis.suspects:
        if suspect.kind == "handler" and suspect.collective is not None:
            yield _finding(analysis, suspect, preview=not is_certain(suspect))


def is_certain(suspect: Suspect) -> bool:
    """A strong reason, and the collective in the handler itself or one call away."""
    assert suspect.collective is not None
    if suspect.collective.name in ENDING:
        return False
    return suspect.reasons[0][0].strength <= 2 and suspect.collective.hops <= 1


def _finding(analysis: Analysis, suspect: Suspect, *, preview: bool) -> Finding:
    (reason, raising), operation = suspect.reasons[0], suspect.collective
    assert operation is not None
    where = place(analysis, raising)
    here = place(analysis, operation.entry)
    message = (
        f"only ranks on which {describe.call_text(suspect, reason)} on {line_text(where, here)} raised"
        f"{describe.exception_text(suspect, reason)} run this `{operation.name}`; the others never join it"
    )
    moved = describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH if reason.certainty == "code" else Confidence.MEDIUM,
        message=message,
        related=(Related(where, f"{describe.reason_text(reason)} raises on some ranks only"),),
        trace=describe.reason_steps(analysis, suspect),
        these="ranks in the handler",
        suggestion="record the failure in the handler and agree on it after the try statement, on every rank",
        preview=preview,
    )
    return _at_collective(analysis, moved, suspect)


def _at_collective(analysis: Analysis, finding: Finding, suspect: Suspect) -> Finding:
    """The finding stands on the handler's collective, or on the call that leads to it."""
    from dataclasses import replace

    operation = suspect.collective
    if operation is None:
        return finding
    at = place(analysis, operation.entry)
    return replace(finding, place=at, noqa_rows=(at.row, at.end_row))


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a collective in an except block that ranks without the exception do not run",
    documentation=__doc__ or "",
    check=check,
)

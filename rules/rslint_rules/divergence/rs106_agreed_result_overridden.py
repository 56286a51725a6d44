"""# agreed-result-overridden (RS106)

## What it does
Reports a constant that some ranks assign to a name holding a value that a collective has just made equal everywhere,
when that name then decides something or is returned.

## Why is this bad?
The ranks had agreed. After the assignment one of them answers differently: its caller takes another path, and a later
collective finds only some of the ranks.

## Example
```python
dist.all_reduce(flag, op=dist.ReduceOp.MIN, group=self.group)
ok = bool(flag.item())
if self.rank == 0:
    try:
        self.client.finish(session)
    except ConnectionError:
        ok = False  # rank 0 alone says no
return ok
```

## Use instead
Finish before the reduction, so that its outcome is part of what is reduced; or return the agreed value on every rank
and carry the failure to the peers with the next exchange.

## Fix and its safety
None: agreeing again costs a collective on the path that succeeds, and carrying the outcome is a change of protocol.

## Known limits
Only True, False and integers without a sign, assigned under a rank test, in the handler of an input/output error, or
behind a handler that leaves. The name must be tested by `if` or `while`, or returned, before it is bound anew.
Statements are read in the order of the text. All such findings are reported by default.

## References
alibaba/tair-kvcache pull request 102, whose review names this divergence.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.flow.suspects import Suspect
from rslint.rule import Rule
from rslint_rules.divergence import describe
from rslint_rules.places import line_text, place

CODE, NAME = "RS106", "agreed-result-overridden"


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in analysis.suspects:
        if suspect.kind == "override":
            yield _finding(analysis, suspect)


def _finding(analysis: Analysis, suspect: Suspect) -> Finding:
    source = suspect.sources[0]
    name = suspect.text.partition(" = ")[0]
    related: tuple[Related, ...] = ()
    at = ""
    if suspect.sibling is not None:
        where = place(analysis, suspect.sibling)
        here = place(analysis, suspect.site)
        related = (Related(where, f"`{name}` is made equal on all ranks here"),)
        at = f" on {line_text(where, here)}"
    message = (
        f"all ranks agreed on `{name}`{at}, and here only some of them set `{suspect.text}` "
        f"({describe.source_text(source)}): from now on the ranks answer differently"
    )
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.HIGH if source.kind == "rank" else Confidence.MEDIUM,
        message=message,
        related=related,
        trace=describe.source_steps(analysis, suspect),
        these="ranks that override",
        suggestion="do what may fail before the ranks agree, or carry its outcome to the peers",
        preview=False,
    )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="some ranks overwrite a value on which all ranks had agreed",
    documentation=__doc__ or "",
    check=check,
)

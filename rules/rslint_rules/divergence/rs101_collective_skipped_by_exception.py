"""# collective-skipped-by-exception (RS101)

## What it does
Reports a call that may raise on one rank while the ranks on which it does not raise go on to a collective. A call may
raise for a reason of one rank alone when it talks to a network, RPC or storage service or to a native transfer
engine, waits with a timeout, runs a callback or the body of a `with` statement, opens a file or shared memory, starts
a process, or when the author's own handler expects it to.

## Why is this bad?
A collective ends when every rank of its group has entered it. The rank that raised is on its way to a handler; its
peers wait: for ever where the exception is swallowed and the process lives on (severity error), until the group's
timeout where the process dies or no caller in the project stops the exception (severity warning).

## Example
```python
def save(self, keys):
    if self.rank == 0:
        ticket = self.client.start_write(keys)  # raises ConnectionError on rank 0 only
    else:
        ticket = None
    box = [ticket]
    dist.broadcast_object_list(box, src=0, group=self.group)  # the others wait here
```

## Use instead
```python
def save(self, keys):
    ticket, error = None, None
    if self.rank == 0:
        try:
            ticket = self.client.start_write(keys)
        except Exception as raised:
            error = raised
    box = [(ticket, error and repr(error))]
    dist.broadcast_object_list(box, src=0, group=self.group)  # every rank gets here
    ticket, failure = box[0]
    if failure is not None:
        raise error or RuntimeError(failure)
```

## Fix and its safety
Safe where the outcome travels in what is sent anyway: the leader's object broadcast becomes an envelope, or the
failure folds into the flag that is reduced. Otherwise a guard agrees on the outcome with one small extra collective;
that fix is unsafe. With `fix-style = "runtime"` the fixes use `broadcast_result` and `rank_guard` of rslint-runtime.
None is offered in coroutines and generators, in compiled code and CUDA graphs, or where the call and the collective do
not share a statement list.

## Known limits
Only exceptions with a reason of one rank alone are considered: an error in the program's own logic raises on every
rank, or is a bug of another kind. Calls are followed three deep to what raises, and seven up to what stops the
exception; what tests, examples, benchmarks and tools catch does not count for other code. A main function that only
reports the exception and returns ends its process.

Reported by default:
- The process lives on, and a service, a native engine, a timeout, a callback or the body of a `with` statement raises;
  the handler is at most four calls up.
- The process lives on, and a call to the operating system raises (files, shared memory, processes); the call, its
  handler and the collective are close by.
- The process does not live on, and one of the first kind raises on the leader only; or the body of a `with` statement
  raises; or a service, an engine or a timeout raises inside a handler that expects such errors and leaves.

The collective is at most three calls away. Other reasons, collectives that are farther away and those that end the
group (`destroy_process_group`) are reported with `--preview`. Where the process does not live on and every rank runs
the call, nothing else is reported: the launcher ends the peers.

## References
MPI Forum, "MPI: A Message-Passing Interface Standard" 4.1, section 6.14 (collective calls must be entered by all);
alibaba/tair-kvcache pull request 102, where rank 0's manager call raised before a broadcast.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Fix, Related, Severity
from rslint.flow.aftermath import ENDING
from rslint.flow.analysis import Analysis
from rslint.flow.suspects import Suspect
from rslint.rule import FixRequest, Rule
from rslint_rules.divergence import describe
from rslint_rules.places import line_text, place

CODE, NAME = "RS101", "collective-skipped-by-exception"
FARTHEST = 3
NEAREST = 3
FARTHEST_HANDLER = 4


def check(analysis: Analysis) -> Iterable[Finding]:
    for suspect in analysis.suspects:
        if suspect.kind == "exception" and suspect.collective is not None:
            tier = tier_of(suspect)
            if tier is not None:
                yield _finding(analysis, suspect, preview=tier == "preview")


def tier_of(suspect: Suspect) -> str | None:
    """Where it shows: "default" if such evidence has held on real code, "preview" if plausible, None if noise."""
    reason = suspect.reasons[0][0]
    assert suspect.collective is not None
    assert suspect.survival is not None
    near = suspect.collective.hops <= FARTHEST and suspect.collective.name not in ENDING
    if suspect.survival.lives:
        strong = reason.strength <= 2 and len(suspect.survival.steps) <= FARTHEST_HANDLER
        # A local call (a file, shared memory) counts where the handler and the collective are close by.
        close = (
            len(suspect.survival.steps) <= 1 and len(reason.steps) <= NEAREST and suspect.collective.hops == 0
        )
        local = reason.strength == 5 and close and reason.certainty != "hierarchy"
        return "default" if (strong or local) and near else "preview"
    if suspect.leader_only and reason.strength <= 2:
        return "default" if near else "preview"
    if reason.kind == "body" or (reason.strength == 1 and suspect.expected):
        return "default" if near else "preview"
    return "preview" if suspect.leader_only else None


def _finding(analysis: Analysis, suspect: Suspect, *, preview: bool) -> Finding:
    reason, _ = suspect.reasons[0]
    operation = suspect.collective
    assert operation is not None
    assert suspect.survival is not None
    lives = suspect.survival.lives
    where = place(analysis, operation.site)
    here = place(analysis, suspect.site)
    who = "the leader" if suspect.leader_only else "some ranks"
    message = (
        f"{describe.call_text(suspect, reason)} may raise on {who}{describe.exception_text(suspect, reason)}, and then "
        f"skips `{operation.name}` on {line_text(where, here)} in which the other ranks wait; "
        f"{describe.fate_text(suspect)}"
    )
    related = [Related(where, f"`{operation.name}` is skipped by the rank that raises")]
    for other, site in suspect.reasons[1:]:
        related.append(Related(place(analysis, site), f"also raises: {describe.reason_text(other)}"))
    return describe.finding(
        analysis,
        suspect,
        code=CODE,
        name=NAME,
        severity=Severity.ERROR if lives else Severity.WARNING,
        confidence=Confidence.HIGH if reason.certainty == "code" else Confidence.MEDIUM,
        message=message,
        related=tuple(related),
        trace=describe.reason_steps(analysis, suspect),
        these="ranks that raise here",
        suggestion=(
            f"catch the exception, let every rank reach `{operation.name}`, and send the outcome with it "
            "(or agree on it before)"
        ),
        preview=preview,
    )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.divergence.repair import repair

    return repair(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a call that may raise on one rank stands before a collective that the other ranks enter",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="sometimes (safe envelope or folded flag; otherwise an unsafe guard)",
)

"""The repair of RS101: the form that fits the function is chosen here, the safest first.

1. result envelope (safe): a leader produces, then an object broadcast carries the result;
2. fold into the flag (safe): what raises decides a success flag that a reduction shares;
3. guard (unsafe): an agreement before the skipped collective; `rank_guard` where the runtime is enabled.

Where the runtime is enabled and the passage is exactly "produce, broadcast, take out", `broadcast_result`
comes first.

Not offered for coroutines and generators, inside `torch.compile`d or CUDA-graph code, where the raising call
and the collective do not share a statement list, and wherever a precondition is not clear: a wrong repair is
worse than none.
"""

from __future__ import annotations

from rslint.finding import Finding, Fix
from rslint.project.config import runtime_of
from rslint.rule import FixRequest
from rslint_rules.divergence.repair.envelope import envelope
from rslint_rules.divergence.repair.fold import fold
from rslint_rules.divergence.repair.guard import guard
from rslint_rules.divergence.repair.plan import NotCarriedOut, Plan
from rslint_rules.divergence.repair.result import result
from rslint_rules.divergence.repair.rewrite import edits_of
from rslint_rules.divergence.repair.site import Site, locate, rows


def repair(request: FixRequest) -> Fix | None:
    """The repair of one RS101 finding in the style its project asks for, or None where none is offered."""
    runtime = runtime_of(request.analysis.project.config)
    return repaired(request.source.text, request.finding, runtime)


def repaired(text: str, finding: Finding, runtime_module: str | None = None) -> Fix | None:
    """The repair of a finding in a file with this text; it may call `runtime_module` unless that is None."""
    site = locate(text, finding)
    if site is None:
        return None
    plan = _chosen(site, finding, runtime_module, text)
    if plan is None:
        return None
    try:
        edits = edits_of(plan, finding.place.filename, text, site.module, site.function)
    except NotCarriedOut:
        return None
    return Fix(plan.applicability, plan.message, edits)


def _chosen(site: Site, finding: Finding, runtime_module: str | None, text: str) -> Plan | None:
    if runtime_module is not None and (plan := result(site, runtime_module, rows(text))):
        return plan
    return envelope(site) or fold(site, _follows_another(finding)) or guard(site, runtime_module)


def _follows_another(finding: Finding) -> bool:
    """Whether the ranks that do not fail run more than the one skipped collective."""
    longest = max((len(sequence.operations) for sequence in finding.sequences), default=0)
    return longest > 1

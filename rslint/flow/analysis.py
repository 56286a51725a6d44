"""The analysis of one project: everything a rule may ask, computed once and in an order that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.answers import divergence_of
from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge
from rslint.flow.parallel import find_suspects
from rslint.flow.reasons import DEPTH, function_reasons
from rslint.flow.record import FunctionRecord
from rslint.flow.relevant import compute_effects
from rslint.flow.survival import sites_in
from rslint.flow.suspects import Suspect
from rslint.models import Models
from rslint.project.index import Index
from rslint.project.links import Links
from rslint.project.parsing import without_cycle_collection
from rslint.project.project import Project


@dataclass(frozen=True)
class Analysis:
    """What rules see: the project, its links and models, and the places where ranks may part."""

    project: Project
    links: Links
    models: Models
    knowledge: Knowledge
    suspects: tuple[Suspect, ...]


def analyse(project: Project, index: Index, jobs: int | None = None) -> Analysis:
    """Effects of all functions that reach a collective, then the suspects of each, one per root."""
    links = Links(index)
    knowledge = Knowledge(links, project.models)
    with without_cycle_collection():
        compute_effects(knowledge)
        found = find_suspects(knowledge, jobs)
    return Analysis(project, links, project.models, knowledge, _roots(found))


def _roots(found: list[Suspect]) -> tuple[Suspect, ...]:
    """A raise that a callee's own finding already reports is not reported again in its callers."""
    reported = {
        (place.function, place.row, place.column)
        for suspect in found
        if suspect.kind in ("exception", "handler")
        for _, place in suspect.reasons
    }
    overridden = {(s.function, s.text.partition(" = ")[0]) for s in found if s.kind == "override"}
    nearest: dict[Site, int] = {}
    for suspect in found:
        if _is_body(suspect) and suspect.collective is not None:
            site, hops = suspect.collective.site, suspect.collective.hops
            nearest[site] = min(hops, nearest.get(site, hops))
    kept = []
    for suspect in found:
        if _is_body(suspect) and _wraps(suspect, nearest):
            continue
        if suspect.kind in ("exit", "branch") and (suspect.function, suspect.text) in overridden:
            continue
        if suspect.kind == "exception":
            inner = [
                step.site
                for reason, _ in suspect.reasons[:1]
                for step in reason.steps[1:]
                if (step.site.function, step.site.row, step.site.column) in reported
            ]
            if inner:
                continue
        kept.append(suspect)
    return tuple(kept)


def _wraps(suspect: Suspect, nearest: dict[Site, int]) -> bool:
    """A context that only wraps another one is not another root."""
    return suspect.collective is not None and suspect.collective.hops > nearest[suspect.collective.site]


def _is_body(suspect: Suspect) -> bool:
    return suspect.kind == "exception" and suspect.reasons[0][0].kind == "body"


def record_of(knowledge: Knowledge, identity: str) -> FunctionRecord:
    """The record of one function: all that callers may know of it."""
    divergence = divergence_of(knowledge, identity)
    tree = knowledge.effects.get(identity, 0)
    return FunctionRecord(
        identity,
        tuple(knowledge.forest.encode(tree)),
        function_reasons(knowledge, identity, DEPTH),
        tuple(sorted(divergence.returns, key=lambda s: (s.kind, s.text, s.site.row))),
        divergence.evidence,
        sites_in(knowledge, identity, "ConnectionError"),
    )

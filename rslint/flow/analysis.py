"""The analysis of one project: everything a rule may ask, computed once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar, cast

from rslint.flow.answers import divergence_of
from rslint.flow.compare import suspects_of
from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge
from rslint.flow.override import overrides_of
from rslint.flow.parallel import asked_of_each
from rslint.flow.reasons import DEPTH, function_reasons
from rslint.flow.record import FunctionRecord, place_of
from rslint.flow.relevant import compute_effects
from rslint.flow.survival import sites_in
from rslint.flow.suspects import Suspect
from rslint.models import Models
from rslint.project.index import Index
from rslint.project.links import Links
from rslint.project.parsing import without_cycle_collection
from rslint.project.project import Project

T = TypeVar("T")


@dataclass(frozen=True)
class Analysis:
    """What rules see: the project, its links and models, and what each family of rules asks for when it runs.

    `jobs` are the processes that may take part, None for one for each usable CPU.
    """

    project: Project
    links: Links
    models: Models
    knowledge: Knowledge
    jobs: int | None = None
    memory: dict[str, object] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def effects(self) -> Mapping[str, int]:
        """The effect tree of every function that reaches a collective."""
        with without_cycle_collection():
            compute_effects(self.knowledge)
        return self.knowledge.effects

    @cached_property
    def suspects(self) -> tuple[Suspect, ...]:
        """The places where ranks may part, one per root, from the effects of the functions."""
        with without_cycle_collection():
            return _roots(find_suspects(self.knowledge, sorted(self.effects), self.jobs))

    def once(self, question: str, compute: Callable[[], T]) -> T:
        """What `compute` answers, computed when the question is asked for the first time."""
        if question not in self.memory:
            with without_cycle_collection():
                self.memory[question] = compute()
        return cast(T, self.memory[question])


def analyse(project: Project, index: Index, jobs: int | None = None) -> Analysis:
    """The analysis of an indexed project. Nothing is computed before a rule asks for it."""
    links = Links(index)
    return Analysis(project, links, project.models, Knowledge(links, project.models), jobs)


def find_suspects(knowledge: Knowledge, identities: Sequence[str], jobs: int | None) -> list[Suspect]:
    """The suspects of functions whose effects are known, in order of function and place."""
    return asked_of_each(knowledge, identities, _suspects, jobs)


def _suspects(knowledge: Knowledge, identity: str) -> Iterator[Suspect]:
    yield from suspects_of(knowledge, identity)
    yield from overrides_of(knowledge, identity)


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


def record_of(analysis: Analysis, identity: str) -> FunctionRecord:
    """The record of one function: all that callers may know of it."""
    knowledge = analysis.knowledge
    divergence = divergence_of(knowledge, identity)
    tree = analysis.effects.get(identity, 0)
    return FunctionRecord(
        identity,
        tuple(knowledge.forest.encode(tree)),
        function_reasons(knowledge, identity, DEPTH),
        tuple(sorted(divergence.returns, key=lambda s: (s.kind, place_of(s)))),
        divergence.evidence,
        sites_in(knowledge, identity, "ConnectionError"),
    )

"""Attached segments that the resource tracker of an unrelated process unlinks when that process ends (RS302).

Before Python 3.13 every `SharedMemory` registers with the tracker of its process, be it the maker's or not, and the
tracker unlinks what is registered when its processes have ended. Children of one `multiprocessing` parent share a
tracker, so attaching is harmless there: only a relation between the processes makes it a mistake. Three are known.

- "ranks": a launcher (torchrun, mpirun, Ray) started them, each with a tracker of its own. Shown by code in which
  whoever comes first makes the segment and the others attach it, in a project that reads its rank and starts no
  processes of its own.
- "forked": a child that was forked before its parent had a tracker starts another one when it attaches.
- "daemon": the author says so: the function's own texts speak of a daemon, and nothing beside it makes the segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_named, calls_of
from rslint.flow.survival import uses_of
from rslint.models import starter_of
from rslint.models.segment_queries import untracks
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import expressions, last_name, statements, walk
from rslint.segments.arguments import ATTACH, CREATE
from rslint.segments.handling import NO_TEXTS, aliases, function_removes
from rslint.segments.openings import Opening, Openings

_DAEMON = re.compile(r"\bdaemons?\b", re.IGNORECASE)
_TRACKER = "resource_tracker"
_RANK_VARIABLES = ("LOCAL_RANK", "RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")


@dataclass(frozen=True)
class TrackedAttach:
    """An attach that registers; `relation` is "ranks", "forked", "daemon" or "" where nothing shows one. `evidence` is
    the place that does."""

    function: str
    opening: Opening
    site: Site
    statement: Site
    relation: str
    evidence: Site | None


def tracked_attaches(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[TrackedAttach]:
    """The attaches that the tracker hears of, in order of place."""
    for identity in concerned:
        for opening in openings.get(identity, ()):
            if opening.kind != ATTACH or not opening.tracked or opening.helper is not None:
                continue
            if _is_untracked(k, identity) or _removes_it(k, identity, opening):
                continue
            relation, evidence = _relation(k, identity, opening, openings)
            call, statement = site_of(identity, opening.call), site_of(identity, opening.statement)
            yield TrackedAttach(identity, opening, call, statement, relation, evidence)


def _is_untracked(k: Knowledge, identity: str) -> bool:
    """A module that speaks of the tracker knows what it does; so does a function that calls what unregisters, or a
    function of such a module."""
    knowing = frozenset(k.links.modules_naming(_TRACKER))
    if identity.partition(":")[0] in knowing:
        return True
    for call, _ in calls_of(k, identity):
        target = meaning_of(k, identity, call).target
        if untracks(k.models, target.external, target.text):
            return True
        if any(callee.partition(":")[0] in knowing for callee in target.functions):
            return True
    return False


def _removes_it(k: Knowledge, identity: str, opening: Opening) -> bool:
    """Who unlinks what it attached takes it off the list."""
    if not opening.holders:
        return False
    holders = aliases(k.links.ir(identity), opening.holders)
    return function_removes(k, identity, holders, NO_TEXTS)


def _relation(k: Knowledge, identity: str, opening: Opening, openings: Openings) -> tuple[str, Site | None]:
    made = _made_beside(k, identity, openings)
    if made is None:
        said = _speaks_of_a_daemon(k, identity)
        return ("", None) if said is None else ("daemon", said)
    started = _forked_before(k, identity, made[0])
    if started is not None:
        return "forked", started
    if _are_ranks(k):
        return "ranks", site_of(made[0], made[1].call)
    return "", None


def _speaks_of_a_daemon(k: Knowledge, identity: str) -> Site | None:
    """The first text in a function, its docstring included, that names a daemon."""
    for s in statements(k.links.ir(identity).body):
        for e in expressions(s):
            for part in walk(e):
                if (
                    isinstance(part, ir.Constant)
                    and isinstance(part.value, str)
                    and _DAEMON.search(part.value)
                ):
                    return site_of(identity, part)
    return None


def _made_beside(k: Knowledge, identity: str, openings: Openings) -> tuple[str, Opening] | None:
    """Where the same function, or another method of the class, makes a segment."""
    owner = k.links.owner_of(identity)
    methods = [m for _, m in k.links.class_facts(owner).methods] if owner is not None else []
    for function in (identity, *methods):
        for opening in openings.get(function, ()):
            if opening.kind == CREATE or (function != identity and opening.kind != ATTACH):
                return function, opening
    return None


def _forked_before(k: Knowledge, identity: str, maker: str) -> Site | None:
    """Where the attaching function is started as a process by one that has not made the segment yet: a constructor."""
    for use in uses_of(k, identity, "Exception"):
        starter = use.site.function
        if use.how != "process" or maker in (starter, identity) or not starter.endswith(".__init__"):
            continue
        if not calls_named(k, starter, maker.rpartition(".")[2]) and not _is_spawned(k, starter):
            return use.site
    return None


def _is_spawned(k: Knowledge, starter: str) -> bool:
    """Whether the starter asks for a way of starting in which children are handed the parent's tracker."""
    return any(
        isinstance(part, ir.Constant) and part.value in ("spawn", "forkserver")
        for s in statements(k.links.ir(starter).body)
        for e in expressions(s)
        for part in walk(e)
    )


def _are_ranks(k: Knowledge) -> bool:
    """Whether the project is told its rank by a launcher, and starts no processes of its own."""

    def compute() -> bool:
        named = {m for word in _RANK_VARIABLES for m in k.links.modules_naming(word)}
        if not any(not outside_production(module) for module in named):
            return False
        return not any(_starts_a_process(k, f) for name in _STARTERS for f in k.links.calling(name))

    return k.links.remember("launched ranks", compute)


_STARTERS = ("Process", "spawn", "start_processes", "SpawnProcess", "ForkProcess")


def _starts_a_process(k: Knowledge, identity: str) -> bool:
    if outside_production(identity.partition(":")[0]):
        return False
    for call, _ in calls_of(k, identity):
        if last_name(call.func) in _STARTERS:
            target = meaning_of(k, identity, call).target
            if starter_of(k.models, target.external, target.text) == "process":
                return True
    return False

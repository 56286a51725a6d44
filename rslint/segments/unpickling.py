"""Segments that are opened while an object is unpickled: `__setstate__`, and what `__reduce__` names (RS306).

A collective that carries objects unpickles them on every receiving rank, inside the operation. An open that raises
there ends it on one rank only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_of
from rslint.models.segment_queries import publishes
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import statements
from rslint.segments.arguments import CREATE
from rslint.segments.openings import Opening, Openings
from rslint.segments.surroundings import stopped_here

_REDUCING = ("__reduce__", "__reduce_ex__")


@dataclass(frozen=True)
class Rebuilding:
    """An opening that unpickling an instance of `owner` runs into; `via` is the method that makes it so."""

    owner: str
    via: str
    function: str
    opening: Opening


@dataclass(frozen=True)
class UnpicklingOpen:
    """An unprotected one, in a project that sends objects through a collective at `collective`."""

    rebuilding: Rebuilding
    site: Site
    statement: Site
    collective: Site


def rebuildings(k: Knowledge, openings: Openings) -> tuple[Rebuilding, ...]:
    """Every opening that unpickling runs into, in order of class and function."""
    found: list[Rebuilding] = []
    for identity, opened in openings.items():
        attached = [o for o in opened if o.kind != CREATE]
        owner = k.links.owner_of(identity)
        for opening in attached:
            if owner is not None and identity.endswith(".__setstate__"):
                found.append(Rebuilding(owner, identity, identity, opening))
            for reducing in _reducing_to(k, identity, owner):
                found.append(Rebuilding(reducing.rpartition(".")[0], reducing, identity, opening))
    return tuple(sorted(found, key=lambda r: (r.owner, r.function, r.opening.call.span.row)))


def _reducing_to(k: Knowledge, identity: str, owner: str | None) -> Iterator[str]:
    """The `__reduce__` methods that name this function, or the class whose constructor it is."""
    if owner is not None and identity.endswith(".__init__"):
        for name in _REDUCING:
            method = k.links.method(owner, name)
            if method is not None and _reduces_to(k, method, {owner}, own=True):
                yield method
    if owner is None:
        name = identity.rpartition(":")[2]
        for user in k.links.mentioning(name):
            if user.endswith(_REDUCING) and _reduces_to(k, user, {identity}, own=False):
                yield user


def _reduces_to(k: Knowledge, method: str, wanted: set[str], *, own: bool) -> bool:
    for s in statements(k.links.ir(method).body):
        if not isinstance(s, ir.Return) or not isinstance(s.value, ir.Collection) or not s.value.items:
            continue
        maker = s.value.items[0]
        if own and isinstance(maker, ir.Attribute) and maker.attr == "__class__":
            return True
        if own and isinstance(maker, ir.Call) and isinstance(maker.func, ir.Name) and maker.func.id == "type":
            return True
        target = k.links.resolve(method, maker)
        if wanted & {*target.functions, target.constructs or ""}:
            return True
    return False


def unpickling_opens(k: Knowledge, openings: Openings) -> Iterator[UnpicklingOpen]:
    """The openings while unpickling that may raise out of a collective of the project."""
    found = [
        one
        for one in rebuildings(k, openings)
        if not outside_production(one.function.partition(":")[0])
        and not stopped_here(k, one.function, one.opening.call, "FileNotFoundError")
    ]
    collective = object_collective(k) if found else None
    for one in found if collective is not None else ():
        site = site_of(one.function, one.opening.call)
        assert collective is not None
        yield UnpicklingOpen(one, site, site_of(one.function, one.opening.statement), collective)


def object_collective(k: Knowledge) -> Site | None:
    """The first place where the project sends objects through a collective, or unpickles what one has brought."""

    def compute() -> Site | None:
        for name in sorted(k.models.segments.publication_names):
            for identity in k.links.calling(name):
                if outside_production(identity.partition(":")[0]):
                    continue
                for call, _ in calls_of(k, identity):
                    target = meaning_of(k, identity, call).target
                    if publishes(k.models, target.external, target.text, target.receiver_types):
                        return site_of(identity, call)
        return None

    return k.links.remember("object collective", compute)

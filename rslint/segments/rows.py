"""Segments made one after the other into a container that only the function knows (RS303).

When the next one cannot be made, those before it are lost with the container: a comprehension has no name yet, a local
list or dict has one that a handler could use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import guarded_calls
from rslint.project import ir
from rslint.project.text import blocks, dotted, expressions, last_name, walk
from rslint.segments.arguments import CREATE
from rslint.segments.handling import registers
from rslint.segments.openings import Opening, Openings


@dataclass(frozen=True)
class LostRow:
    """`container` is the local name that holds the segments so far, "" where none does."""

    function: str
    site: Site
    statement: Site
    container: str


def lost_rows(k: Knowledge, identity: str, openings: Openings) -> Iterator[LostRow]:
    """The rows of one function that a failure in their middle leaves behind, in order of place."""
    function = k.links.ir(identity)
    for opening in openings.get(identity, ()):
        if opening.kind != CREATE or opening.by_name:
            continue
        container = _container(function, opening)
        if container is None or _is_cleaned(k, function, opening, container):
            continue
        yield LostRow(
            identity, site_of(identity, opening.call), site_of(identity, opening.statement), container
        )


def _container(function: ir.Function, opening: Opening) -> str | None:
    """Where the segments of a loop or comprehension go; None for a single one, and for what outlives the function."""
    for e in expressions(opening.statement):
        for part in walk(e):
            if isinstance(part, ir.Comprehension) and part.kind != "generator" and _makes(part, opening.call):
                return ""
    return _filled(opening) if _is_repeated(function.body, opening.statement) else None


def _makes(e: ir.Comprehension, call: ir.Call) -> bool:
    return any(part is call for element in e.elements for part in walk(element))


def _is_repeated(body: tuple[ir.Stmt, ...], statement: ir.Stmt, inside: bool = False) -> bool:
    for s in body:
        if s is statement:
            return inside
        for block in blocks(s):
            if _is_repeated(block, statement, inside or isinstance(s, ir.For | ir.While)):
                return True
    return False


def _filled(opening: Opening) -> str | None:
    """The local container that a statement puts the new segment into at once."""
    s = opening.statement
    if isinstance(s, ir.Assign) and s.value is opening.call and isinstance(s.targets[0], ir.Subscript):
        return _local(s.targets[0].value)
    call = s.value if isinstance(s, ir.ExprStmt) else None
    if (
        isinstance(call, ir.Call)
        and isinstance(call.func, ir.Attribute)
        and call.func.attr in ("append", "add")
    ):
        return _local(call.func.value) if any(a is opening.call for a in call.args) else None
    return None


def _local(e: ir.Expr) -> str | None:
    return e.id if isinstance(e, ir.Name) else None


def _is_cleaned(k: Knowledge, function: ir.Function, opening: Opening, container: str) -> bool:
    """Whether a handler around the creation removes something, or is given the container; or a cleaner is registered
    for it."""
    if container and _is_outer(function, container):
        return True
    for call, around in guarded_calls(function.body):
        if container and registers(k, function.identity, call, frozenset({container})):
            return True
        if call is not opening.call:
            continue
        for outer in around:
            if isinstance(outer, ir.Try):
                for undoing, _ in guarded_calls((*(s for h in outer.handlers for s in h.body), *outer.final)):
                    if _undoes(k, function.identity, undoing, container):
                        return True
    return False


def _is_outer(function: ir.Function, name: str) -> bool:
    """A parameter or global: somebody else knows what is in it."""
    return any(p.name == name for p in function.parameters)


def _undoes(k: Knowledge, identity: str, call: ir.Call, container: str) -> bool:
    if last_name(call.func) in k.models.segments.removal_names:
        return True
    if any(dotted(part) == container for a in call.args for part in walk(a)):
        return True
    return any(
        set(k.links.facts(f).calls) & k.models.segments.removal_names
        for f in meaning_of(k, identity, call).target.functions[:4]
    )

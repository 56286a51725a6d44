"""The backward slice of a function by names: which names can have a say in given expressions (Weiser 1984)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rslint.flow.knowledge import Knowledge
from rslint.project import ir
from rslint.project.anatomy import Dissected
from rslint.project.text import blocks, dotted, walk


class Read(NamedTuple):
    """What one expression of a statement reads: the names in it, and those of its parts that others answer for."""

    names: frozenset[str]
    asked: tuple[ir.Call | ir.Attribute | ir.Name, ...]


class Row(NamedTuple):
    """One statement: the names it binds and what its expressions read."""

    statement: ir.Stmt
    bound: frozenset[str]
    reads: tuple[Read, ...]


class Flow(NamedTuple):
    """Names that are bound or changed together, and what they come from: values and the tests around them."""

    targets: frozenset[str]
    origins: frozenset[str]


class Reading(NamedTuple):
    """The statements of a function in order, and how names flow into names."""

    rows: tuple[Row, ...]
    flows: tuple[Flow, ...]


def names_in(parts: Iterable[ir.Expr]) -> set[str]:
    """Names and dotted attributes that occur in the expressions."""
    return {name for part in parts for name in _names(walk(part))}


def _names(parts: Iterable[ir.Expr]) -> set[str]:
    found: set[str] = set()
    for e in parts:
        if isinstance(e, ir.Name):
            found.add(e.id)
        elif isinstance(e, ir.Attribute):
            name = dotted(e)
            if name is not None:
                found.add(name)
    return found


def reading_of(k: Knowledge, identity: str) -> Reading:
    """The reading of a function, made once."""
    known = k.readings.get(identity)
    if known is None:
        rows = {id(d.statement): _row(d) for d in k.links.anatomy(identity)}
        flows: list[Flow] = []
        _collect(k.links.ir(identity).body, frozenset(), rows, flows)
        known = k.readings[identity] = Reading(tuple(rows.values()), tuple(flows))
    return known


def _row(dissected: Dissected) -> Row:
    reads = [
        Read(
            frozenset(_names(e.parts)),
            tuple([part for part in e.parts if isinstance(part, ir.Call | ir.Attribute | ir.Name)]),
        )
        for e in dissected.evaluated
    ]
    return Row(dissected.statement, frozenset(names_in(_bound(dissected.statement))), tuple(reads))


def _bound(statement: ir.Stmt) -> tuple[ir.Expr, ...]:
    match statement:
        case ir.Assign():
            return statement.targets
        case ir.For():
            return (statement.target,)
        case ir.With():
            return tuple(item.target for item in statement.items if item.target is not None)
        case _:
            return ()


def _collect(
    body: tuple[ir.Stmt, ...], tests: frozenset[str], rows: dict[int, Row], flows: list[Flow]
) -> None:
    for statement in body:
        _, bound, reads = rows[id(statement)]
        read = frozenset[str]().union(*[part.names for part in reads])
        if isinstance(statement, ir.ExprStmt):
            flows.append(Flow(read, read | tests))
        elif bound:
            flows.append(Flow(bound, read | tests))
        nested = blocks(statement)
        for block in nested:
            _collect(block, tests | read, rows, flows)


def slice_of(reading: Reading, wanted: Iterable[ir.Expr]) -> frozenset[str]:
    """The names whose values may reach the wanted expressions: through assignments, and through the tests around
    those assignments."""
    names = names_in(wanted)
    grown = True
    while grown:
        grown = False
        for targets, origins in reading.flows:
            if not targets.isdisjoint(names) and not origins <= names:
                names |= origins
                grown = True
    return frozenset(names)

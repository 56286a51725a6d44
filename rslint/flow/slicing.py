"""The backward slice of a function by names: which names can have a say in given expressions (Weiser 1984)."""

from __future__ import annotations

from collections.abc import Iterable

from rslint.project import ir
from rslint.project.text import blocks, dotted, expressions, walk


def names_in(parts: Iterable[ir.Expr]) -> set[str]:
    """Names and dotted attributes that occur in the expressions."""
    found: set[str] = set()
    for part in parts:
        for e in walk(part):
            if isinstance(e, ir.Name):
                found.add(e.id)
            elif isinstance(e, ir.Attribute):
                name = dotted(e)
                if name is not None:
                    found.add(name)
    return found


def slice_of(function: ir.Function, wanted: Iterable[ir.Expr]) -> frozenset[str]:
    """The names whose values may reach the wanted expressions: through assignments, and through the tests around
    those assignments."""
    flows: list[tuple[set[str], set[str]]] = []
    _collect(function.body, set(), flows)
    names = names_in(wanted)
    grown = True
    while grown:
        grown = False
        for targets, read in flows:
            if not targets.isdisjoint(names) and not read <= names:
                names |= read
                grown = True
    return frozenset(names)


def _collect(body: tuple[ir.Stmt, ...], tests: set[str], flows: list[tuple[set[str], set[str]]]) -> None:
    for statement in body:
        read = names_in(expressions(statement))
        inner = tests | read if blocks(statement) else tests
        match statement:
            case ir.Assign():
                flows.append((names_in(statement.targets), read | tests))
            case ir.For():
                flows.append((names_in((statement.target,)), read | tests))
            case ir.With():
                targets = [item.target for item in statement.items if item.target is not None]
                flows.append((names_in(targets), read | tests))
            case ir.ExprStmt():
                flows.append((read, read | tests))
            case _:
                pass
        for block in blocks(statement):
            _collect(block, inner, flows)

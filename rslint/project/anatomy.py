"""A function taken apart once: its statements in order, and of each the expressions it evaluates with their parts."""

from __future__ import annotations

from typing import NamedTuple

from rslint.project import ir
from rslint.project.text import expressions, statements, walk


class Evaluated(NamedTuple):
    """An expression that a statement evaluates; `parts` are it and all its parts, outermost first."""

    expression: ir.Expr
    parts: tuple[ir.Expr, ...]


class Dissected(NamedTuple):
    """A statement with the expressions it evaluates itself, those of nested blocks left out."""

    statement: ir.Stmt
    evaluated: tuple[Evaluated, ...]


def anatomy(function: ir.Function) -> tuple[Dissected, ...]:
    """All statements of a function, nested ones after the one that holds them; nested functions are not entered."""
    return tuple([
        Dissected(s, tuple([Evaluated(e, tuple(walk(e))) for e in expressions(s)]))
        for s in statements(function.body)
    ])  # fmt: skip

"""Expressions back to one-line text: for condition keys, names in messages and the patterns of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rslint.project import ir

_LONGEST = 200


def render(expression: ir.Expr | None, aliases: Mapping[str, ir.Expr] | None = None) -> str:
    """One line of Python for the expression; long ones are cut. `aliases` replaces names by what they stand for."""
    if expression is None:
        return ""
    plain = None if aliases else dotted(expression)
    return (_text(expression, aliases or {}, 0) if plain is None else plain)[:_LONGEST]


def dotted(expression: ir.Expr) -> str | None:
    """`a.b.c` for a chain of names and attributes, else None."""
    parts: list[str] = []
    while isinstance(expression, ir.Attribute):
        parts.append(expression.attr)
        expression = expression.value
    if not isinstance(expression, ir.Name):
        return None
    parts.append(expression.id)
    return ".".join(reversed(parts))


def last_name(expression: ir.Expr) -> str | None:
    """The last name of a name, attribute or call, else None."""
    if isinstance(expression, ir.Call):
        return last_name(expression.func)
    if isinstance(expression, ir.Attribute):
        return expression.attr
    return expression.id if isinstance(expression, ir.Name) else None


def _text(e: ir.Expr, aliases: Mapping[str, ir.Expr], depth: int) -> str:
    if depth > 12:
        return "…"

    def joined(items: tuple[ir.Expr, ...]) -> str:
        return ", ".join([one(item) for item in items])

    def one(item: ir.Expr) -> str:
        return _text(item, aliases, depth + 1)

    match e:
        case ir.Name():
            known = aliases.get(e.id)
            return e.id if known is None or depth > 6 else one(known)
        case ir.Constant():
            return repr(e.value) if e.kind in ("str", "int", "float", "bool", "NoneType") else f"<{e.kind}>"
        case ir.Attribute():
            return f"{one(e.value)}.{e.attr}"
        case ir.Call():
            keywords = [f"{k.name}={one(k.value)}" if k.name else f"**{one(k.value)}" for k in e.keywords]
            return f"{one(e.func)}({', '.join([*(one(a) for a in e.args), *keywords])})"
        case ir.Compare():
            rest = [f" {o} {one(right)}" for o, right in zip(e.operators, e.comparators, strict=True)]
            return one(e.left) + "".join(rest)
        case ir.BoolOp():
            return f" {e.operator} ".join([one(value) for value in e.values])
        case ir.UnaryOp():
            return f"not {one(e.operand)}" if e.operator == "not" else f"{e.operator}{one(e.operand)}"
        case ir.BinOp():
            return f"{one(e.left)} {e.operator} {one(e.right)}"
        case ir.IfExp():
            return f"{one(e.body)} if {one(e.test)} else {one(e.orelse)}"
        case ir.Subscript():
            return f"{one(e.value)}[{one(e.index)}]"
        case ir.Collection():
            brackets = {"tuple": "()", "list": "[]"}.get(e.kind, "{}")
            return f"{brackets[0]}{joined(e.items)}{brackets[1]}"
        case ir.Await():
            return f"await {one(e.value)}"
        case ir.Starred():
            return f"*{one(e.value)}"
        case ir.NamedExpr():
            return f"({one(e.target)} := {one(e.value)})"
        case ir.Lambda():
            return f"lambda {', '.join(e.parameters)}: {one(e.body)}"
        case _:
            return f"<{type(e).__name__.lower()} {e.span.row}:{e.span.column}>"


def children(e: ir.Expr) -> tuple[ir.Expr, ...]:
    """The direct parts of an expression in evaluation order; a lambda's body is not evaluated and left out."""
    parts = _PARTS.get(type(e))
    return () if parts is None else parts(e)


def _call_parts(e: ir.Call) -> tuple[ir.Expr, ...]:
    if e.keywords:
        return (e.func, *e.args, *[keyword.value for keyword in e.keywords])
    return (e.func, *e.args)


def _comprehension_parts(e: ir.Comprehension) -> tuple[ir.Expr, ...]:
    clauses = [part for g in e.generators for part in (g.iterable, *g.conditions)]
    return (*clauses, *e.elements)


def _only_value(e: ir.Attribute | ir.Await | ir.YieldFrom | ir.Starred | ir.NamedExpr) -> tuple[ir.Expr, ...]:
    return (e.value,)


_PARTS: dict[type[ir.Expr], Callable[[Any], tuple[ir.Expr, ...]]] = {
    ir.Attribute: _only_value,
    ir.Await: _only_value,
    ir.YieldFrom: _only_value,
    ir.Starred: _only_value,
    ir.NamedExpr: _only_value,
    ir.Call: _call_parts,
    ir.Compare: lambda e: (e.left, *e.comparators),
    ir.BoolOp: lambda e: e.values,
    ir.UnaryOp: lambda e: (e.operand,),
    ir.BinOp: lambda e: (e.left, e.right),
    ir.IfExp: lambda e: (e.test, e.body, e.orelse),
    ir.Subscript: lambda e: (e.value, e.index),
    ir.Collection: lambda e: e.items,
    ir.Comprehension: _comprehension_parts,
    ir.Yield: lambda e: () if e.value is None else (e.value,),
    ir.Other: lambda e: e.parts,
}


def walk(e: ir.Expr) -> Iterator[ir.Expr]:
    """The expression and all its parts, outermost first; bodies of lambdas left out."""
    stack = [e]
    while stack:
        current = stack.pop()
        yield current
        parts = _PARTS.get(type(current))
        if parts is not None:
            stack += parts(current)[::-1]


def expressions(statement: ir.Stmt) -> tuple[ir.Expr, ...]:
    """The expressions a statement itself evaluates, in order; those of nested blocks left out."""
    evaluated = _EVALUATED.get(type(statement))
    return () if evaluated is None else evaluated(statement)


def _present(*parts: ir.Expr | None) -> tuple[ir.Expr, ...]:
    return tuple([part for part in parts if part is not None])


def _targets(targets: tuple[ir.Expr, ...]) -> list[ir.Expr]:
    return [target for target in targets if not isinstance(target, ir.Name)]


_EVALUATED: dict[type[ir.Stmt], Callable[[Any], tuple[ir.Expr, ...]]] = {
    ir.ExprStmt: lambda s: (s.value,),
    ir.Assign: lambda s: (*_present(s.value), *_targets(s.targets)),
    ir.Return: lambda s: _present(s.value),
    ir.Raise: lambda s: _present(s.exception, s.cause),
    ir.Assert: lambda s: _present(s.test, s.message),
    ir.Delete: lambda s: tuple(_targets(s.targets)),
    ir.If: lambda s: (s.test,),
    ir.While: lambda s: (s.test,),
    ir.For: lambda s: (s.iterable,),
    ir.With: lambda s: tuple([item.context for item in s.items]),
    ir.Match: lambda s: (s.subject,),
    ir.Define: lambda s: (*s.decorators, *s.defaults),
}


def blocks(statement: ir.Stmt) -> tuple[tuple[ir.Stmt, ...], ...]:
    """The nested blocks of a statement in source order."""
    nested = _BLOCKS.get(type(statement))
    return () if nested is None else nested(statement)


def _try_blocks(s: ir.Try) -> tuple[tuple[ir.Stmt, ...], ...]:
    return (s.body, *[handler.body for handler in s.handlers], s.orelse, s.final)


_BLOCKS: dict[type[ir.Stmt], Callable[[Any], tuple[tuple[ir.Stmt, ...], ...]]] = {
    ir.If: lambda s: (s.body, s.orelse),
    ir.While: lambda s: (s.body, s.orelse),
    ir.For: lambda s: (s.body, s.orelse),
    ir.Try: _try_blocks,
    ir.With: lambda s: (s.body,),
    ir.Match: lambda s: tuple([case.body for case in s.cases]),
}


def statements(body: tuple[ir.Stmt, ...]) -> Iterator[ir.Stmt]:
    """All statements of a body, nested ones after the one that holds them; nested functions are not entered."""
    stack = list(reversed(body))
    while stack:
        current = stack.pop()
        yield current
        for block in blocks(current)[::-1]:
            stack += block[::-1]

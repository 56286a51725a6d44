"""Expressions back to one-line text: for condition keys, names in messages and the patterns of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rslint.project import ir

_LONGEST = 200


def render(expression: ir.Expr | None, aliases: Mapping[str, ir.Expr] | None = None) -> str:
    """One line of Python for the expression; long ones are cut. `aliases` replaces names by what they stand for."""
    if expression is None:
        return ""
    return "".join(_pieces(expression, aliases or {}, 0))[:_LONGEST]


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


def _pieces(e: ir.Expr, aliases: Mapping[str, ir.Expr], depth: int) -> Iterator[str]:
    if depth > 12:
        yield "…"
        return

    def joined(items: tuple[ir.Expr, ...]) -> str:
        return ", ".join("".join(_pieces(item, aliases, depth + 1)) for item in items)

    def one(item: ir.Expr) -> str:
        return "".join(_pieces(item, aliases, depth + 1))

    match e:
        case ir.Name():
            known = aliases.get(e.id)
            yield e.id if known is None or depth > 6 else one(known)
        case ir.Constant():
            yield repr(e.value) if e.kind in ("str", "int", "float", "bool", "NoneType") else f"<{e.kind}>"
        case ir.Attribute():
            yield f"{one(e.value)}.{e.attr}"
        case ir.Call():
            keywords = [f"{k.name}={one(k.value)}" if k.name else f"**{one(k.value)}" for k in e.keywords]
            yield f"{one(e.func)}({', '.join([*(one(a) for a in e.args), *keywords])})"
        case ir.Compare():
            yield one(e.left)
            for operator, right in zip(e.operators, e.comparators, strict=True):
                yield f" {operator} {one(right)}"
        case ir.BoolOp():
            yield f" {e.operator} ".join(one(value) for value in e.values)
        case ir.UnaryOp():
            yield f"not {one(e.operand)}" if e.operator == "not" else f"{e.operator}{one(e.operand)}"
        case ir.BinOp():
            yield f"{one(e.left)} {e.operator} {one(e.right)}"
        case ir.IfExp():
            yield f"{one(e.body)} if {one(e.test)} else {one(e.orelse)}"
        case ir.Subscript():
            yield f"{one(e.value)}[{one(e.index)}]"
        case ir.Collection():
            brackets = {"tuple": "()", "list": "[]"}.get(e.kind, "{}")
            yield f"{brackets[0]}{joined(e.items)}{brackets[1]}"
        case ir.Await():
            yield f"await {one(e.value)}"
        case ir.Starred():
            yield f"*{one(e.value)}"
        case ir.NamedExpr():
            yield f"{one(e.target)} := {one(e.value)}"
        case ir.Lambda():
            yield f"lambda {', '.join(e.parameters)}: {one(e.body)}"
        case _:
            yield f"<{type(e).__name__.lower()} {e.span.row}:{e.span.column}>"


def children(e: ir.Expr) -> tuple[ir.Expr, ...]:
    """The direct parts of an expression in evaluation order; a lambda's body is not evaluated and left out."""
    match e:
        case ir.Attribute() | ir.Await() | ir.YieldFrom() | ir.Starred():
            return (e.value,)
        case ir.Call():
            return (e.func, *e.args, *(keyword.value for keyword in e.keywords))
        case ir.Compare():
            return (e.left, *e.comparators)
        case ir.BoolOp():
            return e.values
        case ir.UnaryOp():
            return (e.operand,)
        case ir.BinOp():
            return (e.left, e.right)
        case ir.IfExp():
            return (e.test, e.body, e.orelse)
        case ir.Subscript():
            return (e.value, e.index)
        case ir.Collection():
            return e.items
        case ir.Comprehension():
            clauses = [part for g in e.generators for part in (g.iterable, *g.conditions)]
            return (*clauses, *e.elements)
        case ir.Yield():
            return () if e.value is None else (e.value,)
        case ir.NamedExpr():
            return (e.value,)
        case ir.Other():
            return e.parts
        case _:
            return ()


def walk(e: ir.Expr) -> Iterator[ir.Expr]:
    """The expression and all its parts, outermost first; bodies of lambdas left out."""
    stack = [e]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def expressions(statement: ir.Stmt) -> tuple[ir.Expr, ...]:
    """The expressions a statement itself evaluates, in order; those of nested blocks left out."""
    match statement:
        case ir.ExprStmt():
            return (statement.value,)
        case ir.Assign():
            value = () if statement.value is None else (statement.value,)
            return (*value, *(target for target in statement.targets if not isinstance(target, ir.Name)))
        case ir.Return():
            return () if statement.value is None else (statement.value,)
        case ir.Raise():
            return tuple(part for part in (statement.exception, statement.cause) if part is not None)
        case ir.Assert():
            return (statement.test,) if statement.message is None else (statement.test, statement.message)
        case ir.Delete():
            return tuple(target for target in statement.targets if not isinstance(target, ir.Name))
        case ir.If() | ir.While():
            return (statement.test,)
        case ir.For():
            return (statement.iterable,)
        case ir.With():
            return tuple(item.context for item in statement.items)
        case ir.Match():
            return (statement.subject,)
        case ir.Define():
            return (*statement.decorators, *statement.defaults)
        case _:
            return ()


def blocks(statement: ir.Stmt) -> tuple[tuple[ir.Stmt, ...], ...]:
    """The nested blocks of a statement in source order."""
    match statement:
        case ir.If() | ir.While() | ir.For():
            return (statement.body, statement.orelse)
        case ir.Try():
            handlers = tuple(handler.body for handler in statement.handlers)
            return (statement.body, *handlers, statement.orelse, statement.final)
        case ir.With():
            return (statement.body,)
        case ir.Match():
            return tuple(case.body for case in statement.cases)
        case _:
            return ()


def statements(body: tuple[ir.Stmt, ...]) -> Iterator[ir.Stmt]:
    """All statements of a body, nested ones after the one that holds them; nested functions are not entered."""
    stack = list(reversed(body))
    while stack:
        current = stack.pop()
        yield current
        for block in reversed(blocks(current)):
            stack.extend(reversed(block))

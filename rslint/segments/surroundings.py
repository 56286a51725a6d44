"""What stands around a call: the tests that decide whether it is reached, the handlers that stop what it raises."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.exception_classes import handler_catches
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_of, swallows
from rslint.models.segment_queries import owner_test
from rslint.project import ir
from rslint.project.text import blocks, expressions, last_name, statements, walk

Body = tuple[ir.Stmt, ...]


def tests_of(function: ir.Function, call: ir.Call) -> tuple[ir.Expr, ...]:
    """The tests on the way to a call, outermost first: of the branches it stands in, and of those before it that leave
    the block otherwise."""
    return tuple(_tests(function.body, call) or ())


def _tests(body: Body, call: ir.Call) -> list[ir.Expr] | None:
    passed: list[ir.Expr] = []
    for statement in body:
        if any(part is call for e in expressions(statement) for part in walk(e)):
            return [*passed, *_conditional_parts(statement, call)]
        for block in blocks(statement):
            inner = _tests(block, call)
            if inner is not None:
                own = [statement.test] if isinstance(statement, ir.If | ir.While) else []
                return [*passed, *own, *inner]
        if isinstance(statement, ir.If) and (_leaves(statement.body) or _leaves(statement.orelse)):
            passed.append(statement.test)
    return None


def in_another_arm(body: Body, one: ir.Call, other: ir.Call) -> bool:
    """Whether an `if` has the two calls in its two arms, so that no run that makes the one comes to the other."""
    for statement in body:
        arms = [[_holds(block, call) for block in blocks(statement)] for call in (one, other)]
        if any(arms[0]) and any(arms[1]):
            if isinstance(statement, ir.If) and arms[0] != arms[1]:
                return True
            return any(in_another_arm(block, one, other) for block in blocks(statement))
    return False


def _holds(body: Body, call: ir.Call) -> bool:
    return any(
        part is call for statement in statements(body) for e in expressions(statement) for part in walk(e)
    )


def _conditional_parts(statement: ir.Stmt, call: ir.Call) -> Iterator[ir.Expr]:
    for e in expressions(statement):
        for part in walk(e):
            if isinstance(part, ir.IfExp) and any(inner is call for inner in walk(part)):
                yield part.test
            if isinstance(part, ir.BoolOp):
                for number, value in enumerate(part.values):
                    if any(inner is call for inner in walk(value)):
                        yield from part.values[:number]


def _leaves(body: Body) -> bool:
    return bool(body) and (
        isinstance(body[-1], ir.Return | ir.Raise)
        or (isinstance(body[-1], ir.Jump) and body[-1].kind != "pass")
    )


def asks_for_owner(k: Knowledge, tests: tuple[ir.Expr, ...]) -> bool:
    """Whether one of the tests speaks of who made the segment, or who is to remove it."""
    return any(
        owner_test(k.models, name)
        for test in tests
        for part in walk(test)
        if isinstance(part, ir.Name | ir.Attribute | ir.Call) and (name := last_name(part)) is not None
    )


def stopped_here(k: Knowledge, identity: str, call: ir.Call, exception: str) -> bool:
    """Whether a handler or context around a call stops an exception of it."""
    around = next((around for one, around in calls_of(k, identity) if one is call), ())
    for outer in around:
        if isinstance(outer, ir.With):
            if swallows(k, identity, outer, exception):
                return True
        elif any(handler_catches(k, identity, h.types, exception) != "no" for h in outer.handlers):
            return True
    return False

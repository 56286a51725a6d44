"""What the outcome of a test tells about tests that follow: the conditions under which code is executed, by key."""

from __future__ import annotations

from collections.abc import Mapping

from rslint.flow.slicing import names_in
from rslint.project import ir
from rslint.project.text import render, statements, walk

_NEGATED = {"!=": "==", "is not": "is", "not in": "in"}


def condition_key(test: ir.Expr, aliases: Mapping[str, ir.Expr]) -> tuple[str, bool]:
    """A normalised spelling of a test, and whether it stands for the test itself or for its negation."""
    if isinstance(test, ir.Compare) and len(test.operators) == 1 and test.operators[0] in _NEGATED:
        operators = (_NEGATED[test.operators[0]],)
        return render(ir.Compare(test.span, test.left, operators, test.comparators), aliases), False
    return render(test, aliases), True


def implied(
    test: ir.Expr, outcome: bool, aliases: Mapping[str, ir.Expr], rebound: frozenset[str]
) -> list[tuple[str, bool]]:
    """The conditions that hold where a test came out so, each with its outcome. Those on calls and on what the
    function assigns again are left out: they may have changed."""
    match test:
        case ir.UnaryOp(operator="not"):
            return implied(test.operand, not outcome, aliases, rebound)
        case ir.BoolOp():
            if outcome != (test.operator == "and"):
                return []
            return [pair for value in test.values for pair in implied(value, outcome, aliases, rebound)]
    if any(isinstance(part, ir.Call) for part in walk(test)) or not rebound.isdisjoint(names_in((test,))):
        return []
    key, positive = condition_key(test, aliases)
    return [(key, outcome == positive)]


def rebound_names(function: ir.Function) -> frozenset[str]:
    """Names that are assigned more than once, a parameter's own value counted, and attributes assigned at all."""
    count = dict.fromkeys((parameter.name for parameter in function.parameters), 1)
    for statement in statements(function.body):
        targets: tuple[ir.Expr, ...] = ()
        if isinstance(statement, ir.Assign | ir.Delete):
            targets = statement.targets
        elif isinstance(statement, ir.For):
            targets = (statement.target, statement.target)
        for name in names_in(targets):
            count[name] = count.get(name, 0) + (2 if "." in name else 1)
    return frozenset(name for name, number in count.items() if number > 1)

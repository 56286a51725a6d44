"""Tests of the rank that part nobody: each rank has its turn, or the group was made for those who pass the test."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_of
from rslint.project import ir
from rslint.project.text import blocks, last_name, render, statements


def own_turn(function: ir.Function, test: ir.Expr) -> bool:
    """`for i in range(n): if i == rank: continue`: every rank leaves out, or does, its own turn, and each just one."""
    if not isinstance(test, ir.Compare) or test.operators not in (("==",), ("!=",)):
        return False
    counters = {
        s.target.id
        for s in statements(function.body)
        if isinstance(s, ir.For)
        and isinstance(s.target, ir.Name)
        and isinstance(s.iterable, ir.Call)
        and last_name(s.iterable) == "range"
    }
    return any(isinstance(e, ir.Name) and e.id in counters for e in (test.left, *test.comparators))


def own_group(k: Knowledge, function: ir.Function, test: ir.Expr, collective: Site) -> bool:
    """Whether the group of a collective is made only where the same test holds: nobody else is in it."""
    for call, _ in calls_of(k, function.identity):
        if site_of(function.identity, call) == collective:
            names = set(_group_names(k, function.identity, call))
            made = [tests for target, tests in _assigned(function.body, ()) if target in names]
            return bool(made) and all(render(test) in tests for tests in made)
    return False


def _group_names(k: Knowledge, identity: str, call: ir.Call) -> Iterator[str]:
    """What may stand for the group in a call: its receiver, or an argument called so."""
    if meaning_of(k, identity, call).operation is None:
        return
    if isinstance(call.func, ir.Attribute) and isinstance(call.func.value, ir.Name):
        yield call.func.value.id
    for keyword in call.keywords:
        if keyword.name in ("group", "process_group", "pg") and isinstance(keyword.value, ir.Name):
            yield keyword.value.id


def _assigned(body: tuple[ir.Stmt, ...], tests: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every local name that is assigned, with the tests around the assignment that hold there."""
    for statement in body:
        if isinstance(statement, ir.Assign):
            for target in statement.targets:
                if isinstance(target, ir.Name):
                    yield target.id, tests
        inner = (*tests, render(statement.test)) if isinstance(statement, ir.If) else tests
        for position, block in enumerate(blocks(statement)):
            yield from _assigned(block, inner if position == 0 else tests)

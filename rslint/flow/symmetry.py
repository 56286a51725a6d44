"""Tests of the rank that part nobody: each rank has its turn, or the group was made for those who pass the test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_of
from rslint.project import ir
from rslint.project.text import blocks, last_name, render, statements

_GROUP_KEYWORDS = frozenset({"group", "process_group", "pg"})
_MEMBERS = frozenset({"world_size", "ranks", "rank"})


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


def own_group(k: Knowledge, function: ir.Function, statement: ir.Stmt, entries: Iterable[Site]) -> bool:
    """Whether all collectives inside a branch, given by the calls that lead to them, run on groups that are made only
    where its test holds: nobody else is in them."""
    if not isinstance(statement, ir.If):
        return False
    s = statement.span
    inside = {entry for entry in entries if s.row <= entry.row <= s.end_row}
    test = render(statement.test)
    made: dict[str, list[bool]] = {}
    for name, tests in _assigned(function.body, ()):
        made.setdefault(name, []).append(test in tests)
    own = {name for name, under in made.items() if all(under)}
    calls = {site_of(function.identity, call): call for call, _ in calls_of(k, function.identity)}
    return bool(inside) and all(
        entry in calls and not own.isdisjoint(_groups(k, function, calls[entry])) for entry in inside
    )


def _groups(k: Knowledge, function: ir.Function, call: ir.Call) -> Iterator[str]:
    """The names that may stand for a group in a call: an argument called so; of a collective, its receiver; of another
    call, an argument that was made as a group."""
    for keyword in call.keywords:
        if keyword.name in _GROUP_KEYWORDS and isinstance(keyword.value, ir.Name):
            yield keyword.value.id
    if meaning_of(k, function.identity, call).operation is None:
        made = set(_made_as_groups(function))
        yield from (e.id for e in call.args if isinstance(e, ir.Name) and e.id in made)
    elif isinstance(call.func, ir.Attribute) and isinstance(call.func.value, ir.Name):
        yield call.func.value.id


def _made_as_groups(function: ir.Function) -> Iterator[str]:
    """Names assigned from a call that is told who takes part."""
    for statement in statements(function.body):
        value = statement.value if isinstance(statement, ir.Assign) else None
        if isinstance(value, ir.Call) and any(keyword.name in _MEMBERS for keyword in value.keywords):
            targets = statement.targets if isinstance(statement, ir.Assign) else ()
            yield from (target.id for target in targets if isinstance(target, ir.Name))


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

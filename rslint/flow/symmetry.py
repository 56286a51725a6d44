"""Tests of the rank that part nobody: each rank has its turn, or the group was made for those who pass the test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.rank_cases import COMPARE
from rslint.flow.reasons import calls_of
from rslint.project import ir
from rslint.project.text import blocks, dotted, last_name, render, statements

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
    """Whether all collectives inside a branch, given by the calls that lead to them, run on groups of some ranks: made
    only where its test holds, or of members that are listed, whom the test may well tell apart."""
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

    def is_own(call: ir.Call) -> bool:
        names = set(_groups(k, function, call))
        if not own.isdisjoint(names):
            return True
        listed = [made for name in names if (made := _listed_members(k, function, name))]
        return bool(listed) and all(_pass(statement.test, members) for made in listed for members in made)

    return bool(inside) and all(entry in calls and is_own(calls[entry]) for entry in inside)


def _listed_members(k: Knowledge, function: ir.Function, name: str) -> tuple[ir.Expr, ...]:
    """The lists of members with which a local name or `self.name` is made, where it is assigned nothing else."""
    users = [function.identity]
    if name.startswith("self.") and function.owner is not None:
        methods = k.links.class_facts(function.owner).methods
        users = [m for _, m in methods if name.removeprefix("self.") in k.links.facts(m).stores]
    made = [
        meaning_of(k, user, statement.value).members if isinstance(statement.value, ir.Call) else None
        for user in users
        for statement in statements(k.links.ir(user).body)
        if isinstance(statement, ir.Assign) and any(dotted(target) == name for target in statement.targets)
    ]
    listed = tuple(members for members in made if members is not None)
    return listed if len(listed) == len(made) else ()


def _pass(test: ir.Expr, members: ir.Expr) -> bool:
    """Whether every member passes a test of its rank; True where that cannot be told from constants."""
    ranks = _constants(members)
    if ranks is None or not isinstance(test, ir.Compare) or len(test.operators) != 1:
        return True
    bound, compare = test.comparators[0], COMPARE.get(test.operators[0])
    if compare is None or not isinstance(bound, ir.Constant) or not isinstance(bound.value, int):
        return True
    return all(compare(rank, bound.value) for rank in ranks)


def _constants(members: ir.Expr) -> list[int] | None:
    if not isinstance(members, ir.Collection):
        return None
    values = [item.value if isinstance(item, ir.Constant) else None for item in members.items]
    ranks = [value for value in values if isinstance(value, int)]
    return ranks if len(ranks) == len(values) else None


def _groups(k: Knowledge, function: ir.Function, call: ir.Call) -> Iterator[str]:
    """The names that may stand for a group in a call: an argument called so; of a collective, its receiver; of another
    call, an argument that was made as a group."""
    for keyword in call.keywords:
        if keyword.name in _GROUP_KEYWORDS and (name := dotted(keyword.value)) is not None:
            yield name
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

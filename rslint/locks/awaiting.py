"""Decisions of a coroutine that are stale after an await: tested, awaited, acted on without a second test (RS203).

Between two awaits a coroutine runs alone; at an await every other task may run, and may have taken the same decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import Access
from rslint.locks.held import View, view_of
from rslint.locks.owners import runs_in_many_tasks
from rslint.locks.paths import Test, absent_edge, between, deciding_edge, tests_of
from rslint.locks.state import Names, constructing, names_of, parts_of, state_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.locks.twice import harm_of_two
from rslint.models.lock_queries import owned_key
from rslint.project import ir
from rslint.project.text import render, walk

_LAZY = re.compile(r"(^|_)(ensure|get|lazy|connect|open|acquire|create|load|resolve|fetch|lookup)(_|$)")
_ADDING = frozenset({"append", "insert", "extend", "appendleft"})


class _Gap(NamedTuple):
    """A stale decision: the last test before the act, the node that awaits in between, the act."""

    test: Test
    awaits: int
    act: int
    access: Access


def stale_after_await(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one coroutine, one per state."""
    facts = k.links.store.function(identity)
    if facts is None or not facts.is_async or not facts.stores or constructing(k, identity):
        return
    if not _may_concern(k, identity):
        return
    view = view_of(k, identity)
    waiting = frozenset(node.index for node in view.cfg.nodes if suspends(k, view.function, node))
    tests = (*tests_of(view), *_tests_of_helpers(k, view))
    if not waiting or not tests:
        return
    seen: set[str] = set()
    for node, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.state in seen or not _acts(access):
                continue
            gap = _gap(view, tests, waiting, node, access)
            suspect = None if gap is None else _judged(k, view, tests, waiting, gap)
            if suspect is not None:
                seen.add(access.state)
                yield suspect


def _may_concern(k: Knowledge, identity: str) -> bool:
    """Whether the coroutine awaits and stores or adds to a state: asked before its graph is built."""
    names = names_of(k, k.links.ir(identity))
    stores, awaits = False, False
    for part in parts_of(k, identity):
        if isinstance(part, ir.Await) or (isinstance(part, ir.With | ir.For) and part.is_async):
            awaits = True
        elif isinstance(part, ir.Assign):
            stores = stores or any(_is_kept(names, target) for target in part.targets)
        elif isinstance(part, ir.Call) and isinstance(part.func, ir.Attribute) and part.func.attr in _ADDING:
            stores = stores or state_of(names, part.func.value) is not None
    return stores and awaits


def _is_kept(names: Names, target: ir.Expr) -> bool:
    """Whether a target is a state, an item of one, or holds one."""
    if isinstance(target, ir.Collection):
        return any(_is_kept(names, item) for item in target.items)
    return state_of(names, target.value if isinstance(target, ir.Subscript) else target) is not None


def _acts(access: Access) -> bool:
    """What is not to be done twice: a store, a new entry, one more element."""
    if access.how == "method":
        return access.method in _ADDING
    return access.how in ("store", "store-item")


def _gap(
    view: View, tests: tuple[Test, ...], waiting: frozenset[int], act: int, access: Access
) -> _Gap | None:
    """The decision that the act rests on, where something is awaited after its last test."""
    concerning = [
        test
        for test in tests
        if _same(test.access, access)
        and test.branch != act
        and deciding_edge(view.cfg, test.branch, act) is not None
    ]
    stale: _Gap | None = None
    for test in concerning:
        if view.held[test.read] & view.held[act]:
            return None  # a lock is held from the test to the act
        ways = between(view.cfg, test.read, act)
        awaits = sorted(index for index in waiting if index in ways or index == act)
        if not awaits and not _goes_on_either_way(view, test, act):
            return None  # tested again, and nothing awaited since
        if not awaits:
            continue
        stale = stale or _Gap(test, awaits[0], act, access)
    return stale


def _goes_on_either_way(view: View, test: Test, act: int) -> bool:
    """Whether the second test only chooses between storing what was made and putting it into what is there: made twice
    it is either way."""
    origin = view.cfg.nodes[test.branch].origin
    names = {name.id for name in _names(origin)} if isinstance(origin, ir.Expr) else set()
    here = deciding_edge(view.cfg, test.branch, act)
    for node in view.cfg.nodes:
        call = node.origin.value if isinstance(node.origin, ir.ExprStmt) else None
        receiver = (
            call.func.value if isinstance(call, ir.Call) and isinstance(call.func, ir.Attribute) else None
        )
        if isinstance(receiver, ir.Name) and receiver.id in names:
            other = deciding_edge(view.cfg, test.branch, node.index)
            if other is not None and other != here:
                return True
    return False


def _same(tested: Access, act: Access) -> bool:
    if tested.state != act.state:
        return False
    if act.how == "store-item":
        return tested.key == act.key and tested.how in ("member", "item", "method")
    return True


def _judged(
    k: Knowledge, view: View, tests: tuple[Test, ...], waiting: frozenset[int], gap: _Gap
) -> LockSuspect | None:
    origin = view.cfg.nodes[gap.test.branch].origin
    if not isinstance(origin, ir.Expr):
        return None
    edge = deciding_edge(view.cfg, gap.test.branch, gap.act)
    absent = absent_edge(gap.test, origin)
    if gap.access.how != "method" and absent != edge:
        return None
    if gap.access.how == "store-item" and owned_key(k.models, gap.access.key):
        return None
    harm = harm_of_two(k, view, gap.act, gap.access)
    if harm is None or _claimed(view, tests, waiting, gap) or not runs_in_many_tasks(k, view.identity):
        return None
    shown = render(gap.access.node)
    text = shown + (f"[{gap.access.key}]" if gap.access.how == "store-item" else "")
    place = site_of(view.identity, gap.access.node)
    awaited = view.cfg.nodes[gap.awaits].origin
    steps = [Step("is tested here", site_of(gap.test.function or view.identity, gap.test.access.node))]
    if awaited is not None and gap.awaits != gap.act:
        steps.append(Step("other tasks run here", site_of(view.identity, awaited)))
    tier = "default" if gap.access.how == "method" or _is_lazy(view, gap.access.state) else "preview"
    return LockSuspect("await", view.identity, place, place, shown, "", text, tier, harm, tuple(steps))


def _is_lazy(view: View, state: str) -> bool:
    """Whether the coroutine makes what is missing for whoever comes first: it says so, or gives the state back."""
    if _LAZY.search(view.function.name):
        return True
    return any(
        isinstance(node.origin, ir.Return)
        and any(access.state == state for access in view.accesses[node.index])
        for node in view.cfg.nodes
    )


def _claimed(view: View, tests: tuple[Test, ...], waiting: frozenset[int], gap: _Gap) -> bool:
    """Whether something that is tested is written before the first await: what follows is exclusive then. A busy flag,
    an entry in flight, a task or future that others wait for."""
    until = between(view.cfg, view.cfg.entry, gap.awaits) | {gap.awaits}
    for node in sorted(until):
        for access in view.accesses[node]:
            if not access.writes or node == gap.act:
                continue
            for test in tests:
                if test.access.state != access.state or deciding_edge(view.cfg, test.branch, node) is None:
                    continue
                if not waiting & (between(view.cfg, test.read, node) | {node} - {gap.awaits}):
                    return True
    return False


def _tests_of_helpers(k: Knowledge, view: View) -> tuple[Test, ...]:
    """Tests that a method makes whose answer is tested here: `refused = await self._check(request)`."""
    found: list[Test] = []
    for node in view.cfg.nodes:
        if node.kind != "statement" or not isinstance(node.origin, ir.Assign) or node.origin.value is None:
            continue
        call = node.origin.value.value if isinstance(node.origin.value, ir.Await) else node.origin.value
        target = node.origin.targets[0]
        if not isinstance(call, ir.Call) or not isinstance(target, ir.Name):
            continue
        branches = [
            other.index
            for other in view.cfg.nodes
            if other.kind == "branch"
            and isinstance(other.origin, ir.Expr)
            and any(e.id == target.id for e in _names(other.origin))
        ]
        for callee in k.links.resolve(view.identity, call).functions[:1] if branches else ():
            inner = view_of(k, callee, 0)
            if inner.names.owner == view.names.owner:
                found += [
                    Test(branch, node.index, test.access, callee)
                    for branch in branches
                    for test in _refusals(inner)
                ]
    return tuple(found)


def _refusals(inner: View) -> list[Test]:
    """The tests of a helper that decide over one of its returns."""
    returns = [node.index for node in inner.cfg.nodes if isinstance(node.origin, ir.Return)]
    return [
        test
        for test in tests_of(inner)
        if any(deciding_edge(inner.cfg, test.branch, one) is not None for one in returns)
    ]


def _names(e: ir.Expr) -> Iterator[ir.Name]:
    return (inner for inner in walk(e) if isinstance(inner, ir.Name))

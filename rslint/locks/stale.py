"""Decisions that outlive their lock: an entry is found, the lock released, and the entry used as if it were still there
(RS201), or in a second critical section without a new test (RS202); or it is found before the lock is taken (RS201).
"""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.graph import CfgNode
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import Access, evaluated
from rslint.locks.expected import expects_it_gone
from rslint.locks.held import BY_CALLER, Held, View, view_of
from rslint.locks.kinds import ANY
from rslint.locks.paths import Test, between, deciding_edge, tests_of
from rslint.locks.sharing import Write, writes_of
from rslint.locks.state import constructing
from rslint.locks.suspects import LockSuspect
from rslint.project import ir
from rslint.project.text import last_name, render, walk

BEFORE = "before"
_LEASES = ("pin", "ref", "acquire", "retain", "hold", "touch", "lock", "lease", "reserve", "borrow")


def stale_uses(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one function that takes a lock, one per state."""
    if constructing(k, identity):
        return
    view = view_of(k, identity)
    if not any(held.site != BY_CALLER for one in view.held for held in one):
        return
    tests = tests_of(view)
    seen: set[str] = set()
    for node, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.state not in seen and fails_when_gone(access):
                suspect = _judged(k, view, tests, node, access)
                if suspect is not None:
                    seen.add(access.state)
                    yield suspect
    yield from _in_callees(k, view, tests)


def fails_when_gone(access: Access) -> bool:
    """Whether the act raises when the entry is not there any more: `d[k]`, `del d[k]`, `d.pop(k)`, `s.remove(k)`."""
    if access.how in ("item", "delete-item"):
        return True
    call = access.value
    if access.how == "method" and isinstance(call, ir.Call) and access.key:
        return access.method in ("pop", "remove") and len(call.args) == 1 and not call.keywords
    return False


def _judged(
    k: Knowledge, view: View, tests: tuple[Test, ...], act: int, access: Access
) -> LockSuspect | None:
    concerning = [
        test
        for test in tests
        if test.branch != act
        and _speaks_of(test.access, access)
        and deciding_edge(view.cfg, test.branch, act) is not None
    ]
    if not concerning or ANY in view.locks(act) or any(_tests_too(a, access) for a in view.accesses[act]):
        return None
    if expects_it_gone(k, view, access):
        return None
    stale: tuple[Test, Held] | None = None
    for test in concerning:
        if test.read != test.branch and test.access.how != "member":
            return None
        if view.held[test.read] & view.held[act]:
            return None  # one critical section
        taken = [one for one in sorted(view.held[test.read]) if one.site != BY_CALLER]
        if not taken:
            if not view.held[test.read] and not view.held[act]:
                return None  # tested and used without any lock: another rule's question
            inside = [one for one in sorted(view.held[act]) if one.site != BY_CALLER]
            if not view.held[test.read] and inside:
                stale = stale or (test, inside[0])
            continue
        stale = stale or (test, taken[0])
    if stale is None:
        return None
    test, held = stale
    remover = _remover(k, view, access, held.lock)
    if remover is None or _kept_alive(view, test, act, access, held.lock):
        return None
    if held not in view.held[test.read]:
        return _suspect(view, test, held, access, remover, "stale-read", BEFORE)
    return _suspect(
        view, test, held, access, remover, "split" if held.lock in view.locks(act) else "stale-read"
    )


def _tests_too(other: Access, access: Access) -> bool:
    """`d[k] if k in d else None`."""
    return other.how == "member" and (other.state, other.key) == (access.state, access.key)


def _speaks_of(tested: Access, act: Access) -> bool:
    return tested.state == act.state and tested.key == act.key and tested.how in ("member", "method", "item")


def _remover(k: Knowledge, view: View, access: Access, lock: str) -> Write | None:
    """Another function that takes entries away under the same lock."""
    for write in writes_of(k, view.names, access.state):
        if write.access.removes and write.view.identity != view.identity and lock in write.locks:
            return write
    return None


def _kept_alive(view: View, test: Test, act: int, access: Access, lock: str) -> bool:
    """Whether something under the lock keeps the entry: it is pinned, counted, or marked before the release."""
    for index in sorted(between(view.cfg, test.read, act)):
        if lock in view.locks(index):
            if _leases(view.cfg.nodes[index]):
                return True
            if any(a.writes and a.state != access.state for a in view.accesses[index]):
                return True
            if any(
                a.writes and a.state == access.state and a.key == access.key for a in view.accesses[index]
            ):
                return True
    return False


def _leases(node: CfgNode) -> bool:
    return any(
        isinstance(e, ir.Call)
        and isinstance(e.func, ir.Attribute)
        and any(word in (last_name(e.func) or "").lower() for word in _LEASES)
        and (last_name(e.func) or "") not in ("acquire", "release")
        for part in evaluated(node)
        for e in walk(part)
    )


def _suspect(
    view: View, test: Test, held: Held, access: Access, remover: Write, kind: str, detail: str = ""
) -> LockSuspect:
    shown = render(access.node)
    place = site_of(view.identity, access.value if isinstance(access.value, ir.Expr) else access.node)
    steps = (
        Step("the entry is looked for here", site_of(view.identity, test.access.node)),
        Step(
            f"`{remover.view.function.name}` takes entries away",
            site_of(remover.view.identity, remover.access.node),
        ),
    )
    text = f"{shown}[{access.key}]"
    return LockSuspect(kind, view.identity, place, place, shown, held.lock, text, "default", detail, steps)


def _in_callees(k: Knowledge, view: View, tests: tuple[Test, ...]) -> Iterator[LockSuspect]:
    """The entry is found under the lock here, and used without it by a method that is called after the release."""
    for test in tests:
        taken = [one for one in view.held[test.read] if one.site != BY_CALLER]
        if not taken or test.access.how != "member" or ANY in view.locks(test.read):
            continue
        for node in view.cfg.nodes:
            if view.held[node.index] or node.kind != "statement":
                continue
            for call in _calls_with(node, test.access.key):
                if deciding_edge(view.cfg, test.branch, node.index) is None:
                    continue
                for callee in k.links.resolve(view.identity, call).functions[:2]:
                    suspect = _used_below(k, view, test, taken[0].lock, call, callee)
                    if suspect is not None and not _kept_alive(
                        view, test, node.index, test.access, taken[0].lock
                    ):
                        yield suspect
                        return


def _calls_with(node: CfgNode, key: str) -> Iterator[ir.Call]:
    for part in evaluated(node):
        for e in walk(part):
            if (
                isinstance(e, ir.Call)
                and isinstance(e.func, ir.Attribute)
                and any(render(argument) == key for argument in e.args)
            ):
                yield e


def _used_below(
    k: Knowledge, caller: View, test: Test, lock: str, call: ir.Call, callee: str
) -> LockSuspect | None:
    view = view_of(k, callee)
    if view.names.owner is None or view.names.owner != caller.names.owner:
        return None
    position = next(i for i, argument in enumerate(call.args) if render(argument) == test.access.key)
    parameters = [p.name for p in view.function.parameters]
    if position + 1 >= len(parameters):
        return None
    name = parameters[position + 1]
    for index, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.state != test.access.state or access.key != name or not fails_when_gone(access):
                continue
            if view.held[index] or any(t.access.state == access.state for t in tests_of(view)):
                return None
            if expects_it_gone(k, view, access):
                return None
            remover = _remover(k, caller, access, lock)
            if remover is None:
                return None
            shown = render(access.node)
            place = site_of(callee, access.value if isinstance(access.value, ir.Expr) else access.node)
            steps = (
                Step(
                    "the entry is looked for under the lock here", site_of(caller.identity, test.access.node)
                ),
                Step("and the lock is released before this call", site_of(caller.identity, call)),
                Step(
                    f"`{remover.view.function.name}` takes entries away",
                    site_of(remover.view.identity, remover.access.node),
                ),
            )
            text = f"{shown}[{access.key}]"
            return LockSuspect(
                "stale-read", callee, place, place, shown, lock, text, "default", "callee", steps
            )
    return None

"""Double-checked locking that is broken: no second test, or published before it is ready (RS206).

The pattern and its ways to fail: Schmidt, Harrison, "Double-Checked Locking" (PLoP 1996); Bacon et al., "The
'Double-Checked Locking is Broken' Declaration" (2000).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rslint.flow.graph import CfgNode
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import Access, evaluated
from rslint.locks.domains import neighbours
from rslint.locks.held import BY_CALLER, Held, View, view_of
from rslint.locks.paths import Test, absent_edge, deciding_edge, reachable, tests_of
from rslint.locks.state import constructing, names_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.models.lock_queries import gives_back
from rslint.project import ir
from rslint.project.text import last_name, render, walk

_MUTABLE = frozenset(
    {"builtins.dict", "builtins.list", "builtins.set", "builtins.bytearray", "builtins.object"}
)


def broken_double_checks(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one function."""
    if constructing(k, identity) and not identity.endswith(".__new__"):
        return  # what a class keeps of its one object is shared while that is made
    view = view_of(k, identity)
    if not any(view.held):
        return
    tests = tests_of(view)
    if not tests:
        return
    seen: set[str] = set()
    for node, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.how not in ("store", "store-item") or access.state in seen:
                continue
            for held in sorted(view.held[node]):
                suspect = _judged(k, view, tests, node, access, held)
                if suspect is not None:
                    seen.add(access.state)
                    yield suspect
                    break
    yield from _in_callees(k, view, tests)


def _judged(
    k: Knowledge, view: View, tests: tuple[Test, ...], node: int, access: Access, held: Held
) -> LockSuspect | None:
    if held.site == BY_CALLER:
        return None
    outer = _outer(view, tests, held, access, node)
    if outer is None:
        return None
    if not _tested_again(view, tests, held, access, node):
        return _missing(view, outer, held, node, access) if _makes(k, view, access) else None
    if not _lets_pass(view, outer, access, node):
        return None
    later = _later_work(k, view, held, node, access)
    if later is None:
        return None
    found = _early(view, outer, held, access, later)
    if later[1] == "uses" and not _gives_out(view, access.state):
        return msgspec.structs.replace(found, tier="preview")
    return found


def _gives_out(view: View, state: str) -> bool:
    """Whether the function returns the state: its callers then use what may not be ready."""
    return any(
        isinstance(node.origin, ir.Return) and any(a.state == state for a in view.accesses[node.index])
        for node in view.cfg.nodes
    )


def _outer(view: View, tests: tuple[Test, ...], held: Held, access: Access, node: int) -> Test | None:
    """A test of the state without the lock that decides whether the lock is taken."""
    for test in tests:
        if not _same(test.access, access) or held in view.held[test.branch]:
            continue
        if any(one in view.held[node] for one in view.held[test.read]):
            continue  # both are done under another lock
        if held.lock not in view.locks(test.read) and deciding_edge(view.cfg, test.branch, held.site):
            return test
    return None


def _same(left: Access, right: Access) -> bool:
    """Whether two uses speak of the same state, and of the same key of it where both have one."""
    if left.state != right.state:
        return False
    return not left.key or not right.key or left.key == right.key


def _tested_again(view: View, tests: tuple[Test, ...], held: Held, access: Access, node: int) -> bool:
    return any(
        test.access.state == access.state
        and held in view.held[test.branch]
        and deciding_edge(view.cfg, test.branch, node) is not None
        for test in tests
    )


def _makes(k: Knowledge, view: View, access: Access) -> bool:
    """Whether what is stored is made anew each time: two of it are not the same."""
    value = access.value.value if isinstance(access.value, ir.Await) else access.value
    if isinstance(value, ir.Call):
        external = k.links.resolve(view.identity, value).external or ""
        return not external.startswith("builtins.") or external in _MUTABLE
    return isinstance(value, ir.Collection | ir.Comprehension) and value.kind != "tuple"


def _missing(view: View, outer: Test, held: Held, node: int, access: Access) -> LockSuspect | None:
    origin = view.cfg.nodes[outer.branch].origin
    assert isinstance(origin, ir.Expr)
    edge = absent_edge(outer, origin)
    if edge is None or edge != deciding_edge(view.cfg, outer.branch, held.site):
        return None
    return _suspect(view, "double-checked", outer, held, access, ())


def _lets_pass(view: View, outer: Test, access: Access, node: int) -> bool:
    """Whether the value that is stored makes the test without the lock pass others by."""
    if access.how == "store-item":
        return True
    edge = deciding_edge(view.cfg, outer.branch, node)
    origin = view.cfg.nodes[outer.branch].origin
    if edge is None or not isinstance(origin, ir.Expr):
        return False
    value = access.value
    if isinstance(origin, ir.Compare) and origin.operators[0] in ("is", "is not"):
        absent = absent_edge(outer, origin)
        stores_nothing = isinstance(value, ir.Constant) and value.kind == "NoneType"
        return absent is not None and (absent == edge) != stores_nothing
    if isinstance(origin, ir.Compare):
        return origin.operators[0] in ("==", "!=") and isinstance(value, ir.Call | ir.Name)
    if isinstance(value, ir.Constant):
        return bool(value.value) != (edge == "true")
    return edge == "false"


def _later_work(k: Knowledge, view: View, held: Held, node: int, access: Access) -> tuple[int, str] | None:
    """What is still done under the lock after the state was stored and that its users need."""
    edges = [edge.target for edge in view.cfg.nodes[node].successors if edge.kind != "exception"]
    after = sorted(
        index for index in reachable(view.cfg, edges) if held in view.held[index] and index != node
    )
    stores_again = {
        index
        for index in after
        if any(a.state == access.state and a.how == "store" for a in view.accesses[index])
    }
    for index in after:
        if index in stores_again or view.cfg.nodes[index].kind not in ("statement", "with", "iterate"):
            continue
        if _gives_back(k, view.cfg.nodes[index]):
            continue  # the end of something is claimed before it is done, so that it is done once
        if suspends(k, view.function, view.cfg.nodes[index]):
            return index, "awaits"
        for other in view.accesses[index]:
            if other.how == "store" and _needed(k, view, access, other):
                return index, "stores"
            if other.state == access.state and _configures(view, index, other):
                return index, "uses"
    return None


def _gives_back(k: Knowledge, node: CfgNode) -> bool:
    return any(
        isinstance(e, ir.Call) and gives_back(k.models, last_name(e.func) or "")
        for part in evaluated(node)
        for e in walk(part)
    )


def _needed(k: Knowledge, view: View, access: Access, other: Access) -> bool:
    """Whether another state that is stored later is made here and read by somebody else."""
    if other.state == access.state or isinstance(other.value, ir.Constant) or other.value is None:
        return False
    name = other.state.removeprefix(".")
    for identity in neighbours(k, view.names):
        facts = k.links.store.function(identity)
        if facts is None or identity == view.identity or constructing(k, identity):
            continue
        function = k.links.ir(identity)
        names = names_of(k, function)
        if (
            name in facts.mentions or name in facts.stores or _receives(k, identity, other.state)
        ) and names.owner == view.names.owner:
            return True
    return False


def _receives(k: Knowledge, identity: str, state: str) -> bool:
    view = view_of(k, identity, 0)
    return any(a.state == state and a.how != "store" for accesses in view.accesses for a in accesses)


def _configures(view: View, index: int, access: Access) -> bool:
    """`self.x.start()`, `self.x.option = …`: the published object is worked on."""
    origin = view.cfg.nodes[index].origin
    if access.how == "method":
        return isinstance(origin, ir.ExprStmt)
    if access.how == "read" and isinstance(origin, ir.Assign):
        return any(isinstance(t, ir.Attribute) and t.value is access.node for t in origin.targets)
    return False


def _early(view: View, outer: Test, held: Held, access: Access, later: tuple[int, str]) -> LockSuspect:
    index, kind = later
    origin = view.cfg.nodes[index].origin
    assert origin is not None
    what = {"awaits": "is awaited", "stores": "is stored", "uses": "is done with it"}[kind]
    steps = (Step(f"only later this {what}", site_of(view.identity, origin)),)
    return _suspect(view, "early-publication", outer, held, access, steps, kind)


def _in_callees(k: Knowledge, view: View, tests: tuple[Test, ...]) -> Iterator[LockSuspect]:
    """A method that is called under the lock stores the tested state first and the rest afterwards."""
    for test in tests:
        outside = view.locks(test.branch)
        for node in view.cfg.nodes:
            fresh = [h for h in view.held[node.index] if h.site != BY_CALLER and h.lock not in outside]
            if not fresh or node.kind != "statement" or not isinstance(node.origin, ir.ExprStmt):
                continue
            if deciding_edge(view.cfg, test.branch, fresh[0].site) is None:
                continue
            call = node.origin.value.value if isinstance(node.origin.value, ir.Await) else node.origin.value
            if isinstance(call, ir.Call) and isinstance(call.func, ir.Attribute):
                for callee in k.links.resolve(view.identity, call).functions[:2]:
                    yield from _stores_first(k, view, test, fresh[0], callee)


def _stores_first(k: Knowledge, caller: View, test: Test, held: Held, callee: str) -> Iterator[LockSuspect]:
    view = view_of(k, callee, 0)
    if view.names.owner != caller.names.owner:
        return
    for index, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.how != "store" or access.state != test.access.state:
                continue
            if not _lets_pass(caller, test, access, held.site):
                continue
            edges = [edge.target for edge in view.cfg.nodes[index].successors if edge.kind != "exception"]
            for later in sorted(reachable(view.cfg, edges)):
                for other in view.accesses[later]:
                    if other.how == "store" and _needed(k, view, access, other):
                        origin = view.cfg.nodes[later].origin
                        assert origin is not None
                        steps = (
                            Step("only later this is stored", site_of(callee, origin)),
                            Step(
                                f"`{caller.function.name}` tests it without the lock",
                                site_of(caller.identity, test.access.node),
                            ),
                        )
                        yield _suspect(view, "early-publication", None, held, access, steps, "callee")
                        return


def _suspect(
    view: View,
    kind: str,
    outer: Test | None,
    held: Held,
    access: Access,
    steps: tuple[Step, ...],
    detail: str = "",
) -> LockSuspect:
    if outer is not None:
        steps = (Step("is tested here without the lock", site_of(view.identity, outer.access.node)), *steps)
    text = render(access.node) + (f"[{access.key}]" if access.how == "store-item" else "")
    place = site_of(view.identity, access.node)
    return LockSuspect(kind, view.identity, place, place, text, held.lock, text, "default", detail, steps)

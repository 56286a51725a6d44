"""Updates that are lost: a state is read, others may run, and the old value makes the new one (RS202, RS203)."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import Access
from rslint.locks.held import BY_CALLER, View, view_of
from rslint.locks.owners import runs_in_many_tasks
from rslint.locks.paths import between, tests_of
from rslint.locks.state import constructing, names_of, state_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.project import ir
from rslint.project.text import render, walk

LOST = "lost"


def lost_updates(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one function, one per state."""
    facts = k.links.store.function(identity)
    if facts is None or not facts.stores or constructing(k, identity):
        return
    if not _may_concern(k, identity):
        return
    view = view_of(k, identity)
    seen: set[str] = set()
    for node, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.state in seen or access.how not in ("store", "augment") or access.value is None:
                continue
            suspect = _in_one_statement(k, view, node, access) or _through_a_local(k, view, node, access)
            if suspect is not None:
                seen.add(access.state)
                yield suspect


def _may_concern(k: Knowledge, identity: str) -> bool:
    """Whether the function stores what it computes from a state: asked before its graph is built."""
    names = names_of(k, k.links.ir(identity))
    for statement, evaluated in k.links.anatomy(identity):
        if not isinstance(statement, ir.Assign) or not any(state_of(names, t) for t in statement.targets):
            continue
        if isinstance(statement.value, ir.BinOp):
            return True
        if any(isinstance(part, ir.Await) for one in evaluated for part in one.parts):
            return True
    return False


def _in_one_statement(k: Knowledge, view: View, node: int, access: Access) -> LockSuspect | None:
    """`self.total += await f()`: the old total is fetched before the await."""
    if not suspends(k, view.function, view.cfg.nodes[node]) or view.held[node]:
        return None
    read: ir.Expr | None = access.node if access.how == "augment" else None
    for part in walk(access.value) if access.value is not None else ():
        if read is None and state_of(view.names, part) == access.state:
            read = part
        elif isinstance(part, ir.Await) and read is not None and runs_in_many_tasks(k, view.identity):
            return _suspect(view, "await", access, read, "")
    return None


def _through_a_local(k: Knowledge, view: View, node: int, access: Access) -> LockSuspect | None:
    """`total = self.total`, then an await or the release of the lock, then `self.total = total + 1`."""
    if not isinstance(access.value, ir.BinOp):
        return None
    for name in {part.id for part in walk(access.value) if isinstance(part, ir.Name)} & view.names.hidden:
        read = _read_into(view, name, access.state)
        if read is None or view.held[read] & view.held[node] or _asked_again(view, read, node, access):
            continue
        origin = view.cfg.nodes[read].origin
        assert isinstance(origin, ir.Assign)
        assert origin.value is not None
        ways = between(view.cfg, read, node) | {node}
        if any(suspends(k, view.function, view.cfg.nodes[index]) for index in ways):
            if runs_in_many_tasks(k, view.identity):
                return _suspect(view, "await", access, origin.value, "")
            continue
        first = {one.lock: one.site for one in view.held[read] if one.site != BY_CALLER}
        again = [one.lock for one in view.held[node] if one.lock in first and one.site != first[one.lock]]
        if again:
            return _suspect(view, "split", access, origin.value, again[0])
    return None


def _read_into(view: View, name: str, state: str) -> int | None:
    """The node at which a local that is assigned once takes the state's value as it is."""
    nodes = [
        node
        for node in view.cfg.nodes
        if node.kind == "statement"
        and isinstance(node.origin, ir.Assign)
        and any(isinstance(target, ir.Name) and target.id == name for target in node.origin.targets)
    ]
    if len({id(node.origin) for node in nodes}) != 1 or not isinstance(nodes[0].origin, ir.Assign):
        return None
    value = nodes[0].origin.value
    return nodes[0].index if value is not None and state_of(view.names, value) == state else None


def _asked_again(view: View, read: int, node: int, access: Access) -> bool:
    """Whether the state is compared again before it is stored, as in compare-and-set."""
    ways = between(view.cfg, read, node)
    return any(test.access.state == access.state and test.read in ways for test in tests_of(view))


def _suspect(view: View, kind: str, access: Access, read: ir.Expr, lock: str) -> LockSuspect:
    shown = render(access.node)
    place = site_of(view.identity, access.node)
    steps = (Step("the old value is read here", site_of(view.identity, read)),)
    return LockSuspect(kind, view.identity, place, place, shown, lock, shown, "default", LOST, steps)

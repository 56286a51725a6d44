"""Locks thrown out of a map of locks while others may hold them or wait for them (RS207)."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import accesses_in
from rslint.locks.held import View, view_of
from rslint.locks.kinds import constructing_functions
from rslint.locks.paths import deciding_edge
from rslint.locks.sharing import Write, writes_of
from rslint.locks.state import Names, names_of, parts_of, types_of
from rslint.locks.suspects import LockSuspect
from rslint.models.lock_queries import lock_kind
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import expressions, last_name, render, statements, walk

_FOLLOWED = 6
_COUNTED = ("waiter", "ref", "user", "holder", "in_use", "usage", "count", "pending", "locked")


def evictions(k: Knowledge) -> Iterator[LockSuspect]:
    """The suspects of the whole project, one per function and map."""
    seen: set[tuple[str, str]] = set()
    for identity in constructing_functions(k):
        if outside_production(identity.partition(":")[0]):
            continue
        function = k.links.ir(identity)
        if not _may_keep_locks(k, identity):
            continue
        names = names_of(k, function)
        for state, place in _lock_maps(k, function, names):
            key = (names.owner or names.module, state)
            if key not in seen:
                seen.add(key)
                made = Step("a new lock is made for a key that has none", site_of(identity, place))
                yield from _removals(k, names, state, made)


def _may_keep_locks(k: Knowledge, identity: str) -> bool:
    """Whether the function stores items or makes a map that makes its own: asked before its graph is built."""
    for node in parts_of(k, identity):
        if isinstance(node, ir.Assign) and any(isinstance(target, ir.Subscript) for target in node.targets):
            return True
        if isinstance(node, ir.Call) and last_name(node.func) in ("setdefault", "defaultdict"):
            return True
    return False


def _lock_maps(k: Knowledge, function: ir.Function, names: Names) -> Iterator[tuple[str, ir.Expr]]:
    """The states that a function keeps locks in by key."""
    view = view_of(k, function.identity)
    for accesses in view.accesses:
        for access in accesses:
            stored = None
            if access.how == "store-item":
                stored = access.value
            elif (
                access.how == "method" and access.method == "setdefault" and isinstance(access.value, ir.Call)
            ):
                stored = access.value.args[1] if len(access.value.args) > 1 else None
            elif access.how == "store" and _makes_locks(k, function.identity, access.value):
                yield access.state, access.node
            if (
                stored is not None
                and _is_made_lock(k, function.identity, names, stored)
                and not _weak(k, function.identity, names, access.node)
            ):
                yield access.state, access.node


def _is_made_lock(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> bool:
    return lock_kind(k.models, types_of(k, identity, names, e)) is not None


def _makes_locks(k: Knowledge, identity: str, e: ir.Expr | None) -> bool:
    """`defaultdict(Lock)`."""
    if not isinstance(e, ir.Call) or last_name(e.func) != "defaultdict" or not e.args:
        return False
    external = k.links.resolve(identity, e.args[0]).external
    return external is not None and lock_kind(k.models, (external,)) is not None


def _weak(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> bool:
    """A map that holds its locks weakly drops them only when nobody has them."""
    return any("Weak" in one for one in types_of(k, identity, names, e))


def _removals(k: Knowledge, names: Names, state: str, made: Step) -> Iterator[LockSuspect]:
    by_function: dict[str, list[Write]] = {}
    for write in writes_of(k, names, state):
        if write.access.removes:
            by_function.setdefault(write.view.identity, []).append(write)
    for removals in by_function.values():
        chosen = [write for write in removals if not _counted(write)]
        if not chosen:
            continue
        write = chosen[-1]
        taken = None if _leaves_with_another(k, write, made) else _taken_from(k, write.view, state)
        steps = [made]
        if taken is not None:
            steps.insert(
                0, Step("the lock that is removed is taken here", site_of(write.view.identity, taken))
            )
        node = write.access.value if isinstance(write.access.value, ir.Call) else write.access.node
        yield LockSuspect(
            "eviction",
            write.view.identity,
            site_of(write.view.identity, node),
            _statement(write),
            render(write.access.node),
            "" if taken is None else render(taken),
            render(node),
            "default" if taken is not None else "preview",
            "held" if taken is not None else "elsewhere",
            tuple(steps),
        )


def _leaves_with_another(k: Knowledge, write: Write, made: Step) -> bool:
    """Whether the lock is made and removed together with the entry of another map under the same key: who holds an old
    lock holds it for an old entry."""
    maker = view_of(k, made.site.function)
    own = write.access.state
    made_together = {
        access.state
        for accesses in maker.accesses
        for access in accesses
        if access.how == "store-item" and access.state != own
    }
    return any(
        access.removes and access.state in made_together and access.key == write.access.key
        for accesses in write.view.accesses
        for access in accesses
    )


def _statement(write: Write) -> Site:
    origin = write.view.cfg.nodes[write.node].origin
    return site_of(write.view.identity, origin or write.access.node)


def _counted(write: Write) -> bool:
    """Whether a test that decides over the removal asks who else uses the lock."""
    cfg = write.view.cfg
    for node in cfg.nodes:
        if node.kind == "branch" and isinstance(node.origin, ir.Expr):
            words = [last_name(e) or "" for e in walk(node.origin) if isinstance(e, ir.Name | ir.Attribute)]
            if (
                any(word in name.lower() for name in words for word in _COUNTED)
                and deciding_edge(cfg, node.index, write.node) is not None
            ):
                return True
    return False


def _taken_from(k: Knowledge, view: View, state: str) -> ir.Expr | None:
    """Where the function takes a lock out of the map and holds it."""
    for statement in statements(view.function.body):
        if isinstance(statement, ir.With):
            for item in statement.items:
                if _comes_from(k, view, item.context, state, _FOLLOWED):
                    return item.context
        for part in expressions(statement):
            for e in walk(part):
                if (
                    isinstance(e, ir.Call)
                    and last_name(e.func) == "acquire"
                    and isinstance(e.func, ir.Attribute)
                ) and _comes_from(k, view, e.func.value, state, _FOLLOWED):
                    return e.func.value
    return None


def _comes_from(k: Knowledge, view: View, e: ir.Expr, state: str, depth: int) -> bool:
    """Whether a value is taken from the map here, through locals and functions that return such a value."""
    if depth == 0:
        return False
    if any(
        a.state == state and a.how in ("item", "method") and not a.removes for a in accesses_in(view.names, e)
    ):
        return True  # a lock that the removal itself hands over guards what leaves the map with it
    if isinstance(e, ir.Name):
        bindings = k.links.local_names(view.identity).bindings.get(e.id, ())
        values = [
            b.expression for b in bindings if b.kind in ("value", "entered") and b.expression is not None
        ]
        return any(_comes_from(k, view, value, state, depth - 1) for value in values)
    if isinstance(e, ir.Await):
        return _comes_from(k, view, e.value, state, depth)
    if isinstance(e, ir.Call):
        for callee in k.links.resolve(view.identity, e).functions[:3]:
            inner = view_of(k, callee, 0)
            returned = [s.value for s in statements(inner.function.body) if isinstance(s, ir.Return)]
            if any(v is not None and _comes_from(k, inner, v, state, depth - 1) for v in returned):
                return True
    return False

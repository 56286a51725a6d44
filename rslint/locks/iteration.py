"""Containers iterated while another thread or task adds or takes away items (RS208)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rslint.flow.graph import CfgNode
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import evaluated
from rslint.locks.containers import container_kinds
from rslint.locks.held import View, view_of
from rslint.locks.kinds import shared
from rslint.locks.paths import reachable
from rslint.locks.sharing import Write, writers_of, writes_of
from rslint.locks.state import Names, constructing, names_of, parts_of, state_of, types_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.models.lock_queries import runs_once
from rslint.project import ir
from rslint.project.text import render, statements, walk

_VIEWS = frozenset({"items", "keys", "values"})
_WATCHED = frozenset({"dict", "set", "deque", "OrderedDict", "defaultdict", "Counter"})
_PASSED_THROUGH = frozenset({"enumerate", "reversed", "zip", "map", "filter"})


class _Iteration(NamedTuple):
    """A loop or comprehension over a state: the node that fetches items, the container's expression, and the loop's
    statement (None for comprehensions)."""

    node: int
    state: str
    container: ir.Expr
    iterable: ir.Expr
    loop: ir.For | None


def unsafe_iterations(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one function, one per container."""
    facts = k.links.store.function(identity)
    if facts is None or constructing(k, identity):
        return
    if not _may_concern(k, identity):
        return
    view = view_of(k, identity)
    seen: set[str] = set()
    for found in _iterations(view):
        if found.state not in seen and _is_watched(k, view, found):
            suspect = _between_threads(k, view, found) or _between_tasks(k, view, found)
            if suspect is not None:
                seen.add(found.state)
                yield suspect


def _may_concern(k: Knowledge, identity: str) -> bool:
    """Whether the function iterates a container that somebody changes: asked before its graph is built."""
    iterables: list[ir.Expr] = []
    for node in parts_of(k, identity):
        if isinstance(node, ir.For):
            iterables.append(node.iterable)
        elif isinstance(node, ir.Comprehension):
            iterables += [clause.iterable for clause in node.generators]
    if not iterables:
        return False
    names = names_of(k, k.links.ir(identity))
    states = {found[0] for iterable in iterables if (found := _iterated(names, iterable)) is not None}
    return any(writers_of(k, names, state) for state in states)


def _iterations(view: View) -> Iterator[_Iteration]:
    for node in view.cfg.nodes:
        if node.kind == "iterate" and isinstance(node.origin, ir.For):
            yield from _over(view, node, node.origin.iterable, node.origin)
        elif node.kind in ("statement", "branch", "with", "expression"):
            for e in (e for part in evaluated(node) for e in walk(part)):
                if isinstance(e, ir.Comprehension):
                    for clause in e.generators:
                        yield from _over(view, node, clause.iterable, None)


def _over(view: View, node: CfgNode, iterable: ir.Expr, loop: ir.For | None) -> Iterator[_Iteration]:
    found = _iterated(view.names, iterable)
    if found is not None:
        yield _Iteration(node.index, found[0], found[1], iterable, loop)


def _iterated(names: Names, iterable: ir.Expr) -> tuple[str, ir.Expr] | None:
    """The state whose items are fetched one by one, and its expression."""
    e = iterable
    for _ in range(3):
        if isinstance(e, ir.Call) and isinstance(e.func, ir.Name) and e.func.id in _PASSED_THROUGH and e.args:
            e = e.args[-1] if e.func.id in ("map", "filter") else e.args[0]
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr in _VIEWS and not e.args:
        e = e.func.value
    state = state_of(names, e)
    return None if state is None else (state, e)


def _is_watched(k: Knowledge, view: View, found: _Iteration) -> bool:
    """Whether the container notices a change while it is iterated: dictionaries, sets and deques raise RuntimeError."""
    kinds = types_of(k, view.identity, view.names, found.container)
    kinds += container_kinds(k, view.names, found.state)
    return any(kind.rpartition(".")[2] in _WATCHED for kind in kinds)


def _between_threads(k: Knowledge, view: View, found: _Iteration) -> LockSuspect | None:
    """Items are added or removed under a lock that is not held here."""
    here = view.locks(found.node)
    writes = [
        write
        for write in writes_of(k, view.names, found.state)
        if write.access.resizes and write.locks and write.view.identity != view.identity
    ]
    guarded = [w for w in writes if not shared(w.locks, here) and not w.view.function.is_async]
    if not guarded or view.function.is_async or _is_caught(view, found):
        return None
    every = [w for w in writes_of(k, view.names, found.state) if w.access.resizes]
    certain = all(w.locks for w in every) and not _is_phase(k, view)
    return _suspect(view, found, guarded[0], "default" if certain else "preview", "threads")


def _is_caught(view: View, found: _Iteration) -> bool:
    """Whether the author expects the RuntimeError."""
    for statement in statements(view.function.body):
        if (
            isinstance(statement, ir.Try)
            and any(s is found.loop for s in statements(statement.body))
            and any("RuntimeError" in render(handler.types) for handler in statement.handlers)
        ):
            return True
    return False


def _between_tasks(k: Knowledge, view: View, found: _Iteration) -> LockSuspect | None:
    """The loop awaits between two items, and another function of the same loop changes the container's size."""
    if not view.function.is_async or found.loop is None or _is_caught(view, found):
        return None
    if not _awaits_between_items(k, view, found.loop):
        return None
    here = view.locks(found.node)
    writes = [
        write
        for write in writes_of(k, view.names, found.state)
        if write.access.resizes and write.view.identity != view.identity and not shared(write.locks, here)
    ]
    # A lock that is held here, and a private writer: its callers may all hold it, farther up than is followed.
    guarded = bool(here) and writes and all(w.view.function.name.startswith("_") for w in writes)
    tier = "preview" if guarded or _is_phase(k, view) else "default"
    return _suspect(view, found, writes[0], tier, "tasks") if writes else None


def _is_phase(k: Knowledge, view: View) -> bool:
    """Whether the function starts or ends its object: others may not run yet, or no longer."""
    return runs_once(k.models, view.function.name)


def _awaits_between_items(k: Knowledge, view: View, loop: ir.For) -> bool:
    inside = {id(statement) for statement in statements(loop.body)}
    header = next((n for n in view.cfg.nodes if n.kind == "loop" and n.origin is loop), None)
    if header is None:
        return False
    body = [edge.target for edge in header.successors if edge.kind == "true"]
    for index in sorted(reachable(view.cfg, body, frozenset({header.index}))):
        node = view.cfg.nodes[index]
        if id(node.origin) not in inside and not isinstance(node.origin, ir.Expr):
            continue
        if suspends(k, view.function, node) and header.index in reachable(view.cfg, (index,)):
            return True
    return False


def _suspect(view: View, found: _Iteration, write: Write, tier: str, detail: str) -> LockSuspect:
    shown = render(write.access.node)
    place = site_of(view.identity, found.iterable)
    steps = (
        Step(
            f"`{write.view.function.name}` changes the size of `{shown}`",
            site_of(write.view.identity, write.access.node),
        ),
    )
    lock = min(write.locks) if write.locks else ""
    text = render(found.iterable)
    return LockSuspect(
        "iteration", view.identity, place, place, render(found.container), lock, text, tier, detail, steps
    )

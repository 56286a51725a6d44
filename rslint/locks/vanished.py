"""Attributes that are used before and after an await while another function sets them to None (RS203)."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.accesses import Access
from rslint.locks.held import View, view_of
from rslint.locks.paths import between, tests_of
from rslint.locks.sharing import Write, writes_of
from rslint.locks.state import constructing, names_of, parts_of, state_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.models.lock_queries import gives_back, runs_once
from rslint.project import ir
from rslint.project.text import render

GONE = "gone"


def vanished_attributes(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    """The suspects of one coroutine, one per state."""
    facts = k.links.store.function(identity)
    if facts is None or not facts.is_async or constructing(k, identity):
        return
    if not _may_concern(k, identity):
        return
    view = view_of(k, identity)
    waiting = [node.index for node in view.cfg.nodes if suspends(k, view.function, node)]
    if not waiting:
        return
    seen: set[str] = set()
    for node, accesses in enumerate(view.accesses):
        for access in accesses:
            if access.how == "method" and access.state not in seen and access.state.startswith("."):
                suspect = _judged(k, view, waiting, node, access)
                if suspect is not None:
                    seen.add(access.state)
                    yield suspect


def _may_concern(k: Knowledge, identity: str) -> bool:
    """Whether the coroutine awaits and calls methods of one attribute twice: asked before its graph is built."""
    names = names_of(k, k.links.ir(identity))
    used: set[str] = set()
    again, awaits = False, False
    for part in parts_of(k, identity):
        awaits = awaits or isinstance(part, ir.Await)
        if isinstance(part, ir.Call) and isinstance(part.func, ir.Attribute):
            state = state_of(names, part.func.value)
            if state is not None:
                again = again or state in used
                used.add(state)
    return again and awaits


def _judged(k: Knowledge, view: View, waiting: list[int], node: int, access: Access) -> LockSuspect | None:
    removal = _set_to_none(k, view, access.state)
    if removal is None or view.held[node]:
        return None
    for earlier, others in enumerate(view.accesses):
        used = [o for o in others if o.state == access.state and o.how == "method"]
        if not used or earlier == node:
            continue
        ways = between(view.cfg, earlier, node)
        passed = [index for index in waiting if index in ways and index != earlier]
        if not passed or view.cfg.nodes[node].kind != "statement":
            continue
        if any(test.access.state == access.state and test.branch in ways for test in tests_of(view)):
            continue
        if any(a.state == access.state and a.how == "store" for i in ways for a in view.accesses[i]):
            continue
        return _suspect(view, used[0], access, passed[0], removal)
    return None


def _set_to_none(k: Knowledge, view: View, state: str) -> Write | None:
    """Another function that ends what the attribute holds, in the middle of its object's life."""
    for write in writes_of(k, view.names, state):
        value = write.access.value
        nothing = isinstance(value, ir.Constant) and value.kind == "NoneType"
        if write.access.how != "store" or not nothing or write.view.identity == view.identity:
            continue
        name = write.view.function.name
        if not runs_once(k.models, name) and not gives_back(k.models, name):
            return write
    return None


def _suspect(view: View, used: Access, access: Access, awaited: int, removal: Write) -> LockSuspect:
    shown = render(access.node)
    place = site_of(view.identity, access.node)
    origin = view.cfg.nodes[awaited].origin
    steps = [Step("is used here", site_of(view.identity, used.node))]
    if origin is not None:
        steps.append(Step("other tasks run here", site_of(view.identity, origin)))
    name = removal.view.function.name
    steps.append(Step(f"`{name}` sets it to None", site_of(removal.view.identity, removal.access.node)))
    text = f"{shown}.{access.method}()"
    return LockSuspect("await", view.identity, place, place, shown, "", text, "default", GONE, tuple(steps))

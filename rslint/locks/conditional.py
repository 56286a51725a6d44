"""Locks taken or not by an answer that may be stale: `lock if not self.paused else nullcontext()` (RS204)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.record import Step
from rslint.locks.held import Held, View, nodes_of, view_of
from rslint.locks.kinds import holds_nothing, kind_of, shared
from rslint.locks.sharing import Write, writes_of
from rslint.locks.state import names_of, state_of
from rslint.locks.suspects import LockSuspect
from rslint.locks.suspension import suspends
from rslint.models.lock_queries import no_lock_names
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import expressions, render, statements, walk


class _Choice(NamedTuple):
    """A context that is a lock or nothing: the test, the lock's expression, the `with` and its item."""

    test: ir.Expr
    lock: ir.Expr
    statement: ir.With
    item: ir.WithItem


class _Answer(NamedTuple):
    """Where the state that decides was read, and what was held there."""

    state: str
    expression: ir.Expr
    held: frozenset[Held]
    node: int


def conditional_locks(k: Knowledge) -> Iterator[LockSuspect]:
    """The suspects of the whole project, in order of function and place."""
    candidates: set[str] = set()
    for name in no_lock_names(k.models):
        candidates.update(k.links.calling(name))
    for identity in sorted(candidates):
        if not outside_production(identity.partition(":")[0]):
            yield from _in_function(k, identity)


def _in_function(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    function = k.links.ir(identity)
    for statement in statements(function.body):
        if isinstance(statement, ir.With):
            for item in statement.items:
                choice = _choice(k, function, statement, item)
                if choice is not None:
                    yield from _judged(k, view_of(k, identity), choice)


def _choice(k: Knowledge, function: ir.Function, statement: ir.With, item: ir.WithItem) -> _Choice | None:
    context = item.context
    if isinstance(context, ir.Name):
        return _assigned(k, function, statement, item, context.id)
    return _selected(k, function, statement, item, context)


def _selected(
    k: Knowledge, function: ir.Function, statement: ir.With, item: ir.WithItem, e: ir.Expr
) -> _Choice | None:
    if not isinstance(e, ir.IfExp):
        return None
    for lock, other in ((e.body, e.orelse), (e.orelse, e.body)):
        if holds_nothing(k, function.identity, other) and _is_lock(k, function, lock):
            return _Choice(e.test, lock, statement, item)
    return None


def _is_lock(k: Knowledge, function: ir.Function, e: ir.Expr) -> bool:
    return kind_of(k, function.identity, names_of(k, function), e) is not None


def _assigned(
    k: Knowledge, function: ir.Function, statement: ir.With, item: ir.WithItem, name: str
) -> _Choice | None:
    """`context = lock if test else nullcontext()`, or an assignment on each arm of an `if`."""
    values = [
        binding.expression
        for binding in k.links.local_names(function.identity).bindings.get(name, ())
        if binding.kind == "value" and binding.expression is not None
    ]
    if len(values) == 1:
        return _selected(k, function, statement, item, values[0])
    locks = [value for value in values if _is_lock(k, function, value)]
    if len(values) != 2 or len(locks) != 1:
        return None
    if not any(holds_nothing(k, function.identity, value) for value in values):
        return None
    for branch in statements(function.body):
        if isinstance(branch, ir.If):
            inside = [s for block in (branch.body, branch.orelse) for s in block]
            if any(isinstance(s, ir.Assign) and s.value is locks[0] for s in inside):
                return _Choice(branch.test, locks[0], statement, item)
    return None


def _judged(k: Knowledge, view: View, choice: _Choice) -> Iterator[LockSuspect]:
    entered = next((n.index for n in view.cfg.nodes if n.kind == "with" and n.clause is choice.item), None)
    if entered is None:
        return
    for answer in _answers(view, choice.test, 2):
        if answer.held & view.held[entered]:
            continue  # the lock under which the state was read is still held
        writes = [w for w in writes_of(k, view.names, answer.state) if w.view.identity != view.identity]
        if not writes or all(shared(write.locks, view.locks(entered)) for write in writes):
            continue
        if view.function.is_async and not _lets_others_run(k, view, choice.statement):
            continue
        yield _suspect(view, choice, answer, writes[0])
        return


def _lets_others_run(k: Knowledge, view: View, statement: ir.With) -> bool:
    """Whether another task may run inside of the body; without an await it is atomic."""
    inside = {id(s) for s in statements(statement.body)}
    return any(id(node.origin) in inside and suspends(k, view.function, node) for node in view.cfg.nodes)


def _answers(view: View, test: ir.Expr, depth: int) -> Iterator[_Answer]:
    """The reads of state that a test rests on, through local names."""
    for e in walk(test):
        state = state_of(view.names, e)
        if state is not None:
            for node in nodes_of(view.cfg, e)[-1:]:
                yield _Answer(state, e, view.held[node], node)
        elif isinstance(e, ir.Name) and depth:
            for statement in statements(view.function.body):
                if (
                    isinstance(statement, ir.Assign)
                    and statement.value is not None
                    and any(isinstance(t, ir.Name) and t.id == e.id for t in statement.targets)
                ):
                    yield from _answers(view, statement.value, depth - 1)


def _suspect(view: View, choice: _Choice, answer: _Answer, write: Write) -> LockSuspect:
    shown = render(answer.expression)
    under = sorted(held.lock for held in answer.held)
    steps = (
        Step(
            f"`{shown}` is read here"
            + (f" under `{_shown(under[0])}`, which is released again" if under else ""),
            site_of(view.identity, answer.expression),
        ),
        Step(
            f"`{write.view.function.name}` may change it in between",
            site_of(write.view.identity, write.access.node),
        ),
    )
    context = choice.item.context
    return LockSuspect(
        "conditional-lock",
        view.identity,
        site_of(view.identity, context),
        _header(view.identity, choice.statement),
        shown,
        render(choice.lock),
        _act(choice.statement),
        "default",
        "",
        steps,
    )


def _shown(lock: str) -> str:
    return f"self{lock}" if lock.startswith(".") else lock


def _header(identity: str, statement: ir.With) -> Site:
    last = statement.items[-1].context.span
    return Site(identity, statement.span.row, statement.span.column, last.end_row, last.end_column)


def _act(statement: ir.With) -> str:
    """What the body does first, for a message."""
    for inner in statements(statement.body):
        for part in expressions(inner):
            for e in walk(part):
                if isinstance(e, ir.Call):
                    return f"{render(e.func)}()"
    return "the body"

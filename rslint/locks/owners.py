"""Whether a coroutine may run in several tasks at once, or belongs to one task alone."""

from __future__ import annotations

from rslint.flow.callers import near
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named
from rslint.locks.held import nodes_of, view_of
from rslint.locks.state import constructing, names_of
from rslint.models.lock_queries import runs_once
from rslint.project import ir
from rslint.project.modules import outside_production

_DEPTH = 4


def runs_in_many_tasks(k: Knowledge, identity: str) -> bool:
    """Whether nothing shows that the coroutine has one owner: it is not the start or end of its object, nor called
    from such functions alone."""
    return k.links.remember(
        ("many tasks", identity),
        lambda: (
            _many(k, identity, _DEPTH) and not _kept_by_one_task(k, identity) and not serialised(k, identity)
        ),
    )


def serialised(k: Knowledge, identity: str, depth: int = _DEPTH) -> bool:
    """Whether every caller that is known holds some lock while the coroutine runs."""
    name = identity.rpartition(":")[2].rpartition(".")[2]
    callers = _callers(k, identity, name) if depth else []
    return bool(callers) and all(_holds(k, caller, name, identity, depth) for caller in callers)


def _holds(k: Knowledge, caller: str, name: str, identity: str, depth: int) -> bool:
    view = view_of(k, caller, 0)
    for call in calls_named(k, caller, name):
        if identity in k.links.resolve(caller, call).functions and not all(
            view.held[node] for node in nodes_of(view.cfg, call)
        ):
            return serialised(k, caller, depth - 1)
    return True


def _kept_by_one_task(k: Knowledge, identity: str) -> bool:
    """Whether objects of the class are made in coroutines and kept in their locals alone."""
    owner = names_of(k, k.links.ir(identity)).owner
    if owner is None:
        return False
    name = owner.rpartition(":")[2].rpartition(".")[2]
    makers = [one for one in k.links.calling(name) if not outside_production(one.partition(":")[0])]
    if not makers or not all(k.links.facts(maker).is_async for maker in makers):
        return False
    return not any(_keeps(k, maker, name) for maker in makers)


def _keeps(k: Knowledge, maker: str, name: str) -> bool:
    """Whether the function puts a new object where others find it, or gives it away."""
    calls = {id(call) for call in calls_named(k, maker, name)}
    made = {
        target.id
        for statement, _ in k.links.anatomy(maker)
        if isinstance(statement, ir.Assign) and statement.value is not None and id(statement.value) in calls
        for target in statement.targets
        if isinstance(target, ir.Name)
    }
    for statement, _ in k.links.anatomy(maker):
        if isinstance(statement, ir.Return) or (
            isinstance(statement, ir.Assign) and not all(isinstance(t, ir.Name) for t in statement.targets)
        ):
            values = (
                statement.value.items if isinstance(statement.value, ir.Collection) else (statement.value,)
            )
            if any(id(e) in calls or (isinstance(e, ir.Name) and e.id in made) for e in values):
                return True
    return False


def _many(k: Knowledge, identity: str, depth: int) -> bool:
    name = identity.rpartition(":")[2].rpartition(".")[2]
    if constructing(k, identity) or runs_once(k.models, name):
        return False
    callers = _callers(k, identity, name)
    if not callers:
        return not name.startswith("_") or bool(k.links.mentioning(name))
    if depth == 0:
        return True
    return any(_many(k, caller, depth - 1) for caller in callers)


def _callers(k: Knowledge, identity: str, name: str) -> list[str]:
    return [
        caller
        for caller in near(k, k.links.calling(name), name, (identity,))
        if caller != identity
        and not outside_production(caller.partition(":")[0])
        and any(identity in k.links.resolve(caller, call).functions for call in calls_named(k, caller, name))
    ]

"""Whether a coroutine may run in several tasks at once, or belongs to one task alone."""

from __future__ import annotations

from rslint.flow.callers import near
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named
from rslint.locks.state import constructing
from rslint.models.lock_queries import runs_once
from rslint.project.modules import outside_production

_DEPTH = 4


def runs_in_many_tasks(k: Knowledge, identity: str) -> bool:
    """Whether nothing shows that the coroutine has one owner: it is not the start or end of its object, nor called
    from such functions alone."""
    return k.links.remember(("many tasks", identity), lambda: _many(k, identity, _DEPTH))


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

"""Who else may change a state: its writers outside of construction, and the locks they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rslint.flow.knowledge import Knowledge
from rslint.locks.accesses import Access
from rslint.locks.held import View, view_of
from rslint.locks.state import Names, constructing, family, names_of
from rslint.models.lock_queries import lock_constructors, lock_name
from rslint.project.modules import outside_production


class Write(NamedTuple):
    """One change of a state: the function, the node of its graph, and what it does there."""

    view: View
    node: int
    access: Access

    @property
    def locks(self) -> frozenset[str]:
        return self.view.locks(self.node)


def writes_of(k: Knowledge, names: Names, state: str) -> tuple[Write, ...]:
    """The changes of a state after its construction, in order of function and node."""
    key = ("writes", names.owner if state.startswith(".") else names.module, state)
    return k.links.remember(key, lambda: tuple(_writes(k, names, state)))


def _writes(k: Knowledge, names: Names, state: str) -> Iterator[Write]:
    for identity in writers_of(k, names, state):
        view = view_of(k, identity)
        for node, accesses in enumerate(view.accesses):
            for access in accesses:
                if access.state == state and access.writes:
                    yield Write(view, node, access)


def writers_of(k: Knowledge, names: Names, state: str) -> tuple[str, ...]:
    """The functions that may change the state after construction; those in tests left out."""
    if not state.startswith("."):
        found = k.links.storing_in(names.module, state)
    elif names.owner is None:
        return ()
    else:
        related = family(k, names.owner)
        found = tuple(
            identity for identity in k.links.storing(state[1:]) if _owner_of(k, identity) in related
        )
    return tuple(
        identity
        for identity in found
        if not constructing(k, identity)
        and not _makes_lock(k, identity)
        and not outside_production(identity.partition(":")[0])
    )


def _makes_lock(k: Knowledge, identity: str) -> bool:
    """Whether the function makes the lock of its object anew: it starts the object again, as a constructor does."""
    facts = k.links.store.function(identity)
    return facts is not None and any(
        name in facts.calls and any(lock_name(k.models, stored) for stored in facts.stores)
        for name in lock_constructors(k.models)
    )


def users_storing(k: Knowledge, names: Names, state: str) -> tuple[str, ...]:
    """All functions that store the state, constructors, class bodies and the top level of its module included."""
    if not state.startswith("."):
        return (f"{names.module}:", *k.links.storing_in(names.module, state))
    if names.owner is None:
        return ()
    related = family(k, names.owner)
    methods = [one for one in k.links.storing(state[1:]) if _owner_of(k, one) in related]
    return (*related, *methods)


def _owner_of(k: Knowledge, identity: str) -> str | None:
    if identity.endswith(":") or k.links.store.function(identity) is None:
        return None
    return names_of(k, k.links.ir(identity)).owner

"""Where to look: the functions near locks, found backwards from the calls that make one."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge
from rslint.locks.state import Names, family, names_of
from rslint.models.lock_queries import lock_constructors
from rslint.project.modules import outside_production

_EXPLICIT = "acquire"


def lock_names(k: Knowledge) -> frozenset[str]:
    """The names of attributes and globals that hold a lock."""
    return k.links.remember(("lock names of the project",), lambda: _lock_names(k))


def _lock_names(k: Knowledge) -> frozenset[str]:
    endings = tuple(f"{name}()" for name in lock_constructors(k.models))
    found: set[str] = set()
    modules = {module for name in lock_constructors(k.models) for module in k.links.modules_naming(name)}
    for module in sorted(modules):
        facts = k.links.store.facts(module)
        for binding in facts.globals if facts else ():
            if binding.value.endswith(endings):
                found.add(binding.name)
        for one in facts.classes if facts else ():
            found.update(b.name for b in one.attributes if b.value.endswith(endings))
            found.update(
                b.name
                for b in one.attributes
                if b.annotation.rpartition(".")[2] in lock_constructors(k.models)
            )
    return frozenset(found)


def locking_functions(k: Knowledge) -> tuple[str, ...]:
    """The functions that may take a lock, sorted; those in tests left out."""
    return k.links.remember(("locking functions",), lambda: _locking_functions(k))


def _locking_functions(k: Knowledge) -> tuple[str, ...]:
    found = set(k.links.calling(_EXPLICIT))
    for name in lock_names(k):
        found.update(k.links.mentioning(name))
    return tuple(sorted(identity for identity in found if not outside_production(identity.partition(":")[0])))


def neighbours(k: Knowledge, names: Names) -> tuple[str, ...]:
    """The functions that may use the same state: methods of the family of a class, else those of the module."""
    if names.owner is None:
        return k.links.functions_of(names.module)
    return k.links.remember(("neighbours", names.owner), lambda: _methods(k, names.owner or ""))


def _methods(k: Knowledge, owner: str) -> tuple[str, ...]:
    related = family(k, owner)
    found: list[str] = []
    for module in sorted({class_id.partition(":")[0] for class_id in related}):
        for identity in k.links.functions_of(module):
            if any(identity.startswith(f"{class_id}.") for class_id in related):
                found.append(identity)
    return tuple(found)


def sharing_functions(k: Knowledge) -> tuple[str, ...]:
    """The functions that may use what a lock guards (methods of classes that have one, functions of modules that
    have one), and the coroutines, sorted; those in tests left out."""
    return k.links.remember(("sharing functions",), lambda: _sharing_functions(k))


def _sharing_functions(k: Knowledge) -> tuple[str, ...]:
    found = set(locking_functions(k))
    asked: set[str] = set()
    for identity in locking_functions(k):
        names = owner_of(k, identity)
        if (names.owner or names.module) not in asked:
            asked.add(names.owner or names.module)
            found.update(neighbours(k, names))
    found.update(coroutines(k))
    return tuple(sorted(identity for identity in found if not outside_production(identity.partition(":")[0])))


def coroutines(k: Knowledge) -> tuple[str, ...]:
    """The coroutines of the project that are not in tests, sorted."""
    return k.links.remember(("coroutines",), lambda: tuple(sorted(_coroutines(k))))


def _coroutines(k: Knowledge) -> Iterator[str]:
    for module in k.links.modules_naming("await"):
        if not outside_production(module):
            for identity in k.links.functions_of(module):
                facts = k.links.store.function(identity)
                if facts is not None and facts.is_async:
                    yield identity


def owner_of(k: Knowledge, identity: str) -> Names:
    """The names of a function by its identity."""
    return names_of(k, k.links.ir(identity))

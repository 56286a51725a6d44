"""Who may call a function, by name: all that use a rare name, and for a common one those that can know its owner."""

from __future__ import annotations

from collections.abc import Iterable

from rslint.flow.knowledge import Knowledge
from rslint.project.common_names import COMMON_METHODS

_COMMON = 8
_CONSTRUCTING = frozenset({"__init__", "__call__", "__new__"})


def called_name(identity: str) -> str:
    """The name under which a function is called: a class's for its constructor."""
    path = identity.partition(":")[2].split(".")
    return path[-2] if path[-1] in _CONSTRUCTING and len(path) > 1 else path[-1]


def near(k: Knowledge, users: Iterable[str], name: str, callees: Iterable[str]) -> list[str]:
    """Of the functions that use `name`, those that may mean one of `callees`.

    Where many modules define the name, or types of Python, its library or torch have such a method, only users in
    modules that also name the callee's class or module count: the others mean another function.
    """
    if name not in COMMON_METHODS and len(k.links.modules_defining(name)) <= _COMMON:
        return list(users)
    modules: set[str] = set()
    for callee in callees:
        module, _, path = callee.partition(":")
        modules.add(module)
        holder = path.split(".")[-2] if "." in path else module.rpartition(".")[2]
        modules.update(k.links.modules_naming(holder))
    return [user for user in users if user.partition(":")[0] in modules]

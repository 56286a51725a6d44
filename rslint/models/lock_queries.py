"""What the analyses of locks ask of the models."""

from __future__ import annotations

from rslint.models.knowledge import Models
from rslint.models.patterns import last_part, type_name


def lock_kind(models: Models, types: tuple[str, ...]) -> str | None:
    """The kind of lock ("thread", "task", "own" for a class of the project) that one of the types is; None: none."""
    for one in types:
        known = models.locks.constructors.get(one)
        if known is not None:
            return known
    return "own" if any(type_name(one) in models.locks.types for one in types) else None


def lock_constructors(models: Models) -> tuple[str, ...]:
    """The last names of the calls that make a lock, sorted."""
    return tuple(sorted({name.rpartition(".")[2] for name in models.locks.constructors}))


def lock_name(models: Models, text: str) -> bool:
    """Whether a variable or attribute of this name is by convention a lock."""
    return last_part(text) in models.locks.variables


def is_no_lock(models: Models, dotted: str | None) -> bool:
    """Whether this context manager holds nothing."""
    return dotted in models.locks.no_locks


def no_lock_names(models: Models) -> tuple[str, ...]:
    """The last names of the contexts that hold nothing, sorted."""
    return tuple(sorted({name.rpartition(".")[2] for name in models.locks.no_locks}))


def made_once(models: Models, text: str) -> bool:
    """Whether the result of a call of this name is not to be made twice."""
    return last_part(text) in models.locks.makers


def gives_back(models: Models, method: str) -> bool:
    """Whether this method ends something that was opened or started: `close`, `close_socket`, `_do_close`."""
    return any(word in models.locks.enders for word in method.lower().split("_"))


def runs_once(models: Models, name: str) -> bool:
    """Whether a function of this name starts or ends an object, and so runs once for it."""
    return last_part(name) in models.locks.phases


def owned_key(models: Models, text: str) -> bool:
    """Whether a key of this name belongs to one caller alone."""
    return last_part(text) in models.locks.keys

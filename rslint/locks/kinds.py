"""Which expressions are locks, of what kind, and which name one and the same lock."""

from __future__ import annotations

import re

from rslint.flow.knowledge import Knowledge
from rslint.locks.state import Names, bindings_of, names_of, state_of, types_of
from rslint.models.lock_queries import is_no_lock, lock_constructors, lock_kind, lock_name
from rslint.project import ir
from rslint.project.text import last_name, render, statements

_CONDITION = re.compile(r"condition\(\)$", re.IGNORECASE)
_SIDE = re.compile(
    r"_*(gen_)?(r|w|read|write|reader|writer|shared|exclusive)(_?lock(ed)?)?|rlock|wlock|request|update"
)
_SYNCHRONISED = re.compile(r"synchroni[sz]ed|(^|_)lock(ed)?(_|$)|mutex")
ANY = "*"
"""The lock of a function whose decorator takes one that is not known."""


def kind_of(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> str | None:
    """The kind of lock an expression is: "thread", "task", "own" (a class of the project), "named" (only its name
    tells), or None."""
    whole = _whole(e)
    if whole is not e and (kind := kind_of(k, identity, names, whole)) is not None:
        return kind
    types = types_of(k, identity, names, e)
    if types:
        return lock_kind(k.models, types)
    name = last_name(e)
    if name is None and isinstance(e, ir.Subscript):
        return kind_of(k, identity, names, e.value) if lock_name(k.models, render(e.value)) else None
    return "named" if name is not None and lock_name(k.models, name) else None


def holds_nothing(k: Knowledge, identity: str, e: ir.Expr) -> bool:
    """Whether an expression is `nullcontext()`."""
    if not isinstance(e, ir.Call):
        return False
    return is_no_lock(k.models, k.links.resolve(identity, e).external)


def lock_text(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> str:
    """One text for one lock in the functions of a class: the state it is kept in, else its source text. Both sides of
    a reader-writer lock are that lock, a condition made of a lock is that lock, and a local is what it is assigned."""
    e = _whole(_assigned(k, identity, names, e))
    state = state_of(names, e)
    if state is None:
        return render(e)
    key = ("same lock", names.owner or names.module, state)
    return k.links.remember(key, lambda: _underlying(k, names, state) or state)


def _whole(e: ir.Expr) -> ir.Expr:
    """`self.lock` of `self.lock.writer_lock` and of `self.lock.read(timeout=1)`."""
    side = e.func if isinstance(e, ir.Call) else e
    return side.value if isinstance(side, ir.Attribute) and _SIDE.fullmatch(side.attr) else e


def _assigned(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> ir.Expr:
    """What a local with one value stands for; of a choice between a lock and nothing, the lock."""
    if not isinstance(e, ir.Name) or e.id not in names.hidden:
        return e
    bindings = k.links.local_names(identity).bindings.get(e.id, ())
    if len(bindings) != 1 or bindings[0].kind != "value" or bindings[0].expression is None:
        return e
    value = bindings[0].expression
    if isinstance(value, ir.IfExp):
        value = value.body if holds_nothing(k, identity, value.orelse) else value.orelse
    return value if isinstance(value, ir.Name | ir.Attribute) else e


def synchronised(k: Knowledge, identity: str) -> bool:
    """Whether a decorator of the function takes a lock around all of it."""
    facts = k.links.store.function(identity)
    return facts is not None and any(
        _SYNCHRONISED.search(text.partition("(")[0].rpartition(".")[2]) for text in facts.decorators
    )


def shared(left: frozenset[str], right: frozenset[str]) -> bool:
    """Whether two locksets have a lock in common, as far as that is known."""
    return bool(left & right) or ANY in left or ANY in right


def _underlying(k: Knowledge, names: Names, state: str) -> str | None:
    """The lock that `Condition(self.lock)` is made of."""
    for binding in bindings_of(k, names, state):
        if not _CONDITION.search(binding.value) or not binding.function:
            continue
        function = k.links.ir(binding.function)
        inner = names_of(k, function)
        for statement in statements(function.body):
            if isinstance(statement, ir.Assign) and any(
                state_of(inner, t) == state for t in statement.targets
            ):
                value = statement.value
                if isinstance(value, ir.Call) and value.args:
                    return state_of(inner, value.args[0])
    return None


def constructing_functions(k: Knowledge) -> tuple[str, ...]:
    """The functions that make a lock, or name its constructor (`default_factory=Lock`), sorted."""
    found: set[str] = set()
    for name in lock_constructors(k.models):
        found.update(k.links.calling(name))
        found.update(k.links.mentioning(name))
    return tuple(sorted(found))

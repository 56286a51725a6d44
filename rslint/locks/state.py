"""Shared state by name: attributes of the object a method is called on, and globals of a module.

A state is a text: `.x` for an attribute of `self`, of `cls` or of the class by its name (one state: a class attribute
is read through all three), `x` for a module global.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.knowledge import Knowledge
from rslint.project import ir
from rslint.project.entities import Entity
from rslint.project.facts import BindingFacts
from rslint.project.namespaces import recorded_entities

_FOLLOWED = 6
_NEW = frozenset({"__new__", "__init_subclass__", "__class_getitem__"})


@dataclass(frozen=True)
class Names:
    """How one function names shared state: `receivers` stand for the object or its class, `hidden` are its locals."""

    module: str
    owner: str | None
    receivers: frozenset[str]
    globals: frozenset[str]
    hidden: frozenset[str]


def names_of(k: Knowledge, function: ir.Function) -> Names:
    """The names of one function, computed once; a function inside a method uses the method's `self`."""
    return k.links.remember(("lock names", function.identity), lambda: _names(k, function))


def _names(k: Knowledge, function: ir.Function) -> Names:
    module, _, _path = function.identity.partition(":")
    owner, receivers = _owner(k, function)
    local = k.links.local_names(function.identity)
    facts = k.links.store.facts(module)
    assigned = frozenset(facts.functions[0].stores) if facts else frozenset[str]()
    return Names(module, owner, receivers, assigned, frozenset(local.bindings) - local.outer)


def _owner(k: Knowledge, function: ir.Function) -> tuple[str | None, frozenset[str]]:
    """The class whose object the function works on, and the names it gives it."""
    current = function
    for _ in range(_FOLLOWED):
        facts = k.links.store.function(current.identity)
        if facts is None:
            break  # the body of a class
        if current.owner is not None:
            if "staticmethod" in facts.decorators or not current.parameters:
                return current.owner, frozenset({_simple(current.owner)})
            return current.owner, frozenset({current.parameters[0].name, _simple(current.owner)})
        outer = current.identity.rpartition(".")[0]
        if k.links.store.function(outer) is None:
            break
        current = k.links.ir(outer)
    return None, frozenset()


def _simple(class_id: str) -> str:
    return class_id.rpartition(":")[2].rpartition(".")[2]


def state_of(names: Names, e: ir.Expr) -> str | None:
    """The state an expression names; None for anything else."""
    if isinstance(e, ir.Attribute):
        return f".{e.attr}" if _is_receiver(names, e.value) else None
    if isinstance(e, ir.Name) and e.id in names.globals and e.id not in names.hidden:
        return e.id
    return None


def _is_receiver(names: Names, e: ir.Expr) -> bool:
    if isinstance(e, ir.Name):
        return e.id in names.receivers
    if isinstance(e, ir.Attribute) and e.attr == "__class__":
        return _is_receiver(names, e.value)
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Name) and e.func.id == "type" and len(e.args) == 1:
        return _is_receiver(names, e.args[0])
    return False


def parts_of(k: Knowledge, identity: str) -> Iterator[ir.Stmt | ir.Expr]:
    """Every statement of a function and every part of the expressions that it evaluates."""
    for statement, evaluated in k.links.anatomy(identity):
        yield statement
        for expression in evaluated:
            yield from expression.parts


def family(k: Knowledge, class_id: str) -> tuple[str, ...]:
    """The classes of the project whose objects may be the same: bases, subclasses, and what these derive from (a
    mixin's other half)."""
    return k.links.remember(("family", class_id), lambda: _family(k, class_id))


def _family(k: Knowledge, class_id: str) -> tuple[str, ...]:
    below = (class_id, *k.links.subclasses(class_id))
    found = {one for child in below for one in k.links.mro(child) if ":" in one}
    return tuple(sorted({class_id, *found}))


def bindings_of(k: Knowledge, names: Names, state: str) -> tuple[BindingFacts, ...]:
    """The ways the state gets a value."""
    if not state.startswith("."):
        return tuple(k.links.global_bindings(names.module, state))
    if names.owner is None:
        return ()
    return tuple(
        binding
        for class_id in family(k, names.owner)
        for binding in k.links.attribute_bindings(class_id, state[1:])
    )


def types_of(k: Knowledge, identity: str, names: Names, e: ir.Expr) -> tuple[str, ...]:
    """The types of an expression; those of an attribute are looked for in the whole family of the class."""
    found = k.links.type_of(identity, e)
    if found:
        return found
    if isinstance(e, ir.Attribute) and state_of(names, e) is not None:
        return _recorded_types(k, names, f".{e.attr}")
    if isinstance(e, ir.Attribute):
        inner = types_of(k, identity, names, e.value)
        return tuple(kind for one in inner if ":" in one for kind in _member_types(k, one, e.attr))
    return ()


def _recorded_types(k: Knowledge, names: Names, state: str) -> tuple[str, ...]:
    def compute() -> tuple[str, ...]:
        found: list[str] = []
        for binding in bindings_of(k, names, state):
            scope = binding.function or k.links.scope_of_class(names.owner or "")
            found += [
                e.name
                for e in recorded_entities(k.links, scope, binding, _FOLLOWED)
                if e.kind in ("instance", "object", "container")
            ]
        return tuple(dict.fromkeys(found))

    return k.links.remember(("recorded types", names.owner, names.module, state), compute)


def _member_types(k: Knowledge, class_id: str, attribute: str) -> tuple[str, ...]:
    found = k.links.member(Entity("instance", class_id), attribute, _FOLLOWED)
    return tuple(e.name for e in found if e.kind in ("instance", "object", "container"))


def constructing(k: Knowledge, identity: str) -> bool:
    """Whether the function runs only before its object is shared: a constructor, the top level of a module, or a
    private function that only constructors call."""
    return k.links.remember(("constructing", identity), lambda: _constructing(k, identity, 2))


def _constructing(k: Knowledge, identity: str, depth: int) -> bool:
    name = identity.rpartition(":")[2].rpartition(".")[2]
    if name in (
        "__init__",
        "__new__",
        "__post_init__",
        "__init_subclass__",
        "__set_name__",
        "__setstate__",
        "",
    ):
        return True
    if depth == 0 or not name.startswith("_") or name.startswith("__"):
        return False
    module = identity.partition(":")[0]
    callers = [one for one in k.links.calling(name) if one.partition(":")[0] == module]
    if not callers or len(callers) < len(k.links.calling(name)) or k.links.mentioning(name):
        return False
    return all(_constructing(k, caller, depth - 1) for caller in callers)

"""Attributes of entities: methods through base and sub-classes, properties, instance and class attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rslint.project.entities import Entities, Entity, unique
from rslint.project.hierarchy import inherited_methods, mro, overriding_methods
from rslint.project.ir import Assign, Attribute, Expr, Name
from rslint.project.namespaces import module_entities, recorded_entities
from rslint.project.text import statements

if TYPE_CHECKING:
    from rslint.project.links import Links

_MOST_ATTACHING = 8
_ENUMS = frozenset({"enum.Enum", "enum.IntEnum", "enum.StrEnum", "enum.Flag", "enum.IntFlag"})


def member_entities(links: Links, entity: Entity, name: str, depth: int) -> Entities:
    """What `entity.name` denotes."""
    if depth <= 0:
        return ()
    if entity.kind == "module":
        found = module_entities(links, entity.name, name, depth)
        bound = found or name in links.bound_names(entity.name)
        return found if bound else (Entity("external", f"{entity.name}.{name}"),)
    if entity.kind in ("external", "object"):
        return (Entity("external", f"{entity.name}.{name}"),)
    if entity.kind == "container":
        return (Entity("external", f"{entity.name}.{name}", True, entity.inner),)
    if entity.kind in ("class", "instance", "super"):
        key = ("member", entity, name, depth)
        return links.remember(key, lambda: _class_member(links, entity, name, depth))
    return ()


def _class_member(links: Links, entity: Entity, name: str, depth: int) -> Entities:
    order = mro(links, entity.name)[entity.kind == "super" :]
    methods = inherited_methods(links, order, name)
    overriding: tuple[str, ...] = ()
    if not entity.exact:
        overriding = tuple(m for m in overriding_methods(links, entity.name, name) if m not in methods)
    if methods or overriding:
        return _methods(links, entity, methods, overriding, depth)
    found: list[Entity] = []
    if links.store.class_facts(f"{entity.name}.{name}") is not None:
        found.append(Entity("class", f"{entity.name}.{name}"))
    for class_id in order:
        for binding in links.attribute_bindings(class_id, name):
            if not binding.function and entity.kind == "class" and _is_enum(order):
                found.append(Entity("instance", entity.name))
            else:
                scope = binding.function or links.scope_of_class(class_id)
                found += recorded_entities(links, scope, binding, depth - 1)
    if not found and entity.kind == "instance":
        found = attached_entities(links, entity.name, name, depth - 1)
    if found:
        return unique(found)
    outside = next((ancestor for ancestor in order if ":" not in ancestor), None)
    return (Entity("external", f"{outside}.{name}"),) if outside else ()


def attached_entities(links: Links, class_id: str, name: str, depth: int) -> list[Entity]:
    """What functions outside a class put into an attribute of an instance they are given: `cache.pool = Pool()`."""
    functions = links.storing(name)
    if depth <= 0 or len(functions) > _MOST_ATTACHING:
        return []
    kinds = {class_id, *mro(links, class_id)}
    found: list[Entity] = []
    for function in functions:
        if links.owner_of(function) in kinds or not _is_given(links, function, kinds):
            continue
        for receiver, value in _attached(links, function, name):
            if any(
                e.kind == "instance" and e.name in kinds for e in links.evaluate(function, receiver, depth)
            ):
                found += links.evaluate(function, value, depth)
    return found


def _is_given(links: Links, function: str, kinds: set[str]) -> bool:
    """Whether an annotation of the function names one of the classes."""
    names = {re.split(r"[.:]", kind)[-1] for kind in kinds}
    return any(
        name in parameter.annotation for parameter in links.facts(function).parameters for name in names
    )


def _attached(links: Links, function: str, name: str) -> Iterator[tuple[Name, Expr]]:
    for statement in statements(links.ir(function).body):
        if isinstance(statement, Assign) and statement.value is not None and statement.operator is None:
            for target in statement.targets:
                if isinstance(target, Attribute) and target.attr == name and isinstance(target.value, Name):
                    yield target.value, statement.value


def _is_enum(order: tuple[str, ...]) -> bool:
    return any(ancestor in _ENUMS for ancestor in order)


def _methods(
    links: Links, entity: Entity, methods: tuple[str, ...], overriding: tuple[str, ...], depth: int
) -> Entities:
    if overriding:
        methods = tuple(m for m in methods if not _is_abstract(links, m))
    found: list[Entity] = []
    for method in sorted({*methods, *overriding}):
        facts = links.store.function(method)
        if facts is not None and facts.is_property and entity.kind != "class":
            found += links.returned(method, depth - 1)
        else:
            found.append(Entity("function", method, exact=not overriding))
    return unique(found)


def _is_abstract(links: Links, method: str) -> bool:
    facts = links.store.function(method)
    return facts is not None and facts.is_abstract

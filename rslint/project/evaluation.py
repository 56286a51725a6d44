"""Expressions to entities: what a value can be, by constructors, annotations, attributes, return values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rslint.project import ir
from rslint.project.annotations import annotation_entities, parsed_text, tuple_items
from rslint.project.entities import (
    ELEMENT_METHODS,
    PASS_THROUGH,
    VIEW_METHODS,
    Entities,
    Entity,
    elements,
    instance_of,
    is_type_name,
    unique,
)
from rslint.project.hierarchy import inherited_methods, mro
from rslint.project.members import member_entities
from rslint.project.namespaces import enclosing, name_entities

if TYPE_CHECKING:
    from rslint.project.links import Links

_LONGEST_RETURN = 8
_MOST_CANDIDATES = 24


def evaluate(links: Links, function: str, expression: ir.Expr, depth: int) -> Entities:
    """The entities an expression of `function` may denote, in order of discovery. What may be very many things (a
    method that every layer of a model overrides) tells nothing and costs much: then there is no answer."""
    return _told(_evaluate(links, function, expression, depth)) if depth > 0 else ()


def members_of(links: Links, receivers: Entities, name: str, depth: int) -> Entities:
    """What the attribute `name` of these entities may denote, with the same limit."""
    return _told(unique(m for one in receivers for m in member_entities(links, one, name, depth)))


def _told(found: Entities) -> Entities:
    return found if len(found) <= _MOST_CANDIDATES else ()


def _evaluate(links: Links, function: str, expression: ir.Expr, depth: int) -> Entities:
    if isinstance(expression, ir.Name):
        return name_entities(links, function, expression.id, depth)
    if isinstance(expression, ir.Attribute):
        return members_of(links, evaluate(links, function, expression.value, depth), expression.attr, depth)
    if isinstance(expression, ir.Call):
        return _call(links, function, expression, depth)
    if isinstance(expression, (ir.Await, ir.NamedExpr, ir.Starred)):
        return evaluate(links, function, expression.value, depth)
    if isinstance(expression, ir.IfExp):
        return _union(links, function, (expression.body, expression.orelse), depth)
    if isinstance(expression, ir.BoolOp):
        return _union(links, function, expression.values, depth)
    if isinstance(expression, ir.Subscript):
        held = evaluate(links, function, expression.value, depth)
        generic = [e for e in held if e.kind in ("class", "external") and not e.inner]
        return unique([*elements(held), *generic])
    if isinstance(expression, ir.Collection):
        values = expression.items[1:2] if expression.kind == "dict" else expression.items[:1]
        return (
            Entity("container", f"builtins.{expression.kind}", True, _union(links, function, values, depth)),
        )
    if isinstance(expression, ir.Comprehension):
        kind = "list" if expression.kind == "generator" else expression.kind
        inner = evaluate(links, function, expression.elements[-1], depth)
        return (Entity("container", f"builtins.{kind}", True, inner),)
    if isinstance(expression, ir.Constant) and expression.kind in ("str", "bytes", "int", "float", "bool"):
        return (Entity("object", f"builtins.{expression.kind}"),)
    return (Entity("object", "builtins.str"),) if getattr(expression, "kind", "") == "fstring" else ()


def _union(links: Links, function: str, expressions: tuple[ir.Expr, ...], depth: int) -> Entities:
    return unique(e for one in expressions for e in evaluate(links, function, one, depth))


def _call(links: Links, function: str, call: ir.Call, depth: int) -> Entities:
    if isinstance(call.func, ir.Name) and call.func.id == "super":
        scope = function
        while not scope.endswith(":"):
            if owner := links.owner_of(scope):
                return (Entity("super", owner, exact=True),)
            scope = enclosing(scope)
        return ()
    found: list[Entity] = []
    for entity in evaluate(links, function, call.func, depth):
        if entity.kind == "function":
            found += links.returned(entity.name, depth - 1)
        elif entity.kind == "class":
            found.append(Entity("instance", entity.name, entity.exact))
        elif entity.kind == "instance":
            for method in inherited_methods(links, mro(links, entity.name), "__call__"):
                found += links.returned(method, depth - 1)
        elif entity.kind == "external":
            found += _external_call(links, function, call, entity, depth)
    return unique(found)


def _external_call(links: Links, function: str, call: ir.Call, entity: Entity, depth: int) -> Entities:
    name, last = entity.name, entity.name.rpartition(".")[2]
    if entity.inner:
        if last in ELEMENT_METHODS:
            return entity.inner
        return (Entity("container", "builtins.list", True, entity.inner),) if last in VIEW_METHODS else ()
    if name == "functools.partial" and call.args:
        return evaluate(links, function, call.args[0], depth)
    if (
        name in PASS_THROUGH
        and len(call.args) == 1
        and (held := evaluate(links, function, call.args[0], depth))
    ):
        return held
    if name == "builtins.next" and call.args:
        return elements(evaluate(links, function, call.args[0], depth))
    if name == "builtins.type" and len(call.args) == 1:
        held = evaluate(links, function, call.args[0], depth)
        return tuple(Entity("class", e.name, e.exact) for e in held if e.kind == "instance")
    if name == "builtins.getattr" and len(call.args) >= 2 and isinstance(call.args[1], ir.Constant):
        attribute = call.args[1].value
        held = evaluate(links, function, call.args[0], depth)
        return unique(m for e in held for m in member_entities(links, e, str(attribute), depth))
    if name in ("typing.cast", "typing_extensions.cast") and call.args:
        return annotation_entities(links, function, call.args[0], depth)
    return instance_of([entity], exact=True) if is_type_name(name) else (Entity("object", f"{name}()"),)


def returned(links: Links, function: str, depth: int) -> Entities:
    """What a project function returns: by its annotation, else by the expressions it returns."""
    if depth <= 0:
        return ()
    return links.remember(("returned", function, depth), lambda: _returned(links, function, depth))


def _returned(links: Links, function: str, depth: int) -> Entities:
    facts = links.store.function(function)
    if facts is None:
        return ()
    if facts.returns:
        annotation = parsed_text(facts.returns)
        return annotation_entities(links, function, annotation, depth) if annotation is not None else ()
    if facts.is_generator:
        return ()
    values = links.returned_values(function)
    if len(values) > _LONGEST_RETURN:
        return ()
    return _union(links, function, values, depth)


def unpacked(links: Links, function: str, value: ir.Expr, position: int, depth: int) -> Entities:
    """What `first, second = call()` binds at a position: by the callee's annotation, else by the tuples it returns."""
    call = value.value if isinstance(value, ir.Await) else value
    if depth <= 0 or not isinstance(call, ir.Call):
        return ()
    found: list[Entity] = []
    for entity in evaluate(links, function, call.func, depth):
        facts = links.store.function(entity.name) if entity.kind == "function" else None
        if facts is None:
            continue
        if facts.returns:
            items = tuple_items(parsed_text(facts.returns))
            if position < len(items):
                found += annotation_entities(links, entity.name, items[position], depth - 1)
            continue
        for returned_ in links.returned_values(entity.name)[:_LONGEST_RETURN]:
            if isinstance(returned_, ir.Collection) and position < len(returned_.items):
                found += evaluate(links, entity.name, returned_.items[position], depth - 1)
    return unique(found)


def entered(links: Links, function: str, context: ir.Expr, depth: int) -> Entities:
    """What `with context as name` binds: `__enter__`'s result, a context manager function's yield, or
    itself."""
    found: list[Entity] = []
    for entity in evaluate(links, function, context, depth):
        if entity.kind == "container":
            found += entity.inner
        elif entity.kind == "instance":
            order = mro(links, entity.name)
            methods = inherited_methods(links, order, "__enter__") or inherited_methods(
                links, order, "__aenter__"
            )
            results = [e for method in methods for e in links.returned(method, depth - 1)]
            found += results or [entity]
        elif entity.kind == "object":
            found.append(entity)
    return unique(found)


def iterated(links: Links, function: str, iterable: ir.Expr, position: int, depth: int) -> Entities:
    """What `for … in iterable` binds; `position` is the target's place in a tuple target, -1 for a plain
    one."""
    if isinstance(iterable, ir.Call):
        last = iterable.func.id if isinstance(iterable.func, ir.Name) else getattr(iterable.func, "attr", "")
        if last == "enumerate" and iterable.args:
            return iterated(links, function, iterable.args[0], -1, depth) if position == 1 else ()
        if last == "zip" and 0 <= position < len(iterable.args):
            return iterated(links, function, iterable.args[position], -1, depth)
        if last == "items" and isinstance(iterable.func, ir.Attribute):
            held = evaluate(links, function, iterable.func.value, depth)
            return elements(held) if position == 1 else ()
    if position >= 0:
        return ()
    held = evaluate(links, function, iterable, depth)
    return elements(e for e in held if not e.name.rpartition(".")[2].lower().endswith("dict"))

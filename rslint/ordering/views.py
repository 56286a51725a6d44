"""Which expressions denote memory that processes share, and which part of it: found by name, backwards, on demand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rslint.models.ordering_queries import holds_shared_memory, is_shared_memory, view_call
from rslint.ordering.bindings import (
    NOTHING,
    Binding,
    Buffers,
    View,
    Views,
    argument,
    around,
    bindings_of,
    calls_of,
    text_in,
    yielded_values,
)
from rslint.project import ir
from rslint.project.links import text_of
from rslint.project.text import statements

_DEPTH = 12
_MOST_CALLERS = 8
_MAY_BE_MEMORY = re.compile(r"memoryview|ndarray|NDArray|Tensor|Any|Memory|[Bb]uffer|mmap|object|array")


def views_of(b: Buffers, function: str, e: ir.Expr, depth: int = _DEPTH) -> Views:
    """The shared memory that an expression in a function may denote; nothing for what only reads from it."""
    if depth <= 0:
        return NOTHING
    match e:
        case ir.Name():
            return _named(b, function, e.id, depth)
        case ir.Attribute():
            return _attribute(b, function, e, depth)
        case ir.Subscript():
            return _part(b, function, views_of(b, function, e.value, depth - 1), e.index)
        case ir.Call():
            return _called(b, function, e, depth)
        case ir.IfExp():
            return views_of(b, function, e.body, depth - 1) | views_of(b, function, e.orelse, depth - 1)
        case ir.BoolOp():
            return frozenset().union(*(views_of(b, function, value, depth - 1) for value in e.values))
        case ir.NamedExpr() | ir.Await():
            return views_of(b, function, e.value, depth - 1)
        case _:
            return NOTHING


def is_slice(index: ir.Expr) -> bool:
    """Whether an index takes a part and not one cell: `[a:b]`, `[i, :n]`, `[...]`."""
    if isinstance(index, ir.Collection):
        return any(is_slice(item) for item in index.items)
    if isinstance(index, ir.Constant):
        return index.kind == "ellipsis"
    return isinstance(index, ir.Other) and index.kind == "slice"


def _part(b: Buffers, function: str, views: Views, index: ir.Expr) -> Views:
    if not views or not is_slice(index):
        return NOTHING
    parts = index.parts if isinstance(index, ir.Other) else ()
    text = ":".join(text_in(b, function, part) for part in parts)
    if parts and (parts[0].span.row, parts[0].span.column) != (index.span.row, index.span.column):
        text = f":{text}"  # from the first element on
    return frozenset(view if view.area else View(view.owner, view.segment, text) for view in views)


def _attribute(b: Buffers, function: str, e: ir.Attribute, depth: int) -> Views:
    models = b.k.models.ordering
    if holds_shared_memory(models, e.attr, b.k.links.type_of(function, e.value), text_of(e.value)):
        return frozenset([_whole(b, function, e.value)])
    if is_shared_memory(models, b.k.links.type_of(function, e)):
        return frozenset([_whole(b, function, e)])
    found = NOTHING
    for class_id in _classes(b, function, e.value):
        found |= _kept(b, class_id, e.attr, depth)
    return found


def _whole(b: Buffers, function: str, segment: ir.Expr) -> View:
    """All of a segment, named by the class that keeps it where one does."""
    module = function.partition(":")[0] + ":"
    if isinstance(segment, ir.Attribute):
        for class_id in _classes(b, function, segment.value):
            return View(_keeper(b, class_id, segment.attr), segment.attr, "")
        return View(module, segment.attr, "")
    return View(module, text_of(segment), "")


def _classes(b: Buffers, function: str, receiver: ir.Expr) -> list[str]:
    """The project's classes a receiver may be an instance of; in a method that makes one by hand, its own class."""
    found = [one for one in b.k.links.type_of(function, receiver) if ":" in one]
    if not found and isinstance(receiver, ir.Name):
        owner = b.k.links.owner_of(function)
        if owner is not None and receiver.id in b.k.links.local_names(function).bindings:
            found = [owner]
    return found


def _keeper(b: Buffers, class_id: str, attribute: str) -> str:
    """The class farthest up that assigns the attribute: the same for all its subclasses."""
    found = class_id
    for ancestor in b.k.links.mro(class_id):
        if ":" in ancestor and b.k.links.attribute_bindings(ancestor, attribute):
            found = ancestor
    return found


def _kept(b: Buffers, class_id: str, attribute: str, depth: int) -> Views:
    """What methods of a class and its ancestors store under an attribute, or what a property of it returns."""
    key = ("attribute", class_id, attribute)

    def found() -> Iterator[Views]:
        for ancestor in b.k.links.mro(class_id):
            if ":" not in ancestor:
                continue
            for binding in b.k.links.attribute_bindings(ancestor, attribute):
                if binding.function:
                    yield from _assigned(b, binding.function, attribute, depth)
        method = b.k.links.method(class_id, attribute)
        if method is not None and b.k.links.facts(method).is_property:
            yield _returned(b, method, None, depth - 1)

    return _answered(b, key, found, depth)


def _assigned(b: Buffers, function: str, attribute: str, depth: int) -> Iterator[Views]:
    for statement in statements(b.k.links.ir(function).body):
        if isinstance(statement, ir.Assign) and statement.value is not None:
            for target in statement.targets:
                if isinstance(target, ir.Attribute) and target.attr == attribute:
                    yield views_of(b, function, statement.value, depth - 1)


def _called(b: Buffers, function: str, call: ir.Call, depth: int) -> Views:
    target = b.k.links.resolve(function, call)
    if target.functions and target.constructs is None:
        found = NOTHING
        for callee in target.functions:
            found |= _returned(b, callee, None, depth - 1)
        return found
    if is_shared_memory(b.k.models.ordering, (target.constructs,) if target.constructs else ()):
        return NOTHING
    known = view_call(b.k.models.ordering, target.external, target.text)
    if known is None:
        return NOTHING
    memory = call.func.value if isinstance(call.func, ir.Attribute) else None
    if known.buffer is not None:
        memory = argument(call, known.buffer)
    if memory is None:
        return NOTHING
    views = views_of(b, function, memory, depth - 1)
    offset = argument(call, known.offset)
    if offset is None or (isinstance(offset, ir.Constant) and offset.value == 0):
        return views
    place = text_in(b, function, offset)
    return frozenset(View(view.owner, view.segment, f"{view.area}@{place}") for view in views)


def _returned(b: Buffers, function: str, position: int | None, depth: int) -> Views:
    """What a function returns, or yields as a context manager."""
    key = ("returned" if position is None else f"returned {position}", function, "")

    def found() -> Iterator[Views]:
        for value in yielded_values(b, function) or b.k.links.returned_values(function):
            if position is None:
                yield views_of(b, function, value, depth - 1)
            elif isinstance(value, ir.Collection) and position < len(value.items):
                yield views_of(b, function, value.items[position], depth - 1)

    return _answered(b, key, found, depth)


def yielded_views(b: Buffers, function: str) -> Views:
    """The shared memory that a context manager gives to the body of a `with`."""
    return NOTHING.union(*(views_of(b, function, value) for value in yielded_values(b, function)))


def _named(b: Buffers, function: str, name: str, depth: int) -> Views:
    """What a name stands for: a local of the function, of one around it, or a global of the module."""
    key = ("name", function, name)

    def found() -> Iterator[Views]:
        if name in ("self", "cls"):
            return
        local = bindings_of(b, function).get(name)
        if local is not None:
            for binding in local:
                yield _bound_views(b, function, binding, depth)
        elif name in (parameters := [p.name for p in b.k.links.facts(function).parameters]):
            if is_shared_memory(b.k.models.ordering, b.k.links.type_of(function, _name(name))):
                yield frozenset([_whole(b, function, _name(name))])
            else:
                yield from _passed(b, function, parameters, name, depth)
        elif (outer := around(b, function)) is not None:
            yield _named(b, outer, name, depth - 1)

    return _answered(b, key, found, depth)


def _bound_views(b: Buffers, function: str, binding: Binding, depth: int) -> Views:
    if binding.position is None:
        if is_shared_memory(b.k.models.ordering, b.k.links.type_of(function, binding.value)):
            return frozenset([View(function.partition(":")[0] + ":", text_of(binding.value), "")])
        return views_of(b, function, binding.value, depth - 1)
    if not isinstance(binding.value, ir.Call):
        return NOTHING
    found = NOTHING
    for callee in b.k.links.resolve(function, binding.value).functions:
        found |= _returned(b, callee, binding.position, depth - 1)
    return found


def _name(name: str) -> ir.Name:
    return ir.Name(ir.Span(0, 0, 0, 0), name)


def _passed(b: Buffers, function: str, parameters: list[str], name: str, depth: int) -> Iterator[Views]:
    """What callers give for a parameter."""
    facts = b.k.links.facts(function)
    annotation = facts.parameters[parameters.index(name)].annotation
    if annotation and not _MAY_BE_MEMORY.search(annotation):
        return
    position = parameters.index(name) - (1 if facts.owner and parameters[0] in ("self", "cls") else 0)
    for caller, call in calls_of(b, function)[:_MOST_CALLERS]:
        given = argument(call, (position, name))
        if given is not None:
            yield views_of(b, caller, given, depth - 2)


def _answered(
    b: Buffers, key: tuple[str, str, str], found: Callable[[], Iterator[Views]], depth: int
) -> Views:
    if depth <= 0:
        return NOTHING
    question = (*key, depth)
    if question not in b.answers:
        b.answers[question] = NOTHING.union(*found())
    return b.answers[question]

"""Annotations to the entities an annotated name can hold."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from rslint.project import ir
from rslint.project.entities import (
    CONTAINERS,
    MAPPINGS,
    TRANSPARENT,
    Entities,
    Entity,
    container_type,
    instance_of,
    unique,
)
from rslint.project.lower_expression import lower_expression

if TYPE_CHECKING:
    from rslint.project.links import Links

_NO_TYPES = frozenset(
    {"typing.Any", "builtins.object", "typing.NoReturn", "typing.Never", "typing.LiteralString"}
)


@lru_cache(maxsize=65536)
def parsed_text(text: str) -> ir.Expr | None:
    """An expression's text as IR; None where it does not parse."""
    try:
        return lower_expression(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def annotation_entities(links: Links, function: str, annotation: ir.Expr, depth: int) -> Entities:
    """What a value annotated so can be: every candidate of Optional, Union and `|`; string annotations
    included."""
    if depth <= 0:
        return ()
    if isinstance(annotation, ir.Constant):
        inner = parsed_text(annotation.value) if isinstance(annotation.value, str) else None
        return annotation_entities(links, function, inner, depth - 1) if inner is not None else ()
    if isinstance(annotation, ir.BinOp):
        left = annotation_entities(links, function, annotation.left, depth)
        return unique([*left, *annotation_entities(links, function, annotation.right, depth)])
    if isinstance(annotation, ir.Subscript):
        return _subscripted(links, function, annotation, depth)
    if isinstance(annotation, (ir.Name, ir.Attribute)):
        return _named(links, function, annotation, depth)
    return ()


def tuple_items(annotation: ir.Expr | None) -> tuple[ir.Expr, ...]:
    """The items of `tuple[A, B]`; () for every other annotation, `tuple[A, ...]` included."""
    if not isinstance(annotation, ir.Subscript) or not isinstance(annotation.index, ir.Collection):
        return ()
    base = annotation.value
    last = base.attr if isinstance(base, ir.Attribute) else getattr(base, "id", "")
    items = annotation.index.items
    endless = any(isinstance(item, ir.Constant) and item.kind == "ellipsis" for item in items)
    return items if last in ("tuple", "Tuple") and not endless else ()


def _named(links: Links, function: str, annotation: ir.Expr, depth: int) -> Entities:
    last = annotation.attr if isinstance(annotation, ir.Attribute) else getattr(annotation, "id", "")
    if last == "Self":
        owner = links.owner_of(function)
        return (Entity("instance", owner, exact=False),) if owner else ()
    found = [entity for entity in links.evaluate(function, annotation, depth) if entity.name not in _NO_TYPES]
    if last in CONTAINERS or last in MAPPINGS:
        return tuple(Entity("container", entity.name) for entity in found if entity.kind == "external")
    return instance_of(found, exact=False)


def _subscripted(links: Links, function: str, annotation: ir.Subscript, depth: int) -> Entities:
    base = annotation.value
    last = base.attr if isinstance(base, ir.Attribute) else getattr(base, "id", "")
    index = annotation.index
    arguments = index.items if isinstance(index, ir.Collection) and index.kind == "tuple" else (index,)
    if last in TRANSPARENT:
        if last in ("Annotated", "Coroutine"):
            arguments = arguments[:1] if last == "Annotated" else arguments[-1:]
        return unique(e for one in arguments for e in annotation_entities(links, function, one, depth))
    if last in ("type", "Type"):
        held = annotation_entities(links, function, arguments[0], depth)
        kinds = {"instance": "class", "object": "external"}
        return tuple(Entity(kinds[e.kind], e.name, exact=False) for e in held if e.kind in kinds)
    if last in CONTAINERS or last in MAPPINGS or last in ("tuple", "Tuple"):
        chosen = arguments[-1:] if last in MAPPINGS else arguments[:1]
        inner = unique(e for one in chosen for e in annotation_entities(links, function, one, depth))
        return (Entity("container", container_type(last), False, inner),)
    if last in ("Callable", "Literal"):
        return ()
    return annotation_entities(links, function, base, depth)

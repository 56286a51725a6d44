"""The local names of one function: every way its own body binds each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from rslint.project import ir

_CARRIERS = frozenset({ir.Keyword, ir.Generator, ir.WithItem})
_NOT_VISITED = frozenset({ir.Name, ir.Constant, ir.Lambda, ir.Span, ir.Function, ir.Parameter})
_NO_PARTS = """
span kind attr operator operators name names identity is_async is_star captures irrefutable annotation
"""
_PARTS: dict[type, tuple[str, ...]] = {
    kind: tuple(name for name in reversed(kind.__struct_fields__) if name not in _NO_PARTS.split())
    for kind in vars(ir).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in _NOT_VISITED
}


class LocalBinding(msgspec.Struct, frozen=True):
    """One binding. `kind`: "parameter" (`position`), "value", "entered" (`with … as`), "element" (`for …
    in`, `position` >= 0 inside a tuple target), "unpacked" (the item at `position` of a tuple), "annotation",
    "import" (`text` the dotted target), "define" (`text` the identity), "raised" (`except … as`) or "opaque"."""

    kind: str
    expression: ir.Expr | None = None
    text: str = ""
    position: int = -1


@dataclass(frozen=True)
class LocalNames:
    """`bindings` by name; `outer` are the names declared global or nonlocal; `stars` the modules
    star-imported."""

    bindings: dict[str, tuple[LocalBinding, ...]]
    outer: frozenset[str]
    stars: tuple[str, ...]


def local_names(function: ir.Function) -> LocalNames:
    """All local bindings of a function, flow-insensitive, comprehension targets included."""
    found: dict[str, list[LocalBinding]] = {}
    outer: set[str] = set()
    stars: list[str] = []
    for position, parameter in enumerate(function.parameters):
        found.setdefault(parameter.name, []).append(
            LocalBinding("parameter", parameter.annotation, parameter.kind, position)
        )
    for node in nodes(function.body):
        if isinstance(node, ir.Scope):
            outer.update(node.names)
        for name, binding in _bindings(node):
            if name == "*":
                stars.append(binding.text)
            elif binding not in found.setdefault(name, []):
                found[name].append(binding)
    kept = {name: tuple(bindings) for name, bindings in found.items() if name not in outer}
    return LocalNames(kept, frozenset(outer), tuple(stars))


def nodes(body: tuple[ir.Stmt, ...]) -> Iterator[ir.Stmt | ir.Expr | ir.Handler | ir.Case]:
    """Statements, handlers, cases and those expressions that bind names, in source order."""
    pending: list[object] = list(reversed(body))
    while pending:
        node = pending.pop()
        kind = node.__class__
        if kind is tuple:
            pending += reversed(node)  # type: ignore[call-overload]
        elif (fields := _PARTS.get(kind)) is not None:
            if kind not in _CARRIERS:
                yield node  # type: ignore[misc]
            for name in fields:
                pending.append(getattr(node, name))


def _bindings(node: object) -> Iterator[tuple[str, LocalBinding]]:
    if isinstance(node, ir.Assign):
        yield from _assigned(node)
    elif isinstance(node, ir.For):
        yield from _element_targets(node.target, node.iterable)
    elif isinstance(node, ir.With):
        for item in node.items:
            if item.target is not None:
                yield from _targets(item.target, LocalBinding("entered", item.context))
    elif isinstance(node, ir.Comprehension):
        for generator in node.generators:
            yield from _element_targets(generator.target, generator.iterable)
    elif isinstance(node, ir.NamedExpr):
        yield from _targets(node.target, LocalBinding("value", node.value))
    elif isinstance(node, ir.Handler) and node.name:
        yield node.name, LocalBinding("raised", node.types)
    elif isinstance(node, ir.Import):
        for name, target in node.names:
            yield name, LocalBinding("import", text=target)
    elif isinstance(node, ir.Define):
        yield node.name, LocalBinding("define", text=node.identity, position=node.kind == "class")
    elif isinstance(node, ir.Case):
        for name in node.captures:
            yield name, LocalBinding("opaque")


def _assigned(node: ir.Assign) -> Iterator[tuple[str, LocalBinding]]:
    for target in node.targets:
        if isinstance(target, ir.Name):
            if node.annotation is not None:
                yield target.id, LocalBinding("annotation", node.annotation)
            if node.value is not None and node.operator is None:
                yield target.id, LocalBinding("value", node.value)
        elif isinstance(target, ir.Collection):
            same = isinstance(node.value, ir.Collection) and len(node.value.items) == len(target.items)
            for position, one in enumerate(target.items):
                if same and isinstance(node.value, ir.Collection):
                    binding = LocalBinding("value", node.value.items[position])
                else:
                    binding = LocalBinding("unpacked", node.value, position=position)
                yield from _targets(one, binding)


def _element_targets(target: ir.Expr, iterable: ir.Expr) -> Iterator[tuple[str, LocalBinding]]:
    if isinstance(target, ir.Collection):
        for position, one in enumerate(target.items):
            yield from _targets(one, LocalBinding("element", iterable, position=position))
    else:
        yield from _targets(target, LocalBinding("element", iterable))


def _targets(target: ir.Expr, binding: LocalBinding) -> Iterator[tuple[str, LocalBinding]]:
    if isinstance(target, ir.Name):
        yield target.id, binding
    elif isinstance(target, ir.Starred):
        yield from _targets(target.value, LocalBinding("opaque"))
    elif isinstance(target, ir.Collection):
        for one in target.items:
            yield from _targets(one, LocalBinding("opaque"))

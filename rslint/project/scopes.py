"""The local names of one function: every way its own body binds each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from rslint.project import ir
from rslint.project.anatomy import Dissected
from rslint.project.text import walk


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


def local_names(function: ir.Function, body: tuple[Dissected, ...]) -> LocalNames:
    """All local bindings of a function, flow-insensitive, comprehension targets included."""
    found: dict[str, list[LocalBinding]] = {}
    outer: set[str] = set()
    stars: list[str] = []
    for position, parameter in enumerate(function.parameters):
        found.setdefault(parameter.name, []).append(
            LocalBinding("parameter", parameter.annotation, parameter.kind, position)
        )
    for statement, evaluated in body:
        if isinstance(statement, ir.Scope):
            outer.update(statement.names)
        bound = list(_bindings(statement))
        for expression in evaluated:
            bound += _bound_within(expression.parts)
        for name, binding in bound:
            if name == "*":
                stars.append(binding.text)
            elif binding not in found.setdefault(name, []):
                found[name].append(binding)
    kept = {name: tuple(bindings) for name, bindings in found.items() if name not in outer}
    return LocalNames(kept, frozenset(outer), tuple(stars))


def _bindings(statement: ir.Stmt) -> Iterator[tuple[str, LocalBinding]]:
    match statement:
        case ir.Assign():
            yield from _assigned(statement)
        case ir.For():
            yield from _element_targets(statement.target, statement.iterable)
        case ir.With():
            for item in statement.items:
                if item.target is not None:
                    yield from _targets(item.target, LocalBinding("entered", item.context))
        case ir.Try():
            for handler in statement.handlers:
                if handler.name:
                    yield handler.name, LocalBinding("raised", handler.types)
        case ir.Import():
            for name, target in statement.names:
                yield name, LocalBinding("import", text=target)
        case ir.Define():
            is_class = statement.kind == "class"
            yield statement.name, LocalBinding("define", text=statement.identity, position=is_class)
        case ir.Match():
            for case in statement.cases:
                yield from ((name, LocalBinding("opaque")) for name in case.captures)
                yield from _bound_within(() if case.guard is None else walk(case.guard))
        case _:
            pass


def _bound_within(parts: Iterable[ir.Expr]) -> Iterator[tuple[str, LocalBinding]]:
    """What comprehensions and assignment expressions among the parts of an expression bind."""
    for part in parts:
        if isinstance(part, ir.Comprehension):
            for generator in part.generators:
                yield from _element_targets(generator.target, generator.iterable)
        elif isinstance(part, ir.NamedExpr):
            yield from _targets(part.target, LocalBinding("value", part.value))


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

"""Which functions and classes a scope defines, and what each is called: identities are made here alone.

Indexing numbers definitions from a whole file, lowering from one function's slice; both must give every
nested definition the same identity. A name defined again in the same scope (a branch on the platform, a
property's setter) gets "@2", "@3" … in source order. `@overload` declarations have no body and are left
out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

_BLOCKS: dict[type[ast.AST], tuple[str, ...]] = {
    ast.If: ("orelse", "body"),
    ast.For: ("orelse", "body"),
    ast.AsyncFor: ("orelse", "body"),
    ast.While: ("orelse", "body"),
    ast.With: ("body",),
    ast.AsyncWith: ("body",),
    ast.Try: ("finalbody", "orelse", "handlers", "body"),
    ast.ExceptHandler: ("body",),
    ast.Match: ("cases",),
    ast.match_case: ("body",),
}
if hasattr(ast, "TryStar"):
    _BLOCKS[ast.TryStar] = _BLOCKS[ast.Try]


def own_statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Statements (and handlers, cases) of one scope in source order; definitions are yielded, not entered."""
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        for block in _BLOCKS.get(type(node), ()):
            pending += reversed(getattr(node, block))


def is_overload(node: Definition) -> bool:
    """Whether the definition is a `typing.overload` declaration."""
    return any(dotted_text(decorator).rpartition(".")[2] == "overload" for decorator in node.decorator_list)


def definitions(body: Sequence[ast.AST]) -> tuple[tuple[Definition, str], ...]:
    """The definitions of one scope with their names, made unique, in source order."""
    found: list[tuple[Definition, str]] = []
    seen: dict[str, int] = {}
    for node in own_statements(body):
        if isinstance(node, DEFINITIONS) and not (node.decorator_list and is_overload(node)):
            count = seen[node.name] = seen.get(node.name, 0) + 1
            found.append((node, node.name if count == 1 else f"{node.name}@{count}"))
    return tuple(found)


def first_row(node: Definition) -> int:
    """The row of the first decorator, or of the definition itself."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def dotted_text(node: ast.AST) -> str:
    """`a.b().c` for names, attributes and calls (arguments left out); "" for everything else."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Name):
            parts.append(node.id)
            return "".join(reversed(parts))
        if isinstance(node, ast.Attribute):
            parts.append("." + node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            parts.append("()")
            node = node.func
        else:
            return ""


def absolute_module(module: str, is_package: bool, level: int, target: str | None) -> str:
    """The dotted module a (possibly relative) `from … import` names; `module` is the importing module."""
    if not level:
        return target or ""
    parts = module.partition("#")[0].split(".")
    drop = level - 1 if is_package else level
    base = parts[: len(parts) - drop] if drop else parts
    return ".".join([*base, *([target] if target else [])])


def imported_names(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool
) -> tuple[tuple[str, str], ...]:
    """(bound name, absolute dotted target) pairs; a star import binds "*" to the module."""
    if isinstance(node, ast.Import):
        return tuple(
            (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
            for alias in node.names
        )
    base = absolute_module(module, is_package, node.level, node.module)
    return tuple(
        ("*", base)
        if alias.name == "*"
        else (alias.asname or alias.name, f"{base}.{alias.name}" if base else alias.name)
        for alias in node.names
    )

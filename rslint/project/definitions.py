"""Reads definitions and imports: their rows, decorators and targets."""

from __future__ import annotations

import ast
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def is_overload(node: Definition) -> bool:
    """Whether the definition is a `typing.overload` declaration."""
    return any(dotted_text(decorator).rpartition(".")[2] == "overload" for decorator in node.decorator_list)


def first_row(node: Definition) -> int:
    """The row of the first decorator, or of the definition itself."""
    return min([node.lineno, *[decorator.lineno for decorator in node.decorator_list]])


def dotted_text(node: ast.AST) -> str:
    """`a.b().c` for names, attributes and calls (arguments left out); "" for everything else."""
    if isinstance(node, ast.Name):
        return node.id
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

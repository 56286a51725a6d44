"""Which names a piece of a function reads and binds, and which new names are free in it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from rslint_rules.divergence.repair.site import Site, own_nodes


def _with_own(nodes: Iterable[ast.AST]) -> Iterable[ast.AST]:
    for node in nodes:
        yield node
        yield from own_nodes(node)


def bound(statements: Sequence[ast.AST]) -> tuple[str, ...]:
    """Plain names the statements bind, in order of first appearance."""
    found: dict[str, None] = {}
    for node in _with_own(statements):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.setdefault(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.setdefault(node.name)
        elif isinstance(node, ast.alias):
            found.setdefault((node.asname or node.name).split(".")[0])
    return tuple(found)


def read(nodes: Sequence[ast.AST]) -> frozenset[str]:
    """Plain names the nodes read, nested definitions included."""
    return frozenset(
        inner.id
        for node in nodes
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    )


def used(function: ast.AST, module: ast.Module) -> frozenset[str]:
    """Every identifier of a function and the names bound at the top of its module."""
    found = set(bound([s for s in module.body if not isinstance(s, ast.FunctionDef | ast.ClassDef)]))
    found.update(s.name for s in module.body if isinstance(s, ast.FunctionDef | ast.ClassDef))
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            found.update(node.names)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
    return frozenset(found)


def handler(site: Site, taken: frozenset[str]) -> str:
    """A name for `except … as name`: "error", also where only other handlers of the function use it."""
    clauses = [n for n in ast.walk(site.function) if isinstance(n, ast.ExceptHandler) and n.name == "error"]
    inside = {id(inner) for clause in clauses for inner in ast.walk(clause)}
    everywhere = [n for n in ast.walk(site.function) if isinstance(n, ast.Name) and n.id == "error"]
    enclosing = any(step.owner in clauses for path in (site.outer, *site.paths) for step in path)
    only_handlers = all(id(node) in inside for node in everywhere)
    return "error" if clauses and only_handlers and not enclosing else free("error", taken)


def free(wanted: str, taken: frozenset[str]) -> str:
    """`wanted`, or `wanted_2`, `wanted_3` …, whichever is not taken."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name

"""Collects what one scope does with names, and what it defines, in one visit of its nodes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rslint.project.definitions import Definition

_MUTATORS = """
append appendleft add clear discard extend insert pop popitem popleft put remove setdefault update
"""
_NOT_CHILDREN = """
ctx op ops id attr arg name names level module lineno type_comment kind annotation returns asname rest
is_async conversion simple tag type_params kwd_attrs str
"""
MUTATORS = frozenset(_MUTATORS.split())
_CHILDREN: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in kind._fields if name not in _NOT_CHILDREN.split())
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


@dataclass
class Uses:
    """What one scope does with names, collected while its nodes are visited.

    `mentions` are plain names, `attributes` those taken of something. `assignments` (those that may give a global or
    an attribute its value), `imports` and `definitions` are in source order; a yield in a lambda counts for
    `may_yield` too.
    """

    calls: set[str] = field(default_factory=set)
    mentions: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    declared_global: set[str] = field(default_factory=set)
    assignments: list[ast.stmt] = field(default_factory=list)
    imports: list[ast.Import | ast.ImportFrom] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    may_yield: bool = False


def collect_uses(body: Iterable[ast.AST]) -> Uses:
    """Visit one scope's nodes iteratively; nested definitions contribute decorators, defaults and bases
    alone."""
    uses = Uses()
    mentions, bound = uses.mentions, uses.bound
    pending: list[Any] = list(body)
    while pending:
        node = pending.pop()
        kind = type(node)
        if kind is ast.Name:
            (mentions if type(node.ctx) is ast.Load else bound).add(node.id)
        elif kind is not ast.Constant:
            _VISITS[kind](node, uses, pending)
    for found in (uses.assignments, uses.imports, uses.definitions):
        found.sort(key=_position)
    return uses


def _position(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _visit_parts(node: ast.AST, uses: Uses, pending: list[Any]) -> None:
    for name in _CHILDREN[type(node)]:
        child = getattr(node, name)
        if type(child) is list:
            pending += child
        else:
            pending.append(child)


def _visit_nothing(node: ast.AST | None, uses: Uses, pending: list[Any]) -> None:
    """What is absent, or holds plain values alone."""


def _visit_attribute(node: ast.Attribute, uses: Uses, pending: list[Any]) -> None:
    (uses.attributes if type(node.ctx) is ast.Load else uses.stores).add(node.attr)
    _visit_receiver(node.value, uses, pending)


def _visit_call(node: ast.Call, uses: Uses, pending: list[Any]) -> None:
    func = node.func
    if type(func) is ast.Attribute:
        uses.calls.add(func.attr)
        receiver = func.value
        if func.attr in MUTATORS:
            _visit_change(receiver, uses)
        _visit_receiver(receiver, uses, pending)
    elif type(func) is ast.Name:
        uses.calls.add(func.id)
    else:
        pending.append(func)
    pending += node.args
    if node.keywords:
        pending += [keyword.value for keyword in node.keywords]


def _visit_receiver(node: ast.AST, uses: Uses, pending: list[Any]) -> None:
    """The object an attribute is taken of: its names are receivers, not values that are passed on."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if type(node) is not ast.Name:
        pending.append(node)


def _visit_change(node: ast.AST, uses: Uses) -> None:
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        uses.stores.add(node.attr)
    elif isinstance(node, ast.Name):
        uses.changed.add(node.id)


def _visit_subscript(node: ast.Subscript, uses: Uses, pending: list[Any]) -> None:
    if type(node.ctx) is not ast.Load:
        _visit_change(node.value, uses)
    pending += (node.value, node.slice)


def _visit_definition(node: Definition, uses: Uses, pending: list[Any]) -> None:
    uses.bound.add(node.name)
    uses.definitions.append(node)
    pending += node.decorator_list
    if isinstance(node, ast.ClassDef):
        pending += node.bases
        pending += [keyword.value for keyword in node.keywords]
    else:
        pending += node.args.defaults
        pending += node.args.kw_defaults


def _visit_scope(node: ast.Global, uses: Uses, pending: list[Any]) -> None:
    uses.declared_global.update(node.names)


def _visit_yield(node: ast.AST, uses: Uses, pending: list[Any]) -> None:
    uses.may_yield = True
    _visit_parts(node, uses, pending)


def _visit_assignment(node: ast.stmt, uses: Uses, pending: list[Any]) -> None:
    uses.assignments.append(node)
    _visit_parts(node, uses, pending)


def _visit_import(node: ast.Import | ast.ImportFrom, uses: Uses, pending: list[Any]) -> None:
    uses.imports.append(node)
    uses.bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)


_VISITS: dict[type, Callable[[Any, Uses, list[Any]], None]] = {
    **dict.fromkeys(_CHILDREN, _visit_parts),
    type(None): _visit_nothing,
    ast.Constant: _visit_nothing,
    ast.MatchSingleton: _visit_nothing,
    ast.Call: _visit_call,
    ast.Attribute: _visit_attribute,
    ast.Subscript: _visit_subscript,
    ast.FunctionDef: _visit_definition,
    ast.AsyncFunctionDef: _visit_definition,
    ast.ClassDef: _visit_definition,
    ast.Global: _visit_scope,
    ast.Yield: _visit_yield,
    ast.YieldFrom: _visit_yield,
    ast.Assign: _visit_assignment,
    ast.AnnAssign: _visit_assignment,
    ast.With: _visit_assignment,
    ast.AsyncWith: _visit_assignment,
    ast.Import: _visit_import,
    ast.ImportFrom: _visit_import,
}

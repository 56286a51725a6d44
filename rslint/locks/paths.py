"""Tests of shared state, what they decide, and what lies between two nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from rslint.flow.graph import Cfg, Edge, EdgeKind, successors
from rslint.locks.accesses import Access, accesses_in, evaluated
from rslint.locks.held import View
from rslint.project import ir
from rslint.project.text import walk

_MEMORY = 4
"""Locals are followed where they are assigned at most this often."""
_KEPT = 256
"""As many answers about one graph are kept: the same branches are asked about each act of a function."""


class Test(NamedTuple):
    """A branch that rests on a state. `read` is the node that read it: the branch itself, or the assignment of the
    local that is tested. `function` is where the state is named, if that is a helper of this function."""

    branch: int
    read: int
    access: Access
    function: str = ""


def tests_of(view: View) -> tuple[Test, ...]:
    """All tests of shared state in a function, in order of their branches."""
    return tuple(_tests(view))


def _tests(view: View) -> Iterator[Test]:
    assigned = _assigned(view)
    for node in view.cfg.nodes:
        if node.kind not in ("branch", "loop"):
            continue
        for access in view.accesses[node.index]:
            yield Test(node.index, node.index, access)
        for e in (e for part in evaluated(node) for e in walk(part)):
            for read, value in assigned.get(e.id, ()) if isinstance(e, ir.Name) else ():
                for access in accesses_in(view.names, value):
                    yield Test(node.index, read, access)


def _assigned(view: View) -> dict[str, list[tuple[int, ir.Expr]]]:
    """What locals are assigned, and where; those assigned many times are left out."""
    found: dict[str, list[tuple[int, ir.Expr]]] = {}
    for node in view.cfg.nodes:
        if node.kind == "statement" and isinstance(node.origin, ir.Assign) and node.origin.value is not None:
            for target in node.origin.targets:
                if isinstance(target, ir.Name) and target.id in view.names.hidden:
                    found.setdefault(target.id, []).append((node.index, node.origin.value))
        for e in (e for part in evaluated(node) for e in walk(part)):
            if isinstance(e, ir.NamedExpr) and isinstance(e.target, ir.Name):
                found.setdefault(e.target.id, []).append((node.index, e.value))
    return {name: values for name, values in found.items() if len(values) <= _MEMORY}


@lru_cache(maxsize=_KEPT)
def _edges(cfg: Cfg, exceptional: bool) -> tuple[tuple[Edge, ...], ...]:
    return successors(cfg, exceptional)


def reachable(
    cfg: Cfg, starts: Iterable[int], without: frozenset[int] = frozenset(), exceptional: bool = False
) -> frozenset[int]:
    """The nodes that control may come to from `starts`, these included, never through `without`; by exceptions only
    where `exceptional`."""
    edges = _edges(cfg, exceptional)
    seen: set[int] = set()
    pending = [start for start in starts if start not in without]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += [edge.target for edge in edges[node] if edge.target not in without]
    return frozenset(seen)


def deciding_edge(cfg: Cfg, branch: int, target: int) -> EdgeKind | None:
    """The only edge of a branch by which control comes to `target` without passing the branch again; None where both
    edges lead there, or none. Exceptions count where nothing else leads there."""
    for exceptional in (False, True):
        leading = [kind for kind, reached in _beyond(cfg, branch, exceptional) if target in reached]
        if leading:
            return leading[0] if len(leading) == 1 else None
    return None


@lru_cache(maxsize=_KEPT)
def _beyond(cfg: Cfg, branch: int, exceptional: bool) -> tuple[tuple[EdgeKind, frozenset[int]], ...]:
    """What can be reached by each edge of a branch without passing it again."""
    return tuple(
        (edge.kind, reachable(cfg, (edge.target,), frozenset({branch}), exceptional))
        for edge in _edges(cfg, False)[branch]
    )


@lru_cache(maxsize=_KEPT)
def between(cfg: Cfg, start: int, end: int) -> frozenset[int]:
    """The nodes on the ways from `start` to `end`, both left out, that come through neither of them twice."""
    edges = _edges(cfg, False)
    after = reachable(cfg, [e.target for e in edges[start]], frozenset({start, end}))
    backwards: list[list[int]] = [[] for _ in edges]
    for source, outgoing in enumerate(edges):
        for edge in outgoing:
            backwards[edge.target].append(source)
    seen: set[int] = set()
    pending = [source for source in backwards[end] if source not in (start, end)]
    while pending:
        node = pending.pop()
        if node not in seen:
            seen.add(node)
            pending += [source for source in backwards[node] if source not in (start, end)]
    return frozenset(after & seen)


def absent_edge(test: Test, origin: ir.Expr) -> EdgeKind | None:
    """The edge of a branch on which the state is missing: None, empty, false, or without the key; None where the
    test does not tell."""
    if isinstance(origin, ir.NamedExpr):
        return "false"
    if isinstance(origin, ir.Compare) and len(origin.operators) == 1:
        operator, right = origin.operators[0], origin.comparators[0]
        nothing = isinstance(right, ir.Constant) and right.kind == "NoneType"
        if operator in ("is", "==") and nothing:
            return "true"
        if operator in ("is not", "!=") and nothing:
            return "false"
        if operator in ("in", "not in") and test.access.how == "member":
            return "true" if operator == "not in" else "false"
        return None
    if isinstance(origin, ir.Name | ir.Attribute | ir.Subscript | ir.Call):
        return "false"
    return None

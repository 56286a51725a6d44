"""The control flow graph of one function as data: nodes, edges, a readable rendering.

Nodes are numbered in reverse post-order from the entry (the order in which a forward analysis converges
fastest), with the two exits last. The graph is built by `rslint.flow.cfg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from rslint.project import ir
from rslint.project.text import render as render_expression

NodeKind = Literal[
    "entry",  # where the function starts
    "exit",  # every normal return
    "raise",  # every exception that leaves the function
    "statement",  # a simple statement, or the subject of a `match`
    "expression",  # a part of a statement that only some evaluations reach: `b()` in `a and b()`
    "branch",  # one operand of a test; `origin` is the operand without `not`
    "iterate",  # evaluates the iterable of a `for` or comprehension, once
    "loop",  # header; of `for` and comprehensions with "true" for the next item and "false" when exhausted
    "with",  # enters the context `clause`
    "with-exit",  # leaves the context `clause`: one node for each way of leaving
    "handler",  # an `except` clause was chosen
    "finally",  # start of one copy of a `finally` block: one copy for each way of leaving
    "unwind",  # end of the copy of a `finally` block that an exception runs: the exception goes on
    "case",  # does the subject match the pattern of `clause`? ("true", "false")
]
EdgeKind = Literal["next", "true", "false", "exception", "back"]
Clause: TypeAlias = ir.WithItem | ir.Case | ir.Generator


@dataclass(frozen=True, slots=True)
class Edge:
    """`kind` "back" returns to a loop header from the end of its body; a branch keeps "true" and "false"
    there too."""

    target: int
    kind: EdgeKind


@dataclass(frozen=True, eq=False, slots=True)
class CfgNode:
    """`origin` is the very object of the intermediate representation, so `id(origin)` can key facts; a
    statement in a `finally` block has several nodes. `clause` is the part of the origin that the node stands
    for, if not all."""

    index: int
    kind: NodeKind
    origin: ir.Node | None
    successors: tuple[Edge, ...]
    clause: Clause | None = None


@dataclass(frozen=True, eq=False)
class Cfg:
    """`nodes[i].index == i`; the exits are present even when nothing reaches them."""

    nodes: tuple[CfgNode, ...]
    entry: int
    exit: int
    raise_exit: int


def successors(cfg: Cfg, exceptional: bool = True) -> tuple[tuple[Edge, ...], ...]:
    """The outgoing edges of every node. Without `exceptional`, a node that can also go on normally loses its
    edges of kind "exception"; one that always raises (`raise`, the end of an unwinding `finally`) keeps
    them."""
    if exceptional:
        return tuple(node.successors for node in cfg.nodes)
    return tuple(
        tuple(edge for edge in node.successors if edge.kind != "exception") or node.successors
        for node in cfg.nodes
    )


def predecessors(edges: Sequence[Sequence[Edge]]) -> tuple[tuple[tuple[int, Edge], ...], ...]:
    """The incoming edges of every node as (source, edge) pairs, sources ascending."""
    found: list[list[tuple[int, Edge]]] = [[] for _ in edges]
    for source, outgoing in enumerate(edges):
        for edge in outgoing:
            found[edge.target].append((source, edge))
    return tuple(tuple(incoming) for incoming in found)


def label(node: CfgNode) -> str:
    """What a node does, in a few words of source: "branch rank == 0", "statement x = f()"."""
    text = _text(node)
    return f"{node.kind} {text}" if text else node.kind


def render(cfg: Cfg) -> str:
    """One line for each node: its number, its label, its edges; plain numbers are edges of kind "next"."""
    lines = []
    for node in cfg.nodes:
        targets = [str(e.target) if e.kind == "next" else f"{e.kind} {e.target}" for e in node.successors]
        lines.append(f"{node.index}: {label(node)}" + (f" -> {', '.join(targets)}" if targets else ""))
    return "\n".join(lines)


def _text(node: CfgNode) -> str:
    origin, clause = node.origin, node.clause
    if isinstance(clause, ir.WithItem):
        return render_expression(clause.context)
    if isinstance(clause, ir.Case):
        return ", ".join([*map(render_expression, clause.values), *clause.captures]) or "_"
    if isinstance(clause, ir.Generator):
        return f"{render_expression(clause.target)} in {render_expression(clause.iterable)}"
    if node.kind in ("finally", "unwind"):
        return ""
    if isinstance(origin, ir.Handler):
        return render_expression(origin.types)
    if node.kind in ("branch", "expression"):
        return render_expression(cast(ir.Expr, origin))
    return "" if origin is None else _statement_text(origin)


def _statement_text(s: ir.Node) -> str:
    match s:
        case ir.ExprStmt():
            return render_expression(s.value)
        case ir.Assign():
            targets = f" {s.operator or ''}= ".join(map(render_expression, s.targets))
            return f"{targets} {(s.operator or '').rstrip('=')}= {render_expression(s.value)}"
        case ir.Return():
            return f"return {render_expression(s.value)}".rstrip()
        case ir.Raise():
            return f"raise {render_expression(s.exception)}".rstrip()
        case ir.Assert():
            return f"assert {render_expression(s.test)}"
        case ir.Delete():
            return f"del {', '.join(map(render_expression, s.targets))}"
        case ir.While():
            return f"while {render_expression(s.test)}"
        case ir.For():
            return f"{render_expression(s.target)} in {render_expression(s.iterable)}"
        case ir.Match():
            return f"match {render_expression(s.subject)}"
        case ir.Jump():
            return s.kind
        case ir.Define():
            return f"{'def' if s.kind == 'function' else 'class'} {s.name}"
        case _:
            return type(s).__name__.lower()

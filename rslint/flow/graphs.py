"""The control flow graph of a function of the project and its choices, built once: every call may raise, handlers by
their types."""

from __future__ import annotations

from rslint.flow.cfg import Cfg, build_cfg
from rslint.flow.choices import choices_of
from rslint.flow.exception_classes import handler_catches
from rslint.flow.knowledge import Knowledge
from rslint.flow.marks import Choice
from rslint.flow.reasons import swallowed_types
from rslint.project import ir
from rslint.project.text import expressions, walk


def graph_of(k: Knowledge, function: ir.Function) -> Cfg:
    """The graph in which the divergence of a function is solved."""
    identity = function.identity
    known = k.graphs.get(identity)
    if known is not None:
        return known
    k.graphs[identity] = graph = build_cfg(
        function,
        raises=lambda node: ("Exception",) if _may_raise(node) else (),
        swallows=lambda item: swallowed_types(k, identity, item.context) is not None,
        catches=lambda types, exception: handler_catches(k, identity, types, exception),
    )
    return graph


def choices_in(k: Knowledge, function: ir.Function) -> tuple[frozenset[Choice], ...]:
    """For each node of `graph_of` the choices that lead there."""
    known = k.choices.get(function.identity)
    if known is None:
        known = k.choices[function.identity] = choices_of(graph_of(k, function))
    return known


def _may_raise(node: ir.Node) -> bool:
    if isinstance(node, ir.Raise | ir.Assert):
        return True
    parts = expressions(node) if isinstance(node, ir.Stmt) else (node,) if isinstance(node, ir.Expr) else ()
    return any(isinstance(e, ir.Call) for part in parts for e in walk(part))

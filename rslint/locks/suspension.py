"""Where a coroutine may let other tasks run."""

from __future__ import annotations

from rslint.flow.graph import CfgNode
from rslint.flow.knowledge import Knowledge
from rslint.locks.accesses import evaluated
from rslint.locks.state import parts_of
from rslint.project import ir
from rslint.project.text import walk

_DEPTH = 3


def suspends(k: Knowledge, function: ir.Function, node: CfgNode) -> bool:
    """Whether other tasks may run while this node is executed: it awaits what may wait, enters or leaves an
    asynchronous context, fetches from an asynchronous iterator, or yields."""
    if not function.is_async:
        return False
    origin = node.origin
    if node.kind in ("with", "with-exit") and isinstance(origin, ir.With) and origin.is_async:
        return node.kind == "with"
    if node.kind == "loop" and isinstance(origin, ir.For):
        return origin.is_async
    if isinstance(node.clause, ir.Generator):
        return node.clause.is_async
    return any(_waits(k, function.identity, e, _DEPTH) for part in evaluated(node) for e in walk(part))


def _waits(k: Knowledge, identity: str, e: ir.Expr, depth: int) -> bool:
    if isinstance(e, ir.Yield):
        return True
    return isinstance(e, ir.Await) and not _immediate(k, identity, e, depth)


def _immediate(k: Knowledge, identity: str, awaited: ir.Await, depth: int) -> bool:
    """Whether every function that is awaited here comes back without letting others run."""
    if depth == 0 or not isinstance(awaited.value, ir.Call):
        return False
    target = k.links.resolve(identity, awaited.value)
    if target.certainty != "exact" or target.external or target.constructs:
        return False
    return bool(target.functions) and all(_never_waits(k, callee, depth - 1) for callee in target.functions)


def _never_waits(k: Knowledge, identity: str, depth: int) -> bool:
    def compute() -> bool:
        function = k.links.ir(identity)
        if not function.is_async or function.is_generator:
            return False
        for node in parts_of(k, identity):
            if isinstance(node, ir.With | ir.For) and node.is_async:
                return False
            if isinstance(node, ir.Comprehension) and any(g.is_async for g in node.generators):
                return False
            if isinstance(node, ir.Await) and not _immediate(k, identity, node, depth):
                return False
        return True

    return k.links.remember(("never waits", identity, depth), compute)

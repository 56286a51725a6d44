"""The control flow inside expressions: tests operand by operand, short circuits, conditional values,
comprehensions.

Only what matters becomes nodes: in a test every operand; elsewhere a short circuit, a conditional expression
or a comprehension whose conditional part contains a call, `await`, `yield` or `:=`. A chained comparison
counts as one operand; a generator expression as a loop at the place where it stands, though it runs when it
is consumed.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.flow.draft import Draft, End, Ends
from rslint.flow.unwind import Scope, raise_from
from rslint.project import ir
from rslint.project.text import children, walk

_ACTIVE = (ir.Call, ir.Await, ir.Yield, ir.YieldFrom, ir.NamedExpr)


def truth(test: ir.Expr) -> bool | None:
    """What a literal test always is; None for what is only known at run time."""
    if not isinstance(test, ir.Constant):
        return None
    if test.kind in ("bool", "int", "float", "str") and test.value is not None:
        return bool(test.value)
    return {"NoneType": False, "int": True, "ellipsis": True}.get(test.kind)


def branch(draft: Draft, test: ir.Expr, ends: Ends, scope: Scope | None) -> tuple[Ends, Ends]:
    """Evaluate a test; the open ends where it is true, and where it is false."""
    if not ends:
        return [], []
    if isinstance(test, ir.BoolOp):
        stopped: Ends = []
        for value in test.values:
            true, false = branch(draft, value, ends, scope)
            ends, out = (true, false) if test.operator == "and" else (false, true)
            stopped += out
        return (ends, stopped) if test.operator == "and" else (stopped, ends)
    if isinstance(test, ir.UnaryOp) and test.operator == "not":
        true, false = branch(draft, test.operand, ends, scope)
        return false, true
    known = truth(test)
    if known is not None:
        return (ends, []) if known else ([], ends)
    node = draft.add("branch", test, evaluate(draft, (test,), ends, scope))
    raise_from(draft, node, raised(draft, test, (test,)), scope)
    return [(node, "true")], [(node, "false")]


def evaluate(draft: Draft, parts: Iterable[ir.Expr], ends: Ends, scope: Scope | None) -> Ends:
    """The flow inside expressions that are evaluated in turn, before the node that they belong to."""
    for part in parts:
        if not any(_conditional(inner) for inner in walk(part)):
            continue
        if not _conditional(part):
            ends = evaluate(draft, children(part), ends, scope)
        elif isinstance(part, ir.BoolOp):
            ends = _short_circuit(draft, part, ends, scope)
        elif isinstance(part, ir.IfExp):
            true, false = branch(draft, part.test, ends, scope)
            ends = _reach(draft, part.body, true, scope) + _reach(draft, part.orelse, false, scope)
        elif isinstance(part, ir.Comprehension):
            ends = _comprehension(draft, part, ends, scope)
    return ends


def raised(draft: Draft, node: ir.Node, parts: Iterable[ir.Expr]) -> tuple[str, ...]:
    """What evaluating the node may raise, what is thrown into its `yield`s included."""
    found = dict.fromkeys(draft.semantics.raises(node))
    for part in parts if draft.semantics.is_generator else ():
        for inner in walk(part):
            if isinstance(inner, ir.Yield | ir.YieldFrom) and inner is not node:
                found.update(dict.fromkeys(draft.semantics.raises(inner)))
    return tuple(found)


def _active(part: ir.Expr) -> bool:
    return any(isinstance(inner, _ACTIVE) for inner in walk(part))


def _conditional(part: ir.Expr) -> bool:
    match part:
        case ir.BoolOp():
            return any(_active(value) for value in part.values[1:])
        case ir.IfExp():
            return _active(part.body) or _active(part.orelse)
        case ir.Comprehension():
            return any(_active(inner) for inner in children(part)[1:])
        case _:
            return False


def _reach(draft: Draft, part: ir.Expr, ends: Ends, scope: Scope | None) -> Ends:
    """A part that only some evaluations reach: a node of its own where it does something."""
    if not ends or not _active(part):
        return ends
    node = draft.add("expression", part, evaluate(draft, (part,), ends, scope))
    raise_from(draft, node, raised(draft, part, (part,)), scope)
    return [(node, "next")]


def _short_circuit(draft: Draft, part: ir.BoolOp, ends: Ends, scope: Scope | None) -> Ends:
    stopped: Ends = []
    for value in part.values[:-1]:
        true, false = branch(draft, value, ends, scope)
        ends, out = (true, false) if part.operator == "and" else (false, true)
        stopped += out
    return stopped + _reach(draft, part.values[-1], ends, scope)


def _comprehension(draft: Draft, part: ir.Comprehension, ends: Ends, scope: Scope | None) -> Ends:
    leaving: Ends = []
    outer: int | None = None
    for clause in part.generators:
        iterable = draft.add("iterate", part, evaluate(draft, (clause.iterable,), ends, scope), clause)
        raise_from(draft, iterable, raised(draft, clause.iterable, (clause.iterable,)), scope)
        header = draft.add("loop", part, [(iterable, "next")], clause)
        exhausted: list[End] = [(header, "false")]
        if outer is None:
            leaving = exhausted
        else:
            draft.connect_back(exhausted, outer)
        ends, outer = [(header, "true")], header
        for condition in clause.conditions:
            ends, skipped = branch(draft, condition, ends, scope)
            draft.connect_back(skipped, header)
    for element in part.elements:
        ends = _reach(draft, element, ends, scope)
    if outer is not None:
        draft.connect_back(ends, outer)
    return leaving

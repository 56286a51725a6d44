"""Builds the control flow graph of one function, exceptional edges included.

What the graph approximates, and in which direction:

- A node has an exceptional edge for every exception type that `raises` names, to each handler that may catch
  it, up to the first that surely does, by way of the `finally` and `with` exits between; else to the
  exceptional exit. Nothing else raises: entering a handler, comparing a pattern and a context's own
  `__exit__` do not.
- A context's exit swallows either nothing or, where `swallows` says so, possibly every exception.
- A `raise` without operand, or of its handler's own name, raises again what may have reached that handler.
- `except*` takes one handler for one exception; that several of them may run for one group is left out.
- A statement whose expression has conditional parts is asked about as a whole as well: it may seem to raise
  what only one of these parts raises.
- A handler that nothing named by `raises` can reach is not in the graph, nor is any other unreachable code.
"""

from __future__ import annotations

from collections.abc import Callable

from rslint.flow.conditions import branch, evaluate, raised
from rslint.flow.draft import ENTRY, EXIT, Draft, End, Ends, Semantics
from rslint.flow.graph import Cfg, CfgNode, Edge, NodeKind, label, predecessors, render, successors
from rslint.flow.unwind import (
    CleanupScope,
    GuardedScope,
    HandlerScope,
    LoopScope,
    Scope,
    leave,
    raise_from,
    reraised,
)
from rslint.project import ir
from rslint.project.text import expressions

__all__ = ["Cfg", "CfgNode", "Edge", "NodeKind", "build_cfg", "label", "predecessors", "render", "successors"]


def build_cfg(
    function: ir.Function,
    raises: Callable[[ir.Node], tuple[str, ...]],
    swallows: Callable[[ir.WithItem], bool],
    catches: Callable[[ir.Expr | None, str], str],
) -> Cfg:
    """The control flow graph of a function.

    `raises(node)` names the exception types that evaluating the node itself may raise, nested blocks left
    out; it is asked about statements, about the operands of tests and other conditional parts, the iterable
    of a `for` (the `for` itself stands for fetching the next item), the context expression of a `with`, and
    every `yield`. `swallows(item)` tells whether a context's exit may stop an exception; `catches(types,
    exception)` whether a handler stops one: "yes", "maybe" or "no" (`rslint.flow.exceptions.catches`).
    """
    draft = Draft(Semantics(function.is_generator, raises, swallows, catches))
    ends = _block(draft, function.body, [(ENTRY, "next")], None)
    draft.connect(ends, EXIT)
    return draft.freeze()


def _block(draft: Draft, body: tuple[ir.Stmt, ...], ends: Ends, scope: Scope | None) -> Ends:
    for statement in body:
        if not ends:
            break
        ends = _statement(draft, statement, ends, scope)
    return ends


def _statement(draft: Draft, s: ir.Stmt, ends: Ends, scope: Scope | None) -> Ends:
    match s:
        case ir.If():
            return _if(draft, s, ends, scope)
        case ir.While():
            return _while(draft, s, ends, scope)
        case ir.For():
            return _for(draft, s, ends, scope)
        case ir.Try():
            return _try(draft, s, ends, scope)
        case ir.With():
            return _with(draft, s, ends, scope)
        case ir.Match():
            return _match(draft, s, ends, scope)
        case ir.Raise():
            node = draft.add("statement", s, evaluate(draft, expressions(s), ends, scope))
            again = reraised(s, scope)
            raise_from(draft, node, again or raised(draft, s, expressions(s)) or ("Exception",), scope)
            return []
        case ir.Return():
            leave(draft, "return", _simple(draft, s, ends, scope), scope)
            return []
        case ir.Jump(kind="break"):
            leave(draft, "break", _simple(draft, s, ends, scope), scope)
            return []
        case ir.Jump(kind="continue"):
            leave(draft, "continue", _simple(draft, s, ends, scope), scope)
            return []
        case _:
            return _simple(draft, s, ends, scope)


def _simple(draft: Draft, s: ir.Stmt, ends: Ends, scope: Scope | None) -> Ends:
    parts = expressions(s)
    node = draft.add("statement", s, evaluate(draft, parts, ends, scope))
    raise_from(draft, node, raised(draft, s, parts), scope)
    return [(node, "next")]


def _if(draft: Draft, s: ir.If, ends: Ends, scope: Scope | None) -> Ends:
    """A chain of `elif` is walked in a loop: generated code has chains longer than the recursion limit."""
    done: Ends = []
    while True:
        true, ends = branch(draft, s.test, ends, scope)
        done += _block(draft, s.body, true, scope)
        if len(s.orelse) != 1 or not isinstance(s.orelse[0], ir.If):
            return done + _block(draft, s.orelse, ends, scope)
        s = s.orelse[0]


def _while(draft: Draft, s: ir.While, ends: Ends, scope: Scope | None) -> Ends:
    header = draft.add("loop", s, ends)
    loop = LoopScope(scope, header)
    true, false = branch(draft, s.test, [(header, "next")], scope)
    draft.connect_back(_block(draft, s.body, true, loop), header)
    return _block(draft, s.orelse, false, scope) + loop.breaks


def _for(draft: Draft, s: ir.For, ends: Ends, scope: Scope | None) -> Ends:
    iterable = draft.add("iterate", s, evaluate(draft, (s.iterable,), ends, scope))
    raise_from(draft, iterable, raised(draft, s.iterable, (s.iterable,)), scope)
    header = draft.add("loop", s, [(iterable, "next")])
    raise_from(draft, header, draft.semantics.raises(s), scope)
    loop = LoopScope(scope, header)
    draft.connect_back(_block(draft, s.body, [(header, "true")], loop), header)
    return _block(draft, s.orelse, [(header, "false")], scope) + loop.breaks


def _try(draft: Draft, s: ir.Try, ends: Ends, scope: Scope | None) -> Ends:
    def build(ends: Ends) -> tuple[int, Ends]:
        node = draft.add("finally", s, ends)
        return node, _block(draft, s.final, [(node, "next")], scope)

    protected = CleanupScope(scope, build, s) if s.final else scope
    guarded = GuardedScope(protected, tuple((h, draft.add("handler", h, [])) for h in s.handlers))
    ends = _block(draft, s.orelse, _block(draft, s.body, ends, guarded), protected)
    for handler, node in guarded.handlers:
        caught = tuple(guarded.caught.get(node, ()))
        if caught:
            inside = HandlerScope(protected, handler.name, caught)
            ends = ends + _block(draft, handler.body, [(node, "next")], inside)
    return build(ends)[1] if s.final and ends else ends


def _with(draft: Draft, s: ir.With, ends: Ends, scope: Scope | None) -> Ends:
    entered: list[CleanupScope] = []
    for item in s.items:
        node = draft.add("with", s, evaluate(draft, (item.context,), ends, scope), item)
        raise_from(draft, node, raised(draft, item.context, (item.context,)), scope)
        swallowed: Ends | None = [] if draft.semantics.swallows(item) else None
        scope = CleanupScope(scope, _exit_of(draft, s, item), s, swallowed)
        entered.append(scope)
        ends = [(node, "next")]
    ends = _block(draft, s.body, ends, scope)
    for context in reversed(entered):
        ends = (context.build(ends)[1] if ends else []) + (context.swallowed or [])
    return ends


def _exit_of(draft: Draft, s: ir.With, item: ir.WithItem) -> Callable[[Ends], tuple[int, Ends]]:
    def build(ends: Ends) -> tuple[int, Ends]:
        node = draft.add("with-exit", s, ends, item)
        return node, [(node, "next")]

    return build


def _match(draft: Draft, s: ir.Match, ends: Ends, scope: Scope | None) -> Ends:
    ends = _simple(draft, s, ends, scope)
    done: Ends = []
    for case in s.cases:
        if not ends:
            break
        node = draft.add("case", s, ends, case)
        matched: list[End] = [(node, "true")]
        ends = [] if case.irrefutable else [(node, "false")]
        if case.guard is not None:
            matched, refused = branch(draft, case.guard, matched, scope)
            ends = ends + refused
        done += _block(draft, case.body, matched, scope)
    return done + ends

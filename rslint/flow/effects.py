"""The effect of one function on process groups, computed backwards over its statements.

`function_effect` walks a body from its end to its beginning; what may still happen after a statement is an argument,
so an early return is an ordinary arm, a handler an ordinary continuation, and nothing enumerates paths. On the way it
notes the places where ranks may part: forks (branches whose arms differ) and hazards (calls that may raise while
something lies ahead). Whether the ranks *do* part there is decided elsewhere.
"""

from __future__ import annotations

from rslint.flow.forest import RAISE, RETURN, Forest
from rslint.flow.implied import condition_key, rebound_names
from rslint.flow.walked import Ahead, ExitCollective, Fork, Hazard, Surroundings, Walk, given
from rslint.project import ir
from rslint.project.text import children, expressions, last_name, render, statements


def function_effect(forest: Forest, function: ir.Function, around: Surroundings) -> tuple[int, Walk]:
    """The effect tree of a whole function, and the forks and hazards met while computing it."""
    walk_ = Walk(forest, function, around)
    walk_.caught_names.update(
        handler.name
        for statement_ in statements(function.body)
        if isinstance(statement_, ir.Try)
        for handler in statement_.handlers
        if handler.name is not None
    )
    walk_.rebound = rebound_names(function)
    ahead = Ahead(RETURN, lambda _: RAISE, RETURN, RETURN)
    return block(walk_, function.body, RETURN, ahead), walk_


def block(w: Walk, body: tuple[ir.Stmt, ...], after: int, ahead: Ahead) -> int:
    for statement_ in reversed(body):
        w._statement.append(statement_)
        after = statement(w, statement_, after, ahead)
        w._statement.pop()
    return after


def statement(w: Walk, s: ir.Stmt, after: int, ahead: Ahead) -> int:
    match s:
        case ir.If():
            with given(w, s.test, True):
                true = block(w, s.body, after, ahead)
            with given(w, s.test, False):
                false = block(w, s.orelse, after, ahead)
            return condition(w, s, s.test, true, false, ahead, "branch")
        case ir.Return():
            return ahead.returns if s.value is None else expression(w, s.value, ahead.returns, ahead)
        case ir.Raise():
            if s.exception is None:
                return ahead.raised(ahead.reraised)
            again = last_name(s.exception) in w.caught_names
            tree = ahead.raised(ahead.reraised if again else w.around.raised(s.exception))
            return expression(w, s.exception, tree, ahead)
        case ir.Assert():
            return condition(w, s, s.test, after, ahead.raised("AssertionError"), ahead, "assert")
        case ir.While() | ir.For():
            return _loop(w, s, after, ahead)
        case ir.Try():
            return _try(w, s, after, ahead)
        case ir.With():
            return _with(w, s, s.items, after, ahead)
        case ir.Match():
            return _match(w, s, after, ahead)
        case ir.Jump():
            return {"break": ahead.leave, "continue": ahead.again}.get(s.kind, after)
        case _:
            for part in reversed(expressions(s)):
                after = expression(w, part, after, ahead)
            return after


def condition(w: Walk, s: ir.Stmt, test: ir.Expr, true: int, false: int, ahead: Ahead, kind: str) -> int:
    """A test with two outcomes. Conjunctions are split, so that a uniform operand is not lost in a divergent one."""
    match test:
        case ir.Constant():
            return true if test.value else false
        case ir.UnaryOp(operator="not"):
            return condition(w, s, test.operand, false, true, ahead, kind)
        case ir.BoolOp():
            tree = true if test.operator == "and" else false
            for number, operand in reversed(list(enumerate(test.values))):
                before = ir.BoolOp(test.span, test.operator, test.values[:number])
                with given(w, before, test.operator == "and"):
                    if test.operator == "and":
                        tree = condition(w, s, operand, tree, false, ahead, kind)
                    else:
                        tree = condition(w, s, operand, true, tree, ahead, kind)
            return tree
    known = w.around.world_size_test(test)
    if known is not None:
        return expression(w, test, true if known else false, ahead)
    key, positive = condition_key(test, w.around.aliases)
    if not positive:
        true, false = false, true
    tree = true
    if true != false:
        w.forks.append(Fork(s, test, key, kind, true, false, tuple(w._context)))
        tree = w.forest.make(("if", key, true, false))
    return expression(w, test, tree, ahead)


def expression(w: Walk, e: ir.Expr, after: int, ahead: Ahead) -> int:
    """What evaluating the expression adds in front of `after`."""
    if not w.calls_in(e):
        return after
    match e:
        case ir.Call():
            after = _call(w, e, after, ahead)
        case ir.BoolOp() if any(w.effective(value) for value in e.values[1:]):
            return _short_circuit(w, e, after, ahead)
        case ir.IfExp() if w.effective(e.body) or w.effective(e.orelse):
            true, false = expression(w, e.body, after, ahead), expression(w, e.orelse, after, ahead)
            return condition(w, w._statement[-1], e.test, true, false, ahead, "branch")
        case ir.Comprehension() if w.effective(e):
            return _comprehension(w, e, after, ahead)
        case ir.YieldFrom(value=ir.Call() as delegate) if w.around.yields_context:
            for _, tree in w.around.call(delegate).trees[:1]:
                return w.forest.splice(tree, after, ahead.raised("Exception"))
        case ir.Yield() if w.around.yields_context:
            w.hazards.append(Hazard(w._statement[-1], e, after, ahead.raised, tuple(reversed(w._handlers))))
            after = w.forest.make(("yield", w.site(e), after, ahead.raised("Exception")))
    for part in reversed(children(e)):
        after = expression(w, part, after, ahead)
    return after


def _call(w: Walk, e: ir.Call, after: int, ahead: Ahead) -> int:
    effect = w.around.call(e)
    if effect.operation is not None:
        return w.forest.make(("collective", effect.operation, effect.axis, w.site(e), after))
    w.hazards.append(Hazard(w._statement[-1], e, after, ahead.raised, tuple(reversed(w._handlers))))
    tree = after
    for target, callee in reversed(effect.trees):
        called = w.forest.make(("call", target, callee, w.site(e), after))
        tree = called if tree == after and len(effect.trees) == 1 else _dispatch(w, e, target, called, tree)
    return tree


def _dispatch(w: Walk, e: ir.Call, target: str, called: int, otherwise: int) -> int:
    """One of several implementations: which one is the same on all ranks, so the choice is a uniform condition."""
    return w.forest.make(("if", f"{e.span.row}:{e.span.column} calls {target}", called, otherwise))


def _short_circuit(w: Walk, e: ir.BoolOp, after: int, ahead: Ahead) -> int:
    tree = expression(w, e.values[-1], after, ahead)
    for operand in reversed(e.values[:-1]):
        true, false = (tree, after) if e.operator == "and" else (after, tree)
        tree = condition(w, w._statement[-1], operand, true, false, ahead, "branch")
    return tree


def _comprehension(w: Walk, e: ir.Comprehension, after: int, ahead: Ahead) -> int:
    loop = f"{w.function.identity}:{e.span.row}:{e.span.column}"
    body = w.forest.make(("again", loop))
    for element in reversed(e.elements):
        body = expression(w, element, body, ahead)
    for generator in reversed(e.generators):
        for test in reversed(generator.conditions):
            body = condition(w, w._statement[-1], test, body, w.forest.make(("again", loop)), ahead, "branch")
    w.loops[loop] = (body, after)
    tree = w.forest.make(("loop", loop, body, after))
    return expression(w, e.generators[0].iterable, tree, ahead)


def _loop(w: Walk, s: ir.While | ir.For, after: int, ahead: Ahead) -> int:
    exhausted = block(w, s.orelse, after, ahead)
    header: ir.Expr = s.test if isinstance(s, ir.While) else s.iterable
    endless = isinstance(s, ir.While) and isinstance(s.test, ir.Constant) and bool(s.test.value)
    if not w.effective(s):
        inner = Ahead(ahead.returns, ahead.raised, exhausted, after, ahead.reraised)
        body = block(w, s.body, exhausted, inner)
        return _loop_header(w, s, header, body, exhausted, ahead, endless)
    loop = f"{w.function.identity}:{s.span.row}:{s.span.column}"
    again = w.forest.make(("again", loop))
    leave = after if s.orelse else w.forest.make(("leave", loop))
    body = block(w, s.body, again, Ahead(ahead.returns, ahead.raised, again, leave, ahead.reraised))
    if isinstance(s, ir.While):
        body = condition(w, s, s.test, body, w.forest.make(("leave", loop)), ahead, "while")
    w.loops[loop] = (body, exhausted)
    tree = w.forest.make(("loop", loop, body, exhausted))
    return tree if isinstance(s, ir.While) else expression(w, header, tree, ahead)


def _loop_header(
    w: Walk, s: ir.While | ir.For, header: ir.Expr, body: int, exhausted: int, ahead: Ahead, endless: bool
) -> int:
    if endless:
        return body
    if isinstance(s, ir.For):
        if body != exhausted:
            key = f"items of {render(header, w.around.aliases)}"
            w.forks.append(Fork(s, header, key, "for", body, exhausted))
            body = w.forest.make(("if", key, body, exhausted))
        return expression(w, header, body, ahead)
    return condition(w, s, header, body, exhausted, ahead, "while")


def _try(w: Walk, s: ir.Try, after: int, ahead: Ahead) -> int:
    finished: dict[int, int] = {}

    def final(tree: int) -> int:
        if tree not in finished:
            finished[tree] = block(w, s.final, tree, ahead) if s.final else tree
        return finished[tree]

    outer = Ahead(
        final(ahead.returns),
        lambda e: final(ahead.raised(e)),
        final(ahead.again),
        final(ahead.leave),
        ahead.reraised,
    )
    done = final(after)
    caught: dict[tuple[int, str], int] = {}

    def handled(position: int, exception: str) -> int:
        key = (position, exception)
        if key not in caught:
            again = Ahead(outer.returns, outer.raised, outer.again, outer.leave, exception)
            caught[key] = block(w, s.handlers[position].body, done, again)
        return caught[key]

    def raised(exception: str) -> int:
        for position, handler in enumerate(s.handlers):
            if w.around.catches(handler.types, exception) != "no":
                return handled(position, exception)
        return outer.raised(exception)

    for position in range(len(s.handlers)):
        handled(position, "Exception")
    tree = block(w, s.orelse, done, outer)
    w._handlers.append(s)
    inner = Ahead(outer.returns, raised, outer.again, outer.leave, ahead.reraised)
    tree = block(w, s.body, tree, inner)
    w._handlers.pop()
    return tree


def _with(w: Walk, s: ir.With, items: tuple[ir.WithItem, ...], after: int, ahead: Ahead) -> int:
    if not items:
        return block(w, s.body, after, ahead)
    item, rest = items[0], items[1:]
    context = w.around.context(item.context)
    if context is not None and context.generator is not None:

        def around_body(following: int, raised: int) -> int:
            resumed = w.forest.splice(following, after, ahead.raised("Exception"))

            def escaped(exception: str) -> int:
                return w.forest.splice(raised, after, ahead.raised(exception))

            def left(tree: int) -> int:
                return w.forest.splice(following, tree, ahead.raised("Exception"))

            inner = Ahead(left(ahead.returns), escaped, left(ahead.again), left(ahead.leave), ahead.reraised)
            return _with(w, s, rest, resumed, inner)

        # A generator that ends before its yield raises, its own exception or contextlib's: at the with itself.
        unentered, failed = ahead.raised("RuntimeError"), ahead.raised("Exception")
        tree = w.forest.at_yield(context.generator, around_body, unentered, failed)
        return expression(w, item.context, tree, ahead)
    if context is not None and context.exit is not None:
        tree = _with(w, s, rest, *_leaving(w, item, context.exit, after, ahead))
        for part in reversed(children(item.context)):
            tree = expression(w, part, tree, ahead)
        return tree
    enter, leave = (RETURN, RETURN) if context is None else (context.enter, context.leave)
    inner = _left_through(w, item, leave, after, ahead)
    body = _with(w, s, rest, _called(w, item, leave, after), inner)
    return expression(w, item.context, _called(w, item, enter, body), ahead)


def _leaving(
    w: Walk, item: ir.WithItem, exit_: ExitCollective, after: int, ahead: Ahead
) -> tuple[int, Ahead]:
    """What follows a block whose context runs a collective at its exit. Where the exit agrees on errors, peers raise
    with the rank that failed: nothing that comes behind differs."""

    def left(tree: int) -> int:
        return w.forest.make(("collective", exit_.operation, exit_.axis, w.site(item.context), tree))

    def raised(exception: str) -> int:
        if exit_.when == "agreed":
            return left(after)
        return left(ahead.raised(exception)) if exit_.when == "always" else ahead.raised(exception)

    inner = Ahead(left(ahead.returns), raised, left(ahead.again), left(ahead.leave), ahead.reraised)
    return left(after), inner


def _called(w: Walk, item: ir.WithItem, callee: int, after: int) -> int:
    if callee == RETURN:
        return after
    return w.forest.make(("call", render(item.context), callee, w.site(item.context), after))


def _left_through(w: Walk, item: ir.WithItem, leave: int, after: int, ahead: Ahead) -> Ahead:
    """The continuations of a with-body: each passes `__exit__`, and an exception may be swallowed by it."""
    stops = w.around.swallows(item.context)

    def raised(exception: str) -> int:
        if stops is True or (
            stops is not None and stops is not False and w.around.catches(stops, exception) != "no"
        ):
            return _called(w, item, leave, after)
        return _called(w, item, leave, ahead.raised(exception))

    return Ahead(
        _called(w, item, leave, ahead.returns),
        raised,
        _called(w, item, leave, ahead.again),
        _called(w, item, leave, ahead.leave),
        ahead.reraised,
    )


def _match(w: Walk, s: ir.Match, after: int, ahead: Ahead) -> int:
    tree = after
    for number, case in reversed(list(enumerate(s.cases))):
        body = block(w, case.body, after, ahead)
        if case.irrefutable:
            tree = body
            continue
        if case.guard is not None:
            body = condition(w, s, case.guard, body, tree, ahead, "branch")
        if body != tree:
            key = f"{render(s.subject, w.around.aliases)} matches case {number} at {case.span.row}"
            w.forks.append(Fork(s, s.subject, key, "match", body, tree))
            tree = w.forest.make(("if", key, body, tree))
    return expression(w, s.subject, tree, ahead)

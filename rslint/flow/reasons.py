"""Why a call may raise on one rank only: reasons that come out of functions, strongest and nearest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from rslint.flow.exception_classes import handler_catches, passed_on
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import Meaning, meaning_of
from rslint.flow.record import Reason, Step
from rslint.models import raising, silent
from rslint.project import ir
from rslint.project.text import blocks, expressions, last_name, statements, walk

DEPTH = 3
_KEPT = 3


def call_reasons(
    k: Knowledge, function: ir.Function, call: ir.Call, depth: int = DEPTH
) -> tuple[Reason, ...]:
    """The reasons of one call, seen from the function it stands in; empty for collectives and silent calls."""
    meaning = meaning_of(k, function.identity, call)
    if meaning.operation is not None or meaning.captures:
        return ()
    site = site_of(function.identity, call)
    target = meaning.target
    found: list[Reason] = []
    if target.functions and depth > 0:
        for callee in target.functions[:8]:
            for reason in function_reasons(k, callee, depth - 1):
                steps = (Step(f"calls {target.text}", site), *reason.steps)
                guessed = target.certainty in ("name", "hierarchy")
                certainty = target.certainty if guessed else reason.certainty
                found.append(
                    Reason(reason.kind, reason.strength, reason.exceptions, reason.text, steps, certainty)
                )
    if not target.functions or (not found and _abstract(k, meaning)):
        known = _modelled(k, call, meaning)
        if known is not None:
            steps = (Step(f"{target.text} may raise {known.exceptions[0]}", site),)
            found.append(
                Reason(known.kind, known.strength, known.exceptions, target.text, steps, known.certainty)
            )
    if not target.functions and not target.external and _is_callback(function, call):
        steps = (Step(f"{target.text} is a callback: whatever it raises comes out here", site),)
        found.append(Reason("callback", 2, ("Exception",), target.text, steps, "code"))
    return strongest(found)


def strongest(found: list[Reason]) -> tuple[Reason, ...]:
    """At most three reasons, one per kind, the strongest and then the shortest chain first."""
    kept: dict[str, Reason] = {}
    for reason in sorted(found, key=lambda r: (r.strength, len(r.steps), r.text, r.exceptions)):
        kept.setdefault(reason.kind, reason)
    return tuple(kept.values())[:_KEPT]


def function_reasons(k: Knowledge, identity: str, depth: int) -> tuple[Reason, ...]:
    """The reasons for which the function may raise to its callers, chains of at most `depth` further calls."""
    key = (identity, depth)
    known = k.reasons.get(key)
    if known is None:
        function = k.links.ir(identity)
        found: list[Reason] = []
        for call, around in calls_of(k, identity):
            for reason in call_reasons(k, function, call, depth):
                label = escaping(k, identity, around, reason.exceptions[0])
                if reason.kind != "callback" and label is not None:
                    raised = reason.exceptions if label == reason.exceptions[0] else (label,)
                    found.append(msgspec.structs.replace(reason, exceptions=raised))
        known = k.reasons[key] = strongest(found)
    return known


Around = tuple[ir.Try | ir.With, ...]
GuardedCall = tuple[ir.Call, Around]


def calls_of(k: Knowledge, identity: str) -> tuple[GuardedCall, ...]:
    """`guarded_calls` of a whole function, computed once."""
    known = k.calls.get(identity)
    if known is None:
        calls = {
            id(statement): _calls(part.parts for part in parts)
            for statement, parts in k.links.anatomy(identity)
        }
        known = k.calls[identity] = _guarded(k.links.ir(identity).body, (), lambda s: calls[id(s)])
    return known


def calls_named(k: Knowledge, identity: str, name: str) -> list[ir.Call]:
    """The calls of a function whose last name is `name`; where it has none, those of what is imported from under
    that name."""
    table = k.named_calls.get(identity)
    if table is None:
        table = k.named_calls[identity] = {}
        for call, _ in calls_of(k, identity):
            last = last_name(call.func)
            if last is not None:
                table.setdefault(last, []).append(call)
    if name not in table:
        table[name] = [call for call, _ in calls_of(k, identity) if _imported_as(k, identity, call, name)]
    return table[name]


def _imported_as(k: Knowledge, identity: str, call: ir.Call, name: str) -> bool:
    """Whether a call by a plain name calls what has another name, `name`, where it comes from."""
    if not isinstance(call.func, ir.Name):
        return False
    target = meaning_of(k, identity, call).target
    origins = (*target.functions, target.constructs or "", target.external or "")
    return any(name in (one.rpartition(".")[2], one.rpartition(":")[2]) for one in origins)


def guarded_calls(body: tuple[ir.Stmt, ...]) -> tuple[GuardedCall, ...]:
    """Every call of a body with the try and with statements around it, innermost first."""
    return _guarded(body, (), lambda statement: _calls(walk(part) for part in expressions(statement)))


def _guarded(
    body: tuple[ir.Stmt, ...], around: Around, calls_in: Callable[[ir.Stmt], list[ir.Call]]
) -> tuple[GuardedCall, ...]:
    found: list[GuardedCall] = []
    stack = [(statement, around) for statement in reversed(body)]
    while stack:
        statement, outer = stack.pop()
        found += [(call, outer) for call in calls_in(statement)]
        inner = (statement, *outer) if isinstance(statement, ir.Try | ir.With) else outer
        first, *others = blocks(statement) or ((),)
        for block in reversed(others):
            stack += [(nested, outer) for nested in reversed(block)]
        stack += [(nested, inner) for nested in reversed(first)]
    return tuple(found)


def _calls(expressions_: Iterable[Iterable[ir.Expr]]) -> list[ir.Call]:
    return [part for parts in expressions_ for part in parts if isinstance(part, ir.Call)]


def escaping(k: Knowledge, identity: str, around: Around, exception: str) -> str | None:
    """What comes out of the statements around a call when it raises: that exception, another one that a handler
    raises instead, or None where a handler or a swallowing context stops it for good."""
    for outer in around:
        if isinstance(outer, ir.With):
            if swallows(k, identity, outer, exception):
                return None
            continue
        for handler in outer.handlers:
            if handler_catches(k, identity, handler.types, exception) != "no":
                label = passed_on(k, identity, handler, exception)
                if label is None:
                    return None
                exception = label
                break
    return exception


def swallows(k: Knowledge, identity: str, statement: ir.With, exception: str) -> bool:
    """Whether one of the contexts of a `with` statement stops the exception, or lets all ranks raise together."""
    if any(_agrees_on_errors(k, identity, item.context) for item in statement.items):
        return True
    types = [swallowed_types(k, identity, item.context) for item in statement.items]
    return any(t is not None and handler_catches(k, identity, t, exception) != "no" for t in types)


def _agrees_on_errors(k: Knowledge, identity: str, context: ir.Expr) -> bool:
    return isinstance(context, ir.Call) and meaning_of(k, identity, context).exit == "agreed"


def swallowed_types(k: Knowledge, identity: str, context: ir.Expr) -> ir.Expr | None:
    """For `contextlib.suppress(A, B)` the tuple of its types; for an `ExitStack()` those of all that the function
    enters on one."""
    if not isinstance(context, ir.Call):
        return None
    external = k.links.resolve(identity, context).external
    if external in k.models.swallowing and context.args:
        return ir.Collection(context.span, "tuple", context.args)
    if external in _STACKS:
        entered = [call.args[0] for call in calls_named(k, identity, "enter_context") if call.args]
        types = [swallowed_types(k, identity, one) for one in entered]
        if any(types):
            return ir.Collection(context.span, "tuple", tuple(one for one in types if one is not None))
    return None


_STACKS = frozenset({"contextlib.ExitStack", "contextlib.AsyncExitStack"})


def is_silent(k: Knowledge, identity: str, call: ir.Call, depth: int = 2) -> bool:
    """Whether the call is known not to raise for a reason of one rank alone."""
    meaning = meaning_of(k, identity, call)
    if meaning.operation is not None:
        return True
    target = meaning.target
    if not target.functions:
        return target.constructs is not None or silent(k.models, target.external, target.text)
    return depth > 0 and all(_function_silent(k, callee, depth - 1) for callee in target.functions)


def _function_silent(k: Knowledge, identity: str, depth: int) -> bool:
    key = (identity, depth)
    known = k.silences.get(key)
    if known is None:
        function = k.links.ir(identity)
        raises = any(isinstance(s, ir.Raise | ir.Assert) for s in statements(function.body))
        known = not raises and all(is_silent(k, identity, call, depth) for call, _ in calls_of(k, identity))
        k.silences[key] = known
    return known


def _modelled(k: Knowledge, call: ir.Call, meaning: Meaning):  # type: ignore[no-untyped-def]
    target = meaning.target
    if target.constructs is not None and target.external is None:
        return None
    if target.text.endswith(("Error", "Exception", "Warning")):
        return None
    keywords = frozenset(keyword.name for keyword in call.keywords if keyword.name)
    return raising(k.models, target.external, target.text, target.receiver_types, keywords)


def _abstract(k: Knowledge, meaning: Meaning) -> bool:
    """Whether every known target has nothing but a docstring, `pass`, `...` or `raise NotImplementedError`."""
    return all(is_abstract(k.links.ir(callee)) for callee in meaning.target.functions)


def is_abstract(function: ir.Function) -> bool:
    for statement in function.body:
        match statement:
            case ir.ExprStmt(value=ir.Constant()) | ir.Jump(kind="pass"):
                continue
            case ir.Raise() if (
                statement.exception is not None and last_name(statement.exception) in _UNIMPLEMENTED
            ):
                continue
            case _:
                return False
    return True


_UNIMPLEMENTED = frozenset({"NotImplementedError", "NotImplemented"})


def _is_callback(function: ir.Function, call: ir.Call) -> bool:
    """A parameter that is called, and that no class annotation says is something else."""
    return isinstance(call.func, ir.Name) and any(
        parameter.name == call.func.id and parameter.name not in ("cls", "self")
        for parameter in function.parameters
    )

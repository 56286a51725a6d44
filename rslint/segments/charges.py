"""Which segments a function is responsible for, and where it no longer is.

Responsible is who makes a segment, until it is removed, returned, kept by somebody who removes it, or its removal is
registered; who opens one and removes it itself (a consumer, by contract); and a method that removes what another
method of its class attached. An object whose constructor raises is gone, and what it holds with it, unless its
destructor removes the segment.
"""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.graph import CfgNode, Edge
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_of, guarded_calls
from rslint.project import ir
from rslint.project.text import children, dotted, expressions, render, statements, walk
from rslint.segments.arguments import ATTACH, EITHER
from rslint.segments.handling import (
    NO_TEXTS,
    Texts,
    aliases,
    bare_mentions,
    class_removes,
    destructor_removes,
    function_removes,
    handle_text,
    hands_on,
    named_alike,
    registers,
    removes,
)
from rslint.segments.openings import Opening, Openings

CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__", "__setstate__"})
_TEARDOWN = frozenset({
    "close", "cleanup", "clean_up", "shutdown", "unlink", "release", "destroy", "free", "stop", "terminate", "finalize",
    "reset", "clear", "teardown", "dispose", "__del__", "__exit__", "__aexit__", "remove", "delete", "detach",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Charge:
    """A segment that a function must not leave behind. `opening` is None for a handle that another method attached.
    `holders` and `names` are the texts by which the function speaks of the handle and of the segment's name."""

    opening: Opening | None
    holders: Texts
    names: Texts


def charges_of(k: Knowledge, function: ir.Function, openings: Openings) -> tuple[Charge, ...]:
    """What a function is responsible for, in order of place."""
    found = [
        charge
        for opening in openings.get(function.identity, ())
        if (charge := _charge(k, function, opening)) is not None
    ]
    return (*found, *_held(k, function, openings))


def _charge(k: Knowledge, function: ir.Function, opening: Opening) -> Charge | None:
    if not opening.holders or _is_global(function, opening.holders):
        return None
    holders = aliases(function, opening.holders)
    names = named_alike(function, name_texts(opening.name)) if opening.by_name else name_texts(opening.name)
    attributes = [h for h in opening.holders if "." in h and h.rpartition(".")[0] not in opening.holders]
    if any(not holder.startswith("self.") for holder in attributes):
        return None
    if attributes and (function.name not in CONSTRUCTORS or _is_destroyed(k, function, holders, names)):
        return None
    if any(
        registers(k, function.identity, call, _of_self(holders)) for call, _ in calls_of(k, function.identity)
    ):
        return None  # a cleaner is registered for the object, before or after
    if opening.kind == EITHER and not _is_removed(k, function, holders):
        return None  # nobody here is to remove what another may have made
    if opening.kind == ATTACH and not function_removes(
        k, function.identity, frozenset(opening.holders), NO_TEXTS, 1
    ):
        return None
    return Charge(opening, holders, names)


def _is_removed(k: Knowledge, function: ir.Function, holders: Texts) -> bool:
    """Whether the function, or the class of an attribute it puts the handle into, removes the segment some time."""
    if function_removes(k, function.identity, holders, NO_TEXTS):
        return True
    attributes = [text.removeprefix("self.") for text in _of_self(holders)]
    return function.owner is not None and any(class_removes(k, function.owner, a) for a in attributes)


def _held(k: Knowledge, function: ir.Function, openings: Openings) -> list[Charge]:
    """The handles that a method removes, and that another method of its class only attached."""
    plain = function.name.strip("_")
    if (
        function.owner is None
        or function.name in CONSTRUCTORS
        or plain in _TEARDOWN
        or function.name in _TEARDOWN
    ):
        return []
    if any(plain.startswith(f"{word}_") or plain.endswith(f"_{word}") for word in _TEARDOWN):
        return []
    handles = attached_attributes(k, function.owner, openings)
    return [
        Charge(None, aliases(function, [holder]), NO_TEXTS)
        for holder in sorted(handles)
        if function_removes(k, function.identity, frozenset({holder}), NO_TEXTS, 0)
    ]


def attached_attributes(k: Knowledge, class_id: str, openings: Openings) -> set[str]:
    """`self.x` of a class for every attribute that holds segments its methods attach."""
    return {
        holder
        for _, method in k.links.class_facts(class_id).methods
        for opening in openings.get(method, ())
        if opening.kind == ATTACH
        for holder in opening.holders
        if holder.startswith("self.")
    }


def name_texts(name: ir.Expr | None) -> Texts:
    """The dotted texts that a segment's name is made of, and its whole text."""
    if name is None or (isinstance(name, ir.Constant) and name.value is None):
        return NO_TEXTS
    found = {render(name)}
    stack: list[ir.Expr] = [name]
    while stack:
        e = stack.pop()
        text = dotted(e)
        if text is not None:
            found |= {text} - {"self", "cls"}
        elif isinstance(e, ir.Call):
            stack += e.args
            if isinstance(e.func, ir.Attribute):
                stack.append(e.func.value)
        else:
            stack += children(e)
    return frozenset(found)


def _is_global(function: ir.Function, holders: tuple[str, ...]) -> bool:
    declared = {name for s in statements(function.body) if isinstance(s, ir.Scope) for name in s.names}
    return not declared.isdisjoint(holders) or function.identity.endswith(":")


def _is_destroyed(k: Knowledge, function: ir.Function, holders: Texts, names: Texts) -> bool:
    return function.owner is not None and destructor_removes(
        k, function.owner, _of_self(holders), _of_self(names)
    )


def _of_self(texts: Texts) -> Texts:
    return frozenset(text for text in texts if text.startswith("self."))


# Where responsibility ends -------------------------------------------------------------------------------------------


def ends_charge(k: Knowledge, function: ir.Function, node: CfgNode, charge: Charge) -> bool:
    """Whether a node removes the segment, or gives it to somebody who will."""
    if node.origin is None or node.kind not in ("statement", "branch", "expression", "iterate", "with"):
        return False
    origin = node.clause.context if isinstance(node.clause, ir.WithItem) else node.origin
    parts = (
        expressions(origin)
        if isinstance(origin, ir.Stmt)
        else (origin,)
        if isinstance(origin, ir.Expr)
        else ()
    )
    identity = function.identity
    for part in parts:
        for e in walk(part):
            if isinstance(e, ir.Yield) and e.value is not None and _is_mentioned(e.value, charge):
                return True
            if isinstance(e, ir.Call) and not (charge.opening is not None and e is charge.opening.call):
                if removes(k, identity, e, charge.holders, charge.names):
                    return True
                if registers(k, identity, e, charge.holders):
                    return True
                # A descriptor that is given away (to `mmap`) takes no name along.
                by_name = charge.opening is not None and charge.opening.by_name
                if not by_name and hands_on(k, identity, e, charge.holders):
                    return True
    if isinstance(origin, ir.Return):
        return origin.value is not None and _is_mentioned(origin.value, charge)
    return isinstance(origin, ir.Assign) and _is_stored(k, function, origin, charge)


def _is_mentioned(e: ir.Expr, charge: Charge) -> bool:
    return any(True for _ in bare_mentions(e, charge.holders))


def _is_stored(k: Knowledge, function: ir.Function, s: ir.Assign, charge: Charge) -> bool:
    """Whether an assignment puts the handle, or its name, where others find it when this function has raised."""
    if s.value is None or (charge.opening is not None and s is charge.opening.statement):
        return False
    named = any(
        isinstance(e, ir.Attribute) and e.attr == "name" and handle_text(e.value) in charge.holders
        for e in walk(s.value)
    )
    if not named and not _is_mentioned(s.value, charge):
        return False
    for target in s.targets:
        text = dotted(target.value if isinstance(target, ir.Subscript) else target) or ""
        if isinstance(target, ir.Name):
            kept = _is_global(function, (target.id,))
        elif not text.startswith("self.") or function.name not in CONSTRUCTORS:
            kept = True
        else:
            kept = _is_destroyed(k, function, frozenset({text}), charge.names)
        if kept:
            return True
    return False


def forgotten_by_test(
    k: Knowledge, function: ir.Function, node: CfgNode, edge: Edge, charges: tuple[Charge, ...]
) -> frozenset[int]:
    """The segments that are not there on an edge of a test: `if shm is None`. A test that guards the removal itself is
    taken to come out as it must."""
    if node.kind != "branch" or not isinstance(node.origin, ir.Expr):
        return NO_CHARGES
    found: set[int] = set()
    for number, charge in enumerate(charges):
        absent = _absent_when(node.origin, charge.holders)
        gone = absent is not None and edge.kind == ("true" if absent else "false")
        if gone or _guards_removal(k, function, node.origin, charge):
            found.add(number)
    return frozenset(found)


NO_CHARGES: frozenset[int] = frozenset()


def _absent_when(test: ir.Expr, holders: Texts) -> bool | None:
    """The outcome of a test that tells that there is no handle; None for tests of something else."""
    if handle_text(test) in holders:
        return False
    if isinstance(test, ir.Compare) and handle_text(test.left) in holders:
        right = test.comparators[0]
        if isinstance(right, ir.Constant) and right.kind == "NoneType":
            return test.operators[0] in ("is", "==")
    if isinstance(test, ir.Call) and dotted(test.func) == "hasattr" and len(test.args) == 2:
        attribute = test.args[1]
        if isinstance(attribute, ir.Constant) and f"{dotted(test.args[0])}.{attribute.value}" in holders:
            return False
    return None


def _guards_removal(k: Knowledge, function: ir.Function, test: ir.Expr, charge: Charge) -> bool:
    for s in statements(function.body):
        if isinstance(s, ir.If) and any(part is test for part in walk(s.test)):
            return any(
                removes(k, function.identity, call, charge.holders, charge.names)
                for call, _ in guarded_calls((*s.body, *s.orelse))
            )
    return False

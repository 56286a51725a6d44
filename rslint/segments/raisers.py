"""What may raise while a segment is there: copies into it, reservations, remote and native calls, a `raise`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rslint.flow.exception_classes import raised_class
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import Meaning, meaning_of
from rslint.flow.reasons import call_reasons, calls_of, escaping
from rslint.models import silent
from rslint.models.segment_queries import acknowledges, fills, publishes
from rslint.project import ir
from rslint.project.text import dotted, expressions, last_name, statements, walk

_DEPTH = 2


@dataclass(frozen=True)
class Raiser:
    """`kind`: "fill" (a copy, an allocation, a reservation), "native" (a library outside of Python's own), "raise", a
    kind of `[[raising]]`, or "shm" (the next segment cannot be made). `at` is the call or statement; `hops` counts the
    calls between it and the place that raises."""

    kind: str
    at: ir.Expr | ir.Stmt
    exceptions: tuple[str, ...]
    hops: int = 0


def raiser_of(
    k: Knowledge, function: ir.Function, node: ir.Node, holders: frozenset[str], *, narrow: bool
) -> Raiser | None:
    """Why evaluating a node of the control flow graph may raise; None where nothing says so. `narrow`: copies only."""
    if isinstance(node, ir.Raise) and not narrow:
        if node.exception is None:
            return None
        return Raiser("raise", node, (raised_class(k, function.identity, node.exception),))
    if isinstance(node, ir.For | ir.While | ir.If | ir.Try | ir.With):
        return None
    if isinstance(node, ir.Assign) and _fills_a_view(function, node, holders):
        return Raiser("fill", node, ("ValueError",))
    parts = expressions(node) if isinstance(node, ir.Stmt) else (node,) if isinstance(node, ir.Expr) else ()
    for part in parts:
        for e in walk(part):
            if isinstance(e, ir.Call):
                found = _of_call(k, function, e, narrow)
                if found is not None:
                    return found
    return None


def _of_call(k: Knowledge, function: ir.Function, call: ir.Call, narrow: bool) -> Raiser | None:
    meaning = meaning_of(k, function.identity, call)
    target = meaning.target
    if meaning.operation is not None or target.text.endswith(("Error", "Exception", "Warning")):
        return None
    if not target.functions and fills(k.models, target.external, target.text, target.receiver_types):
        return Raiser("fill", call, ("Exception",))
    if narrow:
        return None
    for reason in call_reasons(k, function, call, _DEPTH):
        if reason.kind != "shm":
            return Raiser(reason.kind, call, reason.exceptions, len(reason.steps) - 1)
    if not target.functions and _talks(k, meaning):
        return Raiser("network", call, ("OSError", "Exception"))
    for callee in target.functions[:4]:
        if target.certainty == "exact" and _function_fills(k, callee, _DEPTH - 1):
            return Raiser("fill", call, ("Exception",), 1)
    if _is_native(k, meaning):
        return Raiser("native", call, ("Exception",))
    return None


def _talks(k: Knowledge, meaning: Meaning) -> bool:
    """Sends to another process, or waits for what it sends."""
    target = meaning.target
    if not target.text.rpartition(".")[2].startswith(("send", "recv")):
        return False
    asked = (target.external, target.text, target.receiver_types)
    return publishes(k.models, *asked) is False or acknowledges(k.models, *asked)


def _function_fills(k: Knowledge, identity: str, depth: int) -> bool:
    """Whether a copy or reservation in a function may fail and come out of it."""

    def compute() -> bool:
        for call, around in calls_of(k, identity):
            target = meaning_of(k, identity, call).target
            here = not target.functions and fills(
                k.models, target.external, target.text, target.receiver_types
            )
            below = depth > 0 and any(
                _function_fills(k, callee, depth - 1) for callee in target.functions[:2]
            )
            if (here or below) and escaping(k, identity, around, "Exception") is not None:
                return True
        return False

    return k.links.remember(("segment filled", identity, depth), compute)


def _is_native(k: Knowledge, meaning: Meaning) -> bool:
    """A function of a library that is neither Python's own nor known to be harmless."""
    external = meaning.target.external
    if external is None or "." not in external or meaning.target.constructs is not None:
        return False
    root = external.partition(".")[0]
    if root in sys.stdlib_module_names or root in _ARRAYS or "()" in external:
        return False
    return not silent(k.models, external, meaning.target.text)


_ARRAYS = frozenset({"builtins", "torch", "numpy", "np", "torch_npu", "cupy", "jax"})


def _fills_a_view(function: ir.Function, s: ir.Assign, holders: frozenset[str]) -> bool:
    """`view[:] = data`, where the view was made of the segment's buffer: shapes and types may not fit."""
    if s.value is None or isinstance(s.value, ir.Constant):
        return False
    for target in s.targets:
        if isinstance(target, ir.Subscript) and dotted(target.value) in _views(function, holders):
            index = target.index
            if isinstance(index, ir.Other) or (isinstance(index, ir.Constant) and index.kind == "ellipsis"):
                return True
    return False


def _views(function: ir.Function, holders: frozenset[str]) -> set[str]:
    """Names of arrays and tensors over a segment's buffer."""
    found: set[str] = set()
    for s in statements(function.body):
        if isinstance(s, ir.Assign) and isinstance(s.value, ir.Call):
            made = any(
                isinstance(e, ir.Attribute)
                and e.attr == "buf"
                and (not holders or dotted(e.value) in holders)
                for e in walk(s.value)
            )
            if made and last_name(s.value.func) not in ("bytes", "memoryview", "bytearray"):
                found.update(name for target in s.targets if (name := dotted(target)) is not None)
    return found

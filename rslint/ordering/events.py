"""What one node of a control flow graph does to shared memory, in order: stores, loads, fences, calls that do them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.graph import CfgNode
from rslint.flow.knowledge import site_of
from rslint.flow.meaning import meaning_of
from rslint.models.ordering_queries import access_call, fence_call, fence_context, view_call
from rslint.ordering.bindings import NOTHING, Buffers, View, Views, argument, text_in
from rslint.ordering.views import is_slice, views_of
from rslint.project import ir
from rslint.project.links import Target, text_of
from rslint.project.text import children, expressions

ZERO, CONSTANT, INCREMENT, OTHER = "zero", "constant", "increment", "other"


@dataclass(frozen=True)
class Access:
    """One store or load. `cell` is the text of a single element's index, None for many elements; `part` that only a
    slice of the view is meant. `value` tells what is stored: "zero", another "constant", an "increment" of what was
    there, "other". `statement` holds the access."""

    kind: str
    view: View
    cell: str | None
    value: str
    site: Site
    statement: Site
    part: bool = False


@dataclass(frozen=True)
class Fence:
    """Orders what stands before it and what stands behind it. `exclusive`: "enter" or "leave" a region in which no
    other process is."""

    exclusive: str = ""


@dataclass(frozen=True)
class Invoke:
    """A call of functions of the project: all they do (`part` "all"), or as a context manager what they do until
    their `yield` ("enter") or behind it ("leave"). `arguments` are pairs of parameter and text."""

    functions: tuple[str, ...]
    part: str
    arguments: tuple[tuple[str, str], ...]
    site: Site
    statement: Site


@dataclass(frozen=True)
class Yielded:
    """A view is handed to the body of a caller's `with`, which does with it what it does."""

    views: Views
    site: Site
    statement: Site


Step = Access | Fence | Invoke | Yielded


def steps_of(b: Buffers, function: str, node: CfgNode) -> Iterator[Step]:
    """What executing a node does, in order of evaluation."""
    origin = node.origin
    if origin is None:
        return
    clause = node.clause
    if isinstance(clause, ir.WithItem) and node.kind in ("with", "with-exit"):
        yield from _context(_Where(b, function, site_of(function, origin)), clause.context, node.kind)
    elif isinstance(origin, ir.Stmt):
        if node.kind in ("statement", "iterate"):
            yield from _statement(_Where(b, function, site_of(function, origin)), origin)
    elif isinstance(origin, ir.Expr) and node.kind in ("branch", "expression"):
        yield from _expression(_Where(b, function, site_of(function, origin)), origin)


def sure_steps(b: Buffers, function: str, body: tuple[ir.Stmt, ...]) -> Iterator[Step]:
    """What a body does under no condition, contexts that it enters included."""
    for statement in body:
        w = _Where(b, function, site_of(function, statement))
        if isinstance(statement, ir.With):
            for item in statement.items:
                yield from _context(w, item.context, "with")
            yield from sure_steps(b, function, statement.body)
        elif isinstance(statement, ir.Try):
            yield from sure_steps(b, function, (*statement.body, *statement.final))
        elif isinstance(statement, ir.ExprStmt | ir.Assign | ir.Return):
            yield from _statement(w, statement)


def expression_steps(b: Buffers, function: str, e: ir.Expr) -> Iterator[Step]:
    """What evaluating an expression does."""
    return _expression(_Where(b, function, site_of(function, e)), e)


@dataclass(frozen=True)
class _Where:
    b: Buffers
    function: str
    statement: Site

    def views(self, e: ir.Expr) -> Views:
        return views_of(self.b, self.function, e)

    def accesses(
        self, kind: str, views: Views, node: ir.Node, cell: ir.Expr | None = None, value: str = OTHER
    ) -> Iterator[Access]:
        text = None if cell is None else text_in(self.b, self.function, cell)
        for view in sorted(views):
            part = isinstance(node, ir.Subscript) and cell is None
            yield Access(kind, view, text, value, site_of(self.function, node), self.statement, part)


def _statement(w: _Where, s: ir.Stmt) -> Iterator[Step]:
    if not isinstance(s, ir.Assign):
        for expression in expressions(s):
            yield from _expression(w, expression)
        return
    if s.value is not None:
        yield from _expression(w, s.value)
    for target in s.targets:
        yield from _target(w, target, s)


def _target(w: _Where, target: ir.Expr, s: ir.Assign) -> Iterator[Step]:
    if isinstance(target, ir.Collection):
        for item in target.items:
            yield from _target(w, item, s)
        return
    if not isinstance(target, ir.Subscript):
        return
    yield from _expression(w, target.index)
    views = w.views(target.value)
    if not views:
        return
    if s.value is not None and not isinstance(s.value, ir.Name):
        yield from w.accesses("load", w.views(s.value), s.value)
    if is_slice(target.index) and s.value is not None and _is_number(s.value):
        yield from w.accesses(
            "store", w.views(target) or views, target, _first(target), stored_value(s.value)
        )
    elif is_slice(target.index):
        value = ZERO if s.value is not None and stored_value(s.value) == ZERO else OTHER
        yield from w.accesses("store", w.views(target) or views, target, None, value)
    elif s.operator is not None:
        yield from w.accesses("load", views, target, target.index)
        yield from w.accesses("store", views, target, target.index, INCREMENT)
    elif s.value is not None:
        yield from w.accesses("store", views, target, target.index, stored_value(s.value))


def _is_number(e: ir.Expr) -> bool:
    """Whether what is stored to a slice is one number: `n.to_bytes(4, "little")`, `struct.pack("I", n)`."""
    if not isinstance(e, ir.Call):
        return False
    if isinstance(e.func, ir.Attribute) and e.func.attr == "to_bytes":
        return True
    return text_of(e.func) == "struct.pack" and len(e.args) == 2


def _first(node: ir.Node) -> ir.Expr:
    """The cell of a slice that holds one number."""
    return ir.Constant(node.span, "int", 0)


def stored_value(e: ir.Expr) -> str:
    """What kind of value an expression gives to a cell."""
    if isinstance(e, ir.Constant):
        return ZERO if e.kind in ("int", "bool", "float") and not e.value else CONSTANT
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr == "to_bytes":
        return stored_value(e.func.value)
    if isinstance(e, ir.Call) and len(e.args) == 1 and not e.keywords:
        return stored_value(e.args[0])
    return OTHER


def _expression(w: _Where, e: ir.Expr) -> Iterator[Step]:
    """Parts first, then the expression itself: the order of evaluation."""
    if isinstance(e, ir.Subscript):
        yield from _expression(w, e.index)
        views = NOTHING if is_slice(e.index) else w.views(e.value)
        if views:
            yield from w.accesses("load", views, e, e.index)
            return
        yield from _expression(w, e.value)
        return
    for part in children(e):
        yield from _expression(w, part)
    if isinstance(e, ir.Call):
        yield from _call(w, e)
    elif isinstance(e, ir.Yield) and e.value is not None:
        yield from _yield(w, e)
    elif isinstance(e, ir.Compare):
        if not any(operator in ("is", "is not") for operator in e.operators):
            for operand in (e.left, *e.comparators):
                yield from w.accesses("load", w.views(operand), operand)
    elif isinstance(e, ir.BinOp | ir.Starred):
        for operand in children(e):
            yield from w.accesses("load", w.views(operand), operand)


def _yield(w: _Where, e: ir.Yield) -> Iterator[Step]:
    handed = e.value.items if isinstance(e.value, ir.Collection) else (e.value,)
    views = NOTHING.union(*(w.views(value) for value in handed if value is not None))
    if views:
        yield Yielded(views, site_of(w.function, e), w.statement)


def _call(w: _Where, call: ir.Call) -> Iterator[Step]:
    k = w.b.k
    target = k.links.resolve(w.function, call)
    fence = fence_call(k.models.ordering, target.external, target.text, target.receiver_types)
    if fence is not None:
        name = target.text.rpartition(".")[2]
        held = "" if not fence.exclusive else "leave" if name == "release" or _unlocks(call) else "enter"
        yield Fence(held)
        return
    if meaning_of(k, w.function, call).operation is not None:
        yield Fence()
        return
    if target.functions and target.constructs is None:
        yield Invoke(
            target.functions,
            "all",
            _arguments(w, target, call),
            site_of(w.function, call),
            w.statement,
        )
        return
    yield from _library_call(w, target, call)


def _unlocks(call: ir.Call) -> bool:
    return any(text_of(argument).rpartition(".")[2] == "LOCK_UN" for argument in call.args)


def _arguments(w: _Where, target: Target, call: ir.Call) -> tuple[tuple[str, str], ...]:
    """Constant and plain arguments by parameter, to tell the cells of helpers apart."""
    facts = w.b.k.links.facts(target.functions[0])
    named = [p.name for p in facts.parameters]
    if facts.owner and named and named[0] in ("self", "cls"):
        named = named[1:]
    found = [(name, text_in(w.b, w.function, given)) for name, given in zip(named, call.args, strict=False)]
    found += [(k.name, text_in(w.b, w.function, k.value)) for k in call.keywords if k.name]
    return tuple(found)


def _library_call(w: _Where, target: Target, call: ir.Call) -> Iterator[Step]:
    """A call that leaves the project: what the models say, else a read of every view it is given."""
    models = w.b.k.models.ordering
    known = access_call(models, target.external, target.text)
    if known is not None:
        memory = argument(call, known.buffer)
        if known.buffer is None:
            memory = call.func.value if isinstance(call.func, ir.Attribute) else None
        cell = argument(call, known.cell)
        if memory is None or known.how == "none":
            return
        views = w.views(memory)
        if (known.cell is not None and cell is None) or target.text == "int.from_bytes":
            cell = _first(call)
        value = stored_value(call.args[-1]) if known.how == "store" and call.args else OTHER
        for other in call.args:
            if other is not memory and known.how == "store":
                yield from w.accesses("load", w.views(other), other)
        yield from w.accesses(known.how, views, call, cell, value)
        return
    if view_call(models, target.external, target.text) is not None:
        return
    for given in (*call.args, *(keyword.value for keyword in call.keywords)):
        yield from w.accesses("load", w.views(given), given)


def _context(w: _Where, context: ir.Expr, kind: str) -> Iterator[Step]:
    k = w.b.k
    target = k.links.resolve(w.function, context)
    part = "enter" if kind == "with" else "leave"
    if part == "enter":
        for child in children(context):
            yield from _expression(w, child)
    if isinstance(context, ir.Call) and target.functions and target.constructs is None:
        arguments = _arguments(w, target, context)
        yield Invoke(target.functions, part, arguments, site_of(w.function, context), w.statement)
        return
    types = k.links.type_of(w.function, context)
    made = (target.constructs or target.external) if isinstance(context, ir.Call) else None
    fence = fence_context(k.models.ordering, made, text_of(context).removesuffix("()"), types)
    if fence is not None:
        yield Fence(part if fence.exclusive else "")

"""What one node of a control flow graph does to shared state: reads, tests, stores, changes of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rslint.flow.graph import CfgNode
from rslint.locks.state import Names, state_of
from rslint.project import ir
from rslint.project.text import children, expressions, render
from rslint.project.uses import MUTATORS

SHRINKING = frozenset({"clear", "discard", "pop", "popitem", "popleft", "remove"})
GROWING = MUTATORS - SHRINKING
SIZE_CHANGING = SHRINKING | GROWING


class Access(NamedTuple):
    """One use of a state.

    `how`: "read"; "item" (`s[key]`), "member" (`key in s`), "method" (`s.method(key …)`); "store", "augment",
    "delete"; "store-item", "delete-item". `key` is the text of the index, operand or first argument. `value` is what
    is stored, or the call of a method.
    """

    state: str
    how: str
    key: str
    method: str
    node: ir.Expr
    value: ir.Expr | None

    @property
    def writes(self) -> bool:
        return self.how in ("store", "augment", "delete") or self.resizes

    @property
    def resizes(self) -> bool:
        """Whether it may add or take away items of a container."""
        return self.how in ("store-item", "delete-item") or (
            self.how == "method" and self.method in SIZE_CHANGING
        )

    @property
    def removes(self) -> bool:
        return self.how == "delete-item" or (self.how == "method" and self.method in SHRINKING)


def evaluated(node: CfgNode) -> tuple[ir.Expr, ...]:
    """The expressions that a node evaluates itself."""
    origin = node.origin
    if origin is None or node.kind in ("with-exit", "finally", "unwind", "handler", "loop", "entry"):
        return ()
    if isinstance(node.clause, ir.WithItem):
        return (node.clause.context,)
    if isinstance(node.clause, ir.Generator):
        return (node.clause.iterable,)
    if isinstance(origin, ir.Expr):
        return (origin,)
    if node.kind == "iterate" and isinstance(origin, ir.For):
        return (origin.iterable,)
    return expressions(origin) if isinstance(origin, ir.Stmt) and node.kind == "statement" else ()


def accesses_at(names: Names, node: CfgNode) -> tuple[Access, ...]:
    """What a node does to shared state, in the order of evaluation as far as it matters."""
    found = [access for e in evaluated(node) for access in _loads(names, e)]
    if node.kind == "statement" and isinstance(node.origin, ir.Assign | ir.Delete):
        stored = {id(target) for target, _ in _targets(node.origin.targets, None)}
        found = [a for a in found if id(a.node) not in stored and id(a.value) not in stored]
        found += _stores(names, node.origin)
    return tuple(found)


def accesses_in(names: Names, e: ir.Expr) -> Iterator[Access]:
    """The uses of state inside one expression."""
    return _loads(names, e)


def _loads(names: Names, root: ir.Expr) -> Iterator[Access]:
    stack = [root]
    while stack:
        e = stack.pop()
        found = _access(names, e)
        if found is not None:
            yield found[0]
            stack += found[1][::-1]
        else:
            stack += children(e)[::-1]


def _access(names: Names, e: ir.Expr) -> tuple[Access, tuple[ir.Expr, ...]] | None:
    """The use that an expression as a whole is, and the parts that remain to be looked at."""
    state = state_of(names, e)
    if state is not None:
        return Access(state, "read", "", "", e, None), ()
    if isinstance(e, ir.Subscript):
        state = state_of(names, e.value)
        if state is not None:
            return Access(state, "item", render(e.index), "", e.value, e), (e.index,)
    if isinstance(e, ir.Call) and (named := _by_name(names, e)) is not None:
        return Access(named, "read", "", "", e, None), ()
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute):
        state = state_of(names, e.func.value)
        if state is not None:
            rest = (*e.args, *(keyword.value for keyword in e.keywords))
            key = render(e.args[0]) if e.args else ""
            return Access(state, "method", key, e.func.attr, e.func.value, e), rest
    if isinstance(e, ir.Compare) and e.operators[-1] in ("in", "not in"):
        container = _container(e.comparators[-1])
        state = state_of(names, container)
        if state is not None:
            left = e.left if len(e.comparators) == 1 else e.comparators[-2]
            return Access(state, "member", render(left), "", container, e), (left,)
    return None


def _by_name(names: Names, call: ir.Call) -> str | None:
    """`hasattr(self, "x")`, `getattr(self, "x", None)`."""
    if not isinstance(call.func, ir.Name) or call.func.id not in ("hasattr", "getattr") or len(call.args) < 2:
        return None
    receiver, name = call.args[0], call.args[1]
    if not isinstance(name, ir.Constant) or not isinstance(name.value, str):
        return None
    return state_of(names, ir.Attribute(call.span, receiver, name.value))


def _container(e: ir.Expr) -> ir.Expr:
    """`d` of `d.keys()`."""
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr == "keys" and not e.args:
        return e.func.value
    return e


def _stores(names: Names, statement: ir.Assign | ir.Delete) -> Iterator[Access]:
    value = statement.value if isinstance(statement, ir.Assign) else None
    if isinstance(statement, ir.Assign) and value is None:
        return
    plain, item = ("delete", "delete-item") if isinstance(statement, ir.Delete) else ("store", "store-item")
    if isinstance(statement, ir.Assign) and statement.operator is not None:
        plain = "augment"
    for target, given in _targets(statement.targets, value):
        state = state_of(names, target)
        if state is not None:
            yield Access(state, plain, "", "", target, given)
        elif isinstance(target, ir.Subscript):
            state = state_of(names, target.value)
            if state is not None:
                yield Access(state, item, render(target.index), "", target.value, given)


def _targets(targets: tuple[ir.Expr, ...], value: ir.Expr | None) -> Iterator[tuple[ir.Expr, ir.Expr | None]]:
    """Each target with what it is given; tuples item by item."""
    for target in targets:
        if isinstance(target, ir.Collection):
            same = isinstance(value, ir.Collection) and len(value.items) == len(target.items)
            for position, item in enumerate(target.items):
                given = value.items[position] if same and isinstance(value, ir.Collection) else value
                yield from _targets((item,), given)
        elif isinstance(target, ir.Starred):
            yield from _targets((target.value,), value)
        else:
            yield target, value

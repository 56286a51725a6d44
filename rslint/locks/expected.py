"""Uses of an entry whose author has thought of it being gone: `try: d[k]` with `except KeyError`."""

from __future__ import annotations

from rslint.flow.exceptions import alternatives
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import swallowed_types
from rslint.locks.accesses import Access
from rslint.locks.held import View
from rslint.project import ir
from rslint.project.text import blocks, expressions, walk

_GONE = frozenset({"KeyError", "LookupError"})


def expects_it_gone(k: Knowledge, view: View, access: Access) -> bool:
    """Whether a `try` or a suppressing context around the use names what it raises when the entry is gone.

    A handler for any exception says nothing of this one.
    """
    value = access.value if isinstance(access.value, ir.Expr) else access.node
    return any(
        _names_it(types)
        for outer in _around(view.function, access.node, value)
        for types in _stopped(k, view.identity, outer)
    )


def _stopped(k: Knowledge, identity: str, outer: ir.Try | ir.With) -> list[ir.Expr | None]:
    if isinstance(outer, ir.Try):
        return [handler.types for handler in outer.handlers]
    return [swallowed_types(k, identity, item.context) for item in outer.items]


def _names_it(types: ir.Expr | None) -> bool:
    names = () if types is None else alternatives(types)
    return any(name is not None and name.rpartition(".")[2] in _GONE for name in names)


def _around(function: ir.Function, *wanted: ir.Node) -> tuple[ir.Try | ir.With, ...]:
    """The `try` and `with` statements in whose bodies the statement with one of these parts stands."""
    sought = {id(one) for one in wanted}
    stack: list[tuple[ir.Stmt, tuple[ir.Try | ir.With, ...]]] = [(one, ()) for one in function.body]
    while stack:
        statement, outer = stack.pop()
        parts = (part for e in expressions(statement) for part in walk(e))
        if id(statement) in sought or any(id(part) in sought for part in parts):
            return outer
        inner = (statement, *outer) if isinstance(statement, ir.Try | ir.With) else outer
        first, *others = blocks(statement) or ((),)
        stack += [(nested, inner) for nested in first]
        stack += [(nested, outer) for block in others for nested in block]
    return ()

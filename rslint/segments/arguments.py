"""What one call says about the segment it opens: its arguments, whether it makes it, where the handle goes."""

from __future__ import annotations

import re

from rslint.flow.knowledge import Knowledge
from rslint.models.segment_tables import Argument, Opener
from rslint.project import ir
from rslint.project.source import place_of
from rslint.project.text import dotted, last_name, statements, walk

CREATE, ATTACH, EITHER = "create", "attach", "either"


def kind_of(function: ir.Function, call: ir.Call, opener: Opener) -> str:
    """Whether a call of an opener makes the segment, attaches it, or leaves that to a parameter."""
    if opener.flags is not None:
        flags = _assigned(function, argument_of(call, opener.flags))
        parts = [] if flags is None else list(walk(flags))
        if not any(isinstance(p, ir.Name | ir.Attribute) and last_name(p) in _CREATING for p in parts):
            return ATTACH
        return EITHER if any(isinstance(p, ir.IfExp) for p in parts) else CREATE
    if opener.content is not None:
        return ATTACH if argument_of(call, opener.content) is None else CREATE
    made = argument_of(call, opener.create)
    if isinstance(made, ir.Constant):
        return CREATE if made.value else ATTACH
    return ATTACH if made is None else EITHER


_CREATING = frozenset({"O_CREAT", "O_CREX"})


def _assigned(function: ir.Function, value: ir.Expr | None) -> ir.Expr | None:
    """What a local name was assigned, where it was once."""
    if not isinstance(value, ir.Name):
        return value
    given = [
        s.value
        for s in statements(function.body)
        if isinstance(s, ir.Assign) and s.value is not None and any(dotted(t) == value.id for t in s.targets)
    ]
    return given[0] if len(given) == 1 else value


def argument_of(call: ir.Call, argument: Argument | None) -> ir.Expr | None:
    """What a call gives for an argument; None where it leaves it out."""
    if argument is None:
        return None
    for keyword in call.keywords:
        if keyword.name == argument[0]:
            return keyword.value
    position = argument[1]
    if position is not None and position < len(call.args):
        return call.args[position]
    return None


def lies_below(k: Knowledge, function: ir.Function, path: ir.Expr | None, folders: tuple[str, ...]) -> bool:
    """Whether a path, or what the function assigned to its name, is spelled as one below a folder."""
    if path is None:
        return False
    texts = [path]
    name = dotted(path)
    for statement in statements(function.body) if name is not None else ():
        if isinstance(statement, ir.Assign) and statement.value is not None:
            texts += [statement.value for target in statement.targets if dotted(target) == name]
    return any(
        _literal_head(k, function.identity, part).startswith(folders)
        for text in texts
        for part in walk(text)
        if isinstance(part, ir.Constant) or (isinstance(part, ir.Other) and part.kind == "fstring")
    )


_QUOTES = re.compile(r"[A-Za-z]{0,2}(?:\"{3}|\'{3}|[\"'])")


def _literal_head(k: Knowledge, identity: str, e: ir.Constant | ir.Other) -> str:
    """How a string literal begins; that of an f-string is only in the source."""
    if isinstance(e, ir.Constant):
        return e.value if isinstance(e.value, str) else ""
    place = place_of(k.links.source(identity), e.span)
    row = k.links.source(identity).rows[place.row - 1][place.column - 1 :]
    return _QUOTES.sub("", row, count=1)


def holders_of(statement: ir.Stmt, call: ir.Call) -> tuple[str, ...]:
    """The dotted texts to which a statement assigns the result of a call in it."""
    if isinstance(statement, ir.Assign) and statement.value is not None and is_result(statement.value, call):
        return tuple(name for target in statement.targets if (name := dotted(target)) is not None)
    if isinstance(statement, ir.With):
        names = [
            dotted(i.target) for i in statement.items if i.target is not None and call in walk(i.context)
        ]
        return tuple(name for name in names if name is not None)
    return ()


def is_result(value: ir.Expr, call: ir.Call) -> bool:
    """Whether the value is what the call returns, be it on one of the arms of a conditional expression."""
    if value is call:
        return True
    if isinstance(value, ir.IfExp):
        return is_result(value.body, call) or is_result(value.orelse, call)
    if isinstance(value, ir.Await | ir.NamedExpr):
        return is_result(value.value, call)
    return False

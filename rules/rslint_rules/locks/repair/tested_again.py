"""The repair of RS206: the test is repeated inside the lock."""

from __future__ import annotations

import ast

from rslint.finding import Applicability, Fix
from rslint.rule import FixRequest
from rslint_rules.locks.repair.lines import (
    alone_on_their_lines,
    blocks,
    end_row,
    has_long_text,
    moved,
    whole_rows,
)

_MESSAGE = "test again inside the lock: whoever waited for it finds what was made meanwhile"


def tested_again(request: FixRequest) -> Fix | None:
    """The repair of one finding, where an `if` without `else` holds nothing but the `with`; else None."""
    row = request.finding.place.row
    source, filename = request.source, request.finding.place.filename
    for block in blocks(ast.parse(source.text)):
        for statement in block:
            if not isinstance(statement, ast.If) or statement.orelse or len(statement.body) != 1:
                continue
            inner = statement.body[0]
            if not isinstance(inner, (ast.With, ast.AsyncWith)) or not inner.lineno <= row <= end_row(inner):
                continue
            if any(_tests(one, statement.test) for one in inner.body):
                continue  # there is a second test: something else is wrong
            if _is_pure(statement.test) and _may_move(source.rows, inner):
                return _repaired(filename, source.rows, statement, inner)
    return None


def _tests(statement: ast.stmt, test: ast.expr) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == ast.unparse(test)


def _is_pure(test: ast.expr) -> bool:
    """Whether the test may be made twice."""
    return not any(isinstance(n, (ast.Call, ast.Await, ast.NamedExpr)) for n in ast.walk(test))


def _may_move(rows: tuple[str, ...], inner: ast.With | ast.AsyncWith) -> bool:
    return alone_on_their_lines(rows, [inner, *inner.body]) and not has_long_text(inner.body)


def _repaired(
    filename: str, rows: tuple[str, ...], outer: ast.If, inner: ast.With | ast.AsyncWith
) -> Fix | None:
    header = max(item.context_expr.end_lineno or inner.lineno for item in inner.items)
    first = inner.body[0]
    if first.lineno <= header:
        return None
    indent = rows[first.lineno - 1][: first.col_offset]
    step = indent[len(rows[inner.lineno - 1][: inner.col_offset]) :]
    begin = next((r for r in range(header + 1, first.lineno) if rows[r - 1].strip()), first.lineno)
    last = end_row(inner)
    content = f"{indent}if {ast.unparse(outer.test)}:\n{moved(rows, begin, last, step)}"
    return Fix(Applicability.SAFE, _MESSAGE, (whole_rows(filename, rows, begin, last, content),))

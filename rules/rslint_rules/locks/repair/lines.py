"""The lines of statements: where they stand, moved deeper, and replaced as a whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from rslint.finding import Edit, Place


def blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Every list of statements of a file."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def end_row(statement: ast.stmt) -> int:
    """The last row of a statement."""
    return statement.end_lineno or statement.lineno


def alone_on_their_lines(rows: Sequence[str], statements: Sequence[ast.stmt]) -> bool:
    """Whether no other statement shares a line with these."""
    for statement in statements:
        before = rows[statement.lineno - 1].encode()[: statement.col_offset].decode()
        last = rows[end_row(statement) - 1].encode()[statement.end_col_offset or 0 :].decode()
        if before.strip() or last.split("#")[0].strip():
            return False
    return True


def has_long_text(statements: Sequence[ast.stmt]) -> bool:
    """Whether a text runs over several lines: moved deeper it would be another text."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.lineno != node.end_lineno:
                return True
    return False


def moved(rows: Sequence[str], first: int, last: int, deeper: str) -> str:
    """The rows from `first` to `last` (from 1), indented by `deeper` more; empty ones stay empty."""
    return "\n".join(deeper + row if row.strip() else row for row in rows[first - 1 : last])


def whole_rows(filename: str, rows: Sequence[str], first: int, last: int, content: str) -> Edit:
    """Replace the rows from `first` to `last` by `content`, without the end of the last line."""
    return Edit(Place(filename, first, 1, last, len(rows[last - 1]) + 1), content)


def after_row(filename: str, rows: Sequence[str], row: int, content: str) -> Edit:
    """Insert lines behind a row."""
    column = len(rows[row - 1]) + 1
    return Edit(Place(filename, row, column, row, column), "\n" + content)

"""The repair of RS303: what may raise between creation and hand-over goes into a `try` whose handler unlinks."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence

from rslint.finding import Applicability, Edit, Finding, Fix, Place
from rslint.project.source import Source
from rslint_rules.trees import parsed

_STRINGS = frozenset(
    getattr(tokenize, name)
    for name in ("STRING", "FSTRING_MIDDLE", "TSTRING_MIDDLE")
    if hasattr(tokenize, name)
)


def unlink_on_error(source: Source, finding: Finding, holder: str, raising: Sequence[Place]) -> Fix | None:
    """The repair of a segment in `holder` that the finding's call makes; None where the calls in `raising` do not
    follow it in one block, or the block cannot be indented without changing what it says."""
    tree = parsed(source.text)
    block = None if tree is None else _block_of(tree, finding.place.row)
    if block is None:
        return None
    statements, made = block
    last = max((_index(statements, place.row) for place in raising if place != finding.place), default=None)
    first = made + 1
    if (
        last is None
        or last < first
        or any(_index(statements, p.row) < first for p in raising if p != finding.place)
    ):
        return None
    wrapped = statements[first : last + 1]
    if not _can_be_indented(source, statements[made], wrapped):
        return None
    return Fix(
        Applicability.SAFE,
        f"unlink `{holder}` when something raises before it is handed over",
        (_wrapped(source, finding, wrapped[0].lineno, wrapped[-1].end_lineno or 0, holder),),
    )


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _block_of(tree: ast.Module, row: int) -> tuple[list[ast.stmt], int] | None:
    """The innermost statement list with a statement on this row, and the statement's position in it."""
    found = None
    for node in ast.walk(tree):
        for block in _blocks(node):
            for index, statement in enumerate(block):
                if statement.lineno <= row <= (statement.end_lineno or 0):
                    span = (statement.end_lineno or 0) - statement.lineno
                    if found is None or span <= found[2]:
                        found = (block, index, span)
    return None if found is None else found[:2]


def _index(statements: Sequence[ast.stmt], row: int) -> int:
    """The position of the statement that covers a row; -1 where it stands elsewhere."""
    return next((i for i, s in enumerate(statements) if s.lineno <= row <= (s.end_lineno or 0)), -1)


def _can_be_indented(source: Source, made: ast.stmt, wrapped: Sequence[ast.stmt]) -> bool:
    """Statements on rows of their own, no generator (closing it is no error), no text that would be moved."""
    rows = source.rows
    previous = made.end_lineno or 0
    for statement in wrapped:
        column = statement.col_offset
        if statement.lineno <= previous or rows[statement.lineno - 1][:column].strip():
            return False
        previous = statement.end_lineno or 0
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(statement)):
            return False
    after = rows[previous - 1].encode()[wrapped[-1].end_col_offset or 0 :].decode(errors="replace").strip()
    if after and not after.startswith("#"):
        return False
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source.text).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return False
    inside = range(wrapped[0].lineno, previous + 1)
    return not any(
        token.type in _STRINGS and token.start[0] != token.end[0] and token.start[0] in inside
        for token in tokens
    )


def _wrapped(source: Source, finding: Finding, first: int, last: int, holder: str) -> Edit:
    rows = source.rows[first - 1 : last]
    indent = re.match(r"[ \t]*", rows[0])
    outer = indent[0] if indent else ""
    step = "\t" if "\t" in outer else "    "
    end = "\r\n" if "\r\n" in source.text else "\n"
    lines = [
        f"{outer}try:",
        *(f"{step}{row}" if row.strip() else row for row in rows),
        f"{outer}except BaseException:",
        f"{outer}{step}{holder}.unlink()",
        f"{outer}{step}raise",
    ]
    place = Place(finding.place.filename, first, 1, last, len(rows[-1]) + 1)
    return Edit(place, end.join(lines))

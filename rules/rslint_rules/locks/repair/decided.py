"""The repair of RS204: decide and act in one critical section.

    async with self.pause_condition:              async with self.pause_condition:
        paused = self.paused                          paused = self.paused
    context = lock if not paused else nothing()       if paused:
    async with context:                                   body
        body                                      if not paused:
                                                      async with lock:
                                                          body

The names that only the old form needed go: the local of the context, and the import of `nullcontext` once no other
place uses it.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from rslint.finding import Applicability, Edit, Finding, Fix, Place
from rslint.rule import FixRequest
from rslint_rules.locks.repair.lines import (
    after_row,
    alone_on_their_lines,
    blocks,
    end_row,
    has_long_text,
    moved,
    whole_rows,
)

_NOTHING = "nullcontext"
_MESSAGE = (
    "decide and act in one critical section: the lock under which the answer is read is held until it is used"
)


class _Site(NamedTuple):
    """The three statements: where the answer is read, where the context is chosen, where it is entered."""

    reading: ast.With | ast.AsyncWith
    choosing: ast.Assign
    entering: ast.With | ast.AsyncWith
    flag: str
    locked_if: bool  # the lock is taken when the flag is this
    lock: ast.expr


def decide_and_act(request: FixRequest) -> Fix | None:
    """The repair of one finding, or None where the function has another form."""
    from rslint_rules.locks.rs204_conditional_lock import check

    source, filename = request.source, request.finding.place.filename
    tree = ast.parse(source.text)
    site = _site(tree, request.finding)
    rows = source.rows
    if site is None or not _may_move(tree, rows, site):
        return None
    edits = [*_rewritten(filename, rows, site)]
    # A place that is suppressed has a comment, is not rewritten, and goes on using the import.
    sites = [_site(tree, found) for found in check(request.analysis) if found.place.filename == filename]
    repaired = [one for one in sites if one is not None and _may_move(tree, rows, one)]
    if len(repaired) == _uses(tree):
        edits += _without_import(filename, rows, tree)
    return Fix(Applicability.UNSAFE, _MESSAGE, tuple(edits))


def _site(tree: ast.Module, finding: Finding) -> _Site | None:
    for block in blocks(tree):
        for position, statement in enumerate(block):
            if not isinstance(statement, (ast.With, ast.AsyncWith)) or statement.lineno != finding.place.row:
                continue
            if position < 2:
                return None
            return _matched(block[position - 2], block[position - 1], statement)
    return None


def _matched(reading: ast.stmt, choosing: ast.stmt, entering: ast.With | ast.AsyncWith) -> _Site | None:
    if not isinstance(reading, type(entering)) or not isinstance(choosing, ast.Assign):
        return None
    flag = reading.body[-1] if isinstance(reading, (ast.With, ast.AsyncWith)) else None
    if not isinstance(flag, ast.Assign) or not isinstance(flag.targets[0], ast.Name):
        return None
    chosen, name = choosing.value, choosing.targets[0]
    item = entering.items[0]
    if not isinstance(chosen, ast.IfExp) or not isinstance(name, ast.Name) or len(entering.items) != 1:
        return None
    if item.optional_vars is not None or ast.unparse(item.context_expr) != name.id:
        return None
    test, positive = chosen.test, True
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, positive = test.operand, not positive
    if ast.unparse(test) != flag.targets[0].id:
        return None
    if _is_nothing(chosen.orelse):
        return _Site(reading, choosing, entering, flag.targets[0].id, positive, chosen.body)
    if _is_nothing(chosen.body):
        return _Site(reading, choosing, entering, flag.targets[0].id, not positive, chosen.orelse)
    return None


def _is_nothing(e: ast.expr) -> bool:
    return isinstance(e, ast.Call) and not e.args and ast.unparse(e.func).rpartition(".")[2] == _NOTHING


def _may_move(tree: ast.Module, rows: tuple[str, ...], site: _Site) -> bool:
    """Whether the body may stand in both places: on lines of its own, with no text that indentation would change, and
    without taking the lock that is then held."""
    if not alone_on_their_lines(rows, [site.reading, site.choosing, site.entering]):
        return False
    if not alone_on_their_lines(rows, site.entering.body) or has_long_text(site.entering.body):
        return False
    gone = [*rows[site.choosing.lineno - 1 : end_row(site.choosing)], rows[site.entering.lineno - 1]]
    if any("#" in row for row in gone):
        return False  # a comment would be lost
    held = ast.unparse(site.reading.items[0].context_expr)
    name = ast.unparse(site.choosing.targets[0])
    for statement in site.entering.body:
        for node in ast.walk(statement):
            if isinstance(
                node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Yield, ast.YieldFrom)
            ):
                return False
            if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in (held, name):
                return False
    return _used_once(tree, site, name)


def _used_once(tree: ast.Module, site: _Site, name: str) -> bool:
    """Whether the function uses the local of the context in this place alone."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inside = list(ast.walk(function))
            if any(node is site.entering for node in inside):
                named = [n for n in inside if isinstance(n, ast.Name) and n.id == name]
                return len(named) == 2
    return False


def _rewritten(filename: str, rows: tuple[str, ...], site: _Site) -> list[Edit]:
    outer = " " * site.entering.col_offset
    if rows[site.entering.lineno - 1].startswith("\t"):
        outer = rows[site.entering.lineno - 1][: site.entering.col_offset]
    first = site.entering.body[0]
    step = rows[first.lineno - 1][len(outer) : first.col_offset]
    top, last = site.entering.lineno, end_row(site.entering)
    begin = next(
        (r for r in range(_header_end(site.entering) + 1, first.lineno) if rows[r - 1].strip()), first.lineno
    )
    unlocked, locked = ("not ", "") if site.locked_if else ("", "not ")
    body = moved(rows, begin, last, step)
    word = "async with" if isinstance(site.entering, ast.AsyncWith) else "with"
    inside = f"{outer}{step}if {unlocked}{site.flag}:\n{body}"
    between = rows[end_row(site.choosing) : site.entering.lineno - 1]
    comments = "".join(f"{row}\n" for row in between if row.strip())
    behind = (
        f"{comments}{outer}if {locked}{site.flag}:\n{outer}{step}{word} {ast.unparse(site.lock)}:\n{body}"
    )
    return (
        [
            after_row(filename, rows, end_row(site.reading), inside),
            whole_rows(filename, rows, site.choosing.lineno, last, behind),
        ]
        if top
        else []
    )


def _header_end(statement: ast.With | ast.AsyncWith) -> int:
    return max(item.context_expr.end_lineno or statement.lineno for item in statement.items)


def _uses(tree: ast.Module) -> int:
    return sum(isinstance(node, ast.Name) and node.id == _NOTHING for node in ast.walk(tree))


def _without_import(filename: str, rows: tuple[str, ...], tree: ast.Module) -> list[Edit]:
    """`from contextlib import nullcontext` goes, or the name from a longer list."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "contextlib":
            names = [alias for alias in statement.names if alias.name != _NOTHING or alias.asname]
            if len(names) == len(statement.names) or not alone_on_their_lines(rows, [statement]):
                continue
            first, last = statement.lineno, end_row(statement)
            if not names:
                return [Edit(Place(filename, first, 1, last + 1, 1), "")] if last < len(rows) else []
            rest = ast.unparse(ast.ImportFrom(statement.module, names, statement.level))
            return [whole_rows(filename, rows, first, last, rest)]
    return []

"""The repair of a ring: a fence before each access that needs one, defined in the file or imported from the runtime.

The fence goes before the statement of the access that may come too early, outside of a loop or `with` that the earlier
access does not stand in, above its comments. Nothing is offered where a statement cannot be put there on a line of its
own. The repair takes a lock, if only for itself: it is unsafe as the other repairs that take one.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from rslint.finding import Applicability, Edit, Fix, Place
from rslint.ordering.orders import MissingOrder
from rslint.ordering.rings import Ring, ordering_of
from rslint.project.config import runtime_of
from rslint.project.parsing import parse
from rslint.rule import FixRequest
from rslint_rules.places import place

FENCE, LOCK = "memory_fence", "_fence_lock"
_DEFINITION = f'''{LOCK} = threading.Lock()


def {FENCE}():
    """Orders all accesses before it before all behind it: taking and giving back a lock are atomic operations."""
    with {LOCK}:
        pass
'''


def repair(request: FixRequest) -> Fix | None:
    """The fix of a ring's finding: all fences that its file lacks; None where one of them finds no place."""
    ring = _ring_at(request)
    if ring is None:
        return None
    text = request.source.text
    tree = parse(text)
    runtime = runtime_of(request.analysis.project.config)
    prelude = _prelude(tree, text, runtime)
    if prelude is None:
        return None
    rows = set()
    for order in _needed(tree, ring):
        late = order.late.site
        row = row_of_fence(tree, text, early=order.early.site.row, late=(late.row, late.column))
        if row is None:
            return None
        rows.add(row)
    filename = request.finding.place.filename
    lines = text.splitlines(keepends=True)
    edits = [
        _inserted(filename, row, f"{_indent(lines[row - 1])}{FENCE}(){_newline(text)}")
        for row in sorted(rows)
    ]
    several = f"{len(rows)} fences" if len(rows) > 1 else "a fence"
    return Fix(
        Applicability.UNSAFE,
        f"put {several} between accesses that rely on their order",
        (*(_inserted(filename, one.row, one.text) for one in prelude), *edits),
    )


def _needed(tree: ast.Module, ring: Ring) -> list[MissingOrder]:
    """The orders of which each needs a fence of its own: of several reads behind one flag in one block, the first."""
    first: dict[object, MissingOrder] = {}
    for order in sorted(ring.orders, key=lambda order: (order.late.site.row, order.late.site.column)):
        late = order.late.site
        key: object = (order.kind, late)
        if order.kind == "consume" and (chain := _statements_around(tree, late.row, late.column)):
            key = (order.function, order.early.site, _siblings(tree, chain[-1])[0].lineno)
        first.setdefault(key, order)
    return list(first.values())


def _ring_at(request: FixRequest) -> Ring | None:
    for ring in ordering_of(request.analysis).rings:
        if place(request.analysis, ring.main.late.site) == request.finding.place:
            return ring
    return None


@dataclass(frozen=True)
class _Addition:
    """Text to put before a row."""

    row: int
    text: str


def _inserted(filename: str, row: int, text: str) -> Edit:
    return Edit(Place(filename, row, 1, row, 1), text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _prelude(tree: ast.Module, text: str, runtime: str | None) -> tuple[_Addition, ...] | None:
    """What the file lacks to call the fence: nothing, an import, or a definition. None where its name is taken."""
    bound = _bound(tree)
    if FENCE in bound:
        return () if bound[FENCE] in ("def", "import") else None
    if any(isinstance(node, ast.Name) and node.id in (FENCE, LOCK) for node in ast.walk(tree)):
        return None
    newline = _newline(text)
    if runtime is not None:
        return (_Addition(_row_for_import(tree, runtime), f"from {runtime} import {FENCE}{newline}"),)
    row = _row_behind_imports(tree, text)
    if row is None:
        return None
    behind = text.splitlines()[row - 1 :]
    blank = next((index for index, line in enumerate(behind) if line.strip()), len(behind))
    added = "\n" + _DEFINITION + "\n" * max(0, 2 - blank)
    definition = _Addition(row, added.replace("\n", newline))
    if bound.get("threading") == "module":
        return (definition,)
    if "threading" in bound:
        return None
    at = _row_for_import(tree, "threading", plain=True)
    line = f"import threading{newline}"
    return (_Addition(row, line + definition.text),) if at == row else (_Addition(at, line), definition)


def _bound(tree: ast.Module) -> dict[str, str]:
    """The names that the top level binds, and by what."""
    found: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                whole = alias.asname is None or alias.asname == alias.name
                found[alias.asname or alias.name.partition(".")[0]] = "module" if whole else "import"
        elif isinstance(statement, ast.ImportFrom):
            found.update((alias.asname or alias.name, "import") for alias in statement.names)
        elif isinstance(statement, ast.FunctionDef):
            found[statement.name] = "def"
        elif isinstance(statement, ast.ClassDef):
            found[statement.name] = "class"
        elif isinstance(statement, ast.Assign):
            found.update((target.id, "value") for target in statement.targets if isinstance(target, ast.Name))
    return found


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def _row_for_import(tree: ast.Module, module: str, *, plain: bool = False) -> int:
    """Where an import of `module` belongs: before the first of its kind that sorts behind it, else behind the last."""
    kind = ast.Import if plain else ast.ImportFrom
    same = [node for node in _imports(tree) if isinstance(node, kind) and _module(node) != "__future__"]
    for node in same:
        if _module(node) > module:
            return node.lineno
    if same:
        return (same[-1].end_lineno or same[-1].lineno) + 1
    others = [node for node in _imports(tree) if _module(node) != "__future__"]
    if others and plain:
        return others[0].lineno
    return _first_row(tree)


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return node.names[0].name if isinstance(node, ast.Import) else node.module or ""


def _first_row(tree: ast.Module) -> int:
    """The row of the first statement behind the docstring and the imports."""
    last = 0
    for statement in tree.body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.Import | ast.ImportFrom) or (docstring and not last):
            last = statement.end_lineno or statement.lineno
    return last + 1


def _row_behind_imports(tree: ast.Module, text: str) -> int | None:
    """The row behind the imports; None where that is the end of the file."""
    row = _first_row(tree)
    return row if row <= len(text.splitlines()) else None


def row_of_fence(tree: ast.Module, text: str, *, early: int, late: tuple[int, int]) -> int | None:
    """The row before which a fence goes that stands between the access on the row `early` and the one at `late` (row,
    and column in bytes); None where there is no line for it."""
    chain = _statements_around(tree, *late)
    if not chain:
        return None
    chosen = chain[-1]
    for outer in reversed(chain[:-1]):
        if not isinstance(outer, ast.For | ast.With | ast.AsyncFor | ast.AsyncWith) or _holds(outer, early):
            break
        chosen = outer
    lines = text.splitlines()
    row = chosen.lineno
    before = lines[row - 1].encode()[: chosen.col_offset].decode()
    if before.strip() or lines[row - 1].lstrip().startswith("elif"):
        return None
    if any(other is not chosen and other.end_lineno == row for other in _siblings(tree, chosen)):
        return None
    while row > 1 and lines[row - 2].startswith(before + "#"):
        row -= 1
    return row


def _holds(node: ast.stmt, row: int) -> bool:
    return node.lineno <= row <= (node.end_lineno or node.lineno)


def _statements_around(tree: ast.Module, row: int, column: int) -> list[ast.stmt]:
    """The statements that hold a place, outermost first; the innermost function's own only."""
    found: list[ast.stmt] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and _holds(node, row):
            starts = (node.lineno, node.col_offset) <= (row, column)
            ends = (node.end_lineno or row, node.end_col_offset or 0) > (row, column)
            if starts and ends:
                found.append(node)
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    inner = [
        index
        for index, node in enumerate(found)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    return found[inner[-1] + 1 :] if inner else found


def _siblings(tree: ast.Module, statement: ast.stmt) -> list[ast.stmt]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and statement in block:
                return block
    return []

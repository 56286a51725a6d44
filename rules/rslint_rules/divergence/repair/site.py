"""Find, in the syntax of one file, the raising calls and the skipped collective that a finding names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rslint.finding import Finding, Place
from rslint_rules.trees import parsed

ALSO_RAISES = "also raises"
_LINE_END = re.compile(r"\r\n|\r|\n")
_CAPTURED = re.compile(r"\b(compile|jit|cuda_?graph|make_graphed_callables|dynamo)\b", re.IGNORECASE)
_CAPTURE_CONTEXT = re.compile(r"\bcuda\.graph\(|\bCUDAGraph\b|\bgraph_capture\(")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Step:
    """One step from a function down to a node: the statement `block[index]` holds the node."""

    owner: ast.AST
    field: str
    block: Sequence[ast.stmt]
    index: int

    @property
    def statement(self) -> ast.stmt:
        return self.block[self.index]


@dataclass(frozen=True)
class Site:
    """A function with the raising calls and the collective of one finding.

    `block` is the innermost statement list that holds them all; `block[first]` to `block[last]` hold the
    raising calls, `block[collective_index]` the collective. `paths` lead from `block` to each raising call,
    `collective_path` to the collective, `outer` from the function's body to `block`.
    """

    module: ast.Module
    function: ast.FunctionDef
    raising: tuple[ast.Call, ...]
    collective: ast.Call
    block: Sequence[ast.stmt]
    paths: tuple[tuple[Step, ...], ...]
    collective_path: tuple[Step, ...]
    outer: tuple[Step, ...]

    @property
    def first(self) -> int:
        return min(path[0].index for path in self.paths)

    @property
    def last(self) -> int:
        return max(path[0].index for path in self.paths)

    @property
    def collective_index(self) -> int:
        return self.collective_path[0].index


def rows(text: str) -> list[str]:
    """The rows of a text with their line ends, split where Python's tokenizer splits."""
    found: list[str] = []
    position = 0
    for match in _LINE_END.finditer(text):
        found.append(text[position : match.end()])
        position = match.end()
    return [*found, text[position:]] if position < len(text) else found


def blocks(node: ast.AST) -> Iterator[tuple[str, Sequence[ast.stmt]]]:
    """The statement lists that hang directly below a statement, handler or case."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield field, block


def _children(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.Try):
        yield from node.handlers
    elif isinstance(node, ast.Match):
        yield from node.cases


def _covers(node: ast.AST, row: int, column: int) -> bool:
    begin = (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))
    end = (getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0)
    return begin <= (row, column) < end


def _path(owner: ast.AST, row: int, column: int) -> tuple[Step, ...]:
    """All statement lists on the way down to a position; definitions inside `owner` are entered too."""
    for holder in _children(owner):
        for field, block in blocks(holder):
            for index, statement in enumerate(block):
                if _covers(statement, row, column):
                    return (Step(holder, field, block, index), *_path(statement, row, column))
    return ()


def _call_at(statement: ast.stmt, place: Place, column: int, end_column: int) -> ast.Call | None:
    for node in ast.walk(statement):
        if (
            isinstance(node, ast.Call)
            and (node.lineno, node.col_offset) == (place.row, column)
            and (node.end_lineno, node.end_col_offset) == (place.end_row, end_column)
        ):
            return node
    return None


def _inside_own_scope(statement: ast.stmt, call: ast.Call) -> bool:
    """Whether the call runs when the statement runs: not in a lambda or a nested definition's body."""
    lambdas = (node for node in ast.walk(statement) if isinstance(node, ast.Lambda))
    return all(inner is not call for node in lambdas for inner in ast.walk(node.body))


@dataclass(frozen=True)
class _Found:
    call: ast.Call
    function: Function
    path: tuple[Step, ...]  # from the function's body down


def _find(module: ast.Module, text_rows: Sequence[str], place: Place) -> _Found | None:
    if not (1 <= place.row <= len(text_rows) and 1 <= place.end_row <= len(text_rows)):
        return None
    column = len(text_rows[place.row - 1][: place.column - 1].encode())
    end_column = len(text_rows[place.end_row - 1][: place.end_column - 1].encode())
    path = _path(module, place.row, column)
    if not path:
        return None
    call = _call_at(path[-1].statement, place, column, end_column)
    holders = [
        n for n, step in enumerate(path) if isinstance(step.owner, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    if call is None or not holders or not _inside_own_scope(path[-1].statement, call):
        return None
    function = path[holders[-1]].owner
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    inner = path[holders[-1] :]
    return (
        None if any(isinstance(step.owner, ast.ClassDef) for step in inner) else _Found(call, function, inner)
    )


def _captured(module: ast.Module, function: ast.FunctionDef) -> bool:
    """Whether the function is compiled, or captures a CUDA graph: exception handling would break it."""
    for node in ast.walk(module):
        names = node.body if isinstance(node, ast.FunctionDef | ast.ClassDef) else ()
        if node is function or function in names:
            decorators = getattr(node, "decorator_list", [])
            if any(_CAPTURED.search(ast.unparse(decorator)) for decorator in decorators):
                return True
    return any(
        isinstance(node, ast.With) and any(_CAPTURE_CONTEXT.search(ast.unparse(item)) for item in node.items)
        for node in ast.walk(function)
    )


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below `node` in the same scope (bodies of nested definitions and lambdas left out)."""
    stack = list(ast.iter_child_nodes(node))
    while stack:
        current = stack.pop()
        yield current
        if not isinstance(current, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            stack.extend(ast.iter_child_nodes(current))


def ways_out(statements: Sequence[ast.stmt]) -> list[ast.Return | ast.Break | ast.Continue]:
    """The returns, breaks and continues that leave the statements for good (not only a loop among them)."""
    held = {
        id(inner)
        for statement in statements
        for loop in (statement, *own_nodes(statement))
        if isinstance(loop, ast.For | ast.While)
        for part in loop.body
        for inner in (part, *own_nodes(part))
        if isinstance(inner, ast.Break | ast.Continue)
    }
    return [
        node
        for statement in statements
        for node in (statement, *own_nodes(statement))
        if isinstance(node, ast.Return | ast.Break | ast.Continue) and id(node) not in held
    ]


def _one_statement_a_row(block: Sequence[ast.stmt]) -> bool:
    return len({statement.lineno for statement in block}) == len(block)


def locate(text: str, finding: Finding) -> Site | None:
    """The site of a finding; None where a local rewriting is not possible or not clear.

    Calls that only "also raise" are kept as far as they lie in the same function and before the collective.
    """
    module = parsed(text)
    if module is None or not finding.related or finding.related[0].place.filename != finding.place.filename:
        return None
    text_rows = rows(text)
    collective = _find(module, text_rows, finding.related[0].place)
    main = _find(module, text_rows, finding.place)
    if collective is None or main is None or collective.function is not main.function:
        return None
    function = main.function
    if not isinstance(function, ast.FunctionDef) or _captured(module, function):
        return None
    if any(isinstance(node, ast.Yield | ast.YieldFrom | ast.Await) for node in own_nodes(function)):
        return None
    found = [main]
    for related in finding.related[1:]:
        if related.message.startswith(ALSO_RAISES) and related.place.filename == finding.place.filename:
            other = _find(module, text_rows, related.place)
            if other is not None and other.function is function and _start(other) < _start(collective):
                found.append(other)
    depth = 0
    paths = [collective.path, *(each.path for each in found)]
    while all(
        len(path) > depth + 1 and path[depth].statement is paths[0][depth].statement for path in paths
    ) and all(path[depth + 1].block is paths[0][depth + 1].block for path in paths):
        depth += 1
    site = Site(
        module, function, tuple(each.call for each in found), collective.call, paths[0][depth].block,
        tuple(path[depth:] for path in paths[1:]), paths[0][depth:], paths[0][:depth],
    )  # fmt: skip
    touched = {id(step.block): step.block for path in paths for step in path}
    if site.last >= site.collective_index:
        return None
    return site if all(_one_statement_a_row(block) for block in touched.values()) else None


def _start(found: _Found) -> tuple[int, int]:
    return found.call.lineno, found.call.col_offset

"""What a function still does from a place on to its end: does it go on working, or report, clean up and return?"""

from __future__ import annotations

import re
from itertools import pairwise

from rslint.flow.forest import Site, all_children
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import Around, guarded_calls, is_silent
from rslint.models import terminates
from rslint.project import ir
from rslint.project.text import blocks, last_name, statements

ENDING = frozenset({"destroy_process_group"})
"""Operations that end a group: a rank that failed is on its way there, and its peers will follow or be ended."""

_CLEANING = re.compile(
    r"clos|clean|destroy|exit|flush|finali[sz]e|kill|shut_?down|stop|teardown|terminat|unlink"
)

Way = tuple[tuple[tuple[ir.Stmt, ...], int], ...]
"""From a function's body down to a place: blocks, outermost first, each with the position of the statement in it
that holds the place."""


def way_to(body: tuple[ir.Stmt, ...], site: Site) -> Way:
    """The way to a place, as far as it lies in statements of the body."""
    way = []
    block = body
    while block:
        held = [index for index, statement in enumerate(block) if _holds(statement, site)]
        if not held:
            break
        way.append((block, held[0]))
        inner = blocks(block[held[0]])
        block = next((b for b in inner if any(_holds(s, site) for s in b)), ())
    return tuple(way)


def _holds(statement: ir.Stmt, site: Site) -> bool:
    s = statement.span
    return (s.row, s.column) <= (site.row, site.column) < (s.end_row, s.end_column)


def guards(way: Way) -> Around:
    """The try and with statements in whose bodies the place lies, innermost first."""
    found: list[ir.Try | ir.With] = []
    for (block, index), (inner, _) in pairwise(way):
        statement = block[index]
        if isinstance(statement, ir.Try | ir.With) and inner is statement.body:
            found.append(statement)
    return tuple(reversed(found))


def up_to(way: Way, statement: ir.Stmt) -> Way:
    """The part of the way that ends at this statement on it."""
    depth = next(depth for depth, (block, index) in enumerate(way) if block[index] is statement)
    return way[: depth + 1]


def works_on(k: Knowledge, identity: str, way: Way, handler: ir.Handler | None = None) -> bool:
    """Whether the function works on after the statement the way ends at, which has ended through `handler` (or just
    so): in a loop around it, or with anything that is no return, report or cleaning up. In a handler and a `finally`
    loops and collectives count as work, other calls as reports."""
    done = handler.body if handler is not None else (way[-1][0][way[-1][1]],) if way else ()
    if handler is not None and _collects(k, identity, done):
        return True
    left = _leaving(k, identity, done)
    inner: tuple[ir.Stmt, ...] = done
    for block, index in reversed(way):
        statement = block[index]
        ahead = block[index + 1 :]
        if isinstance(statement, ir.While | ir.For):
            if left is None:
                return True
            left = None if left == "break" else left
        elif isinstance(statement, ir.Try):
            if inner is statement.body:
                ahead = (*statement.orelse, *ahead)
            if _collects(k, identity, statement.final):
                return True
            left = _leaving(k, identity, statement.final) or left
        if left is None:
            if not all(_winds_down(k, identity, s) for s in _reached(k, identity, ahead)):
                return True
            left = _leaving(k, identity, ahead)
        inner = block
    return False


def _leaving(k: Knowledge, identity: str, block: tuple[ir.Stmt, ...]) -> str | None:
    """How a block leaves what stands around it: by "return" (also with the process), by "break", or not at all."""
    return next(filter(None, (_jump(k, identity, statement) for statement in block)), None)


def _jump(k: Knowledge, identity: str, statement: ir.Stmt) -> str | None:
    if isinstance(statement, ir.Return | ir.Raise):
        return "return"
    if isinstance(statement, ir.Jump):
        return "break" if statement.kind == "break" else None
    if isinstance(statement, ir.ExprStmt) and isinstance(statement.value, ir.Call):
        target = meaning_of(k, identity, statement.value).target
        return "return" if terminates(k.models, target.external, target.text) else None
    return None


def _reached(k: Knowledge, identity: str, block: tuple[ir.Stmt, ...]) -> tuple[ir.Stmt, ...]:
    """The statements of a block up to the one that leaves it."""
    for position, statement in enumerate(block):
        if _jump(k, identity, statement) is not None:
            return block[: position + 1]
    return block


def _winds_down(k: Knowledge, identity: str, statement: ir.Stmt) -> bool:
    """Whether a statement only reports and cleans up."""
    if _collects(k, identity, (statement,)):
        return False
    return all(_cleans(k, identity, call) for call, _ in guarded_calls((statement,)))


def _cleans(k: Knowledge, identity: str, call: ir.Call) -> bool:
    target = meaning_of(k, identity, call).target
    if _CLEANING.search(last_name(call.func) or "") or terminates(k.models, target.external, target.text):
        return True
    return is_silent(k, identity, call)


def _collects(k: Knowledge, identity: str, block: tuple[ir.Stmt, ...]) -> bool:
    """Whether a block has a loop, or reaches a collective that does not just end a group."""
    if any(isinstance(statement, ir.While | ir.For) for statement in statements(block)):
        return True
    for call, _ in guarded_calls(block):
        meaning = meaning_of(k, identity, call)
        if meaning.operation is not None:
            if meaning.operation not in ENDING:
                return True
        elif any(_reaches(k, k.effects.get(callee, 0)) for callee in meaning.target.functions):
            return True
    return False


def _reaches(k: Knowledge, tree: int) -> bool:
    stack, seen = [tree], {tree}
    while stack:
        node = k.forest.node(stack.pop())
        if node[0] == "collective" and node[1] not in ENDING:
            return True
        following = [t for t in all_children(node) if t not in seen]
        seen.update(following)
        stack += following
    return False

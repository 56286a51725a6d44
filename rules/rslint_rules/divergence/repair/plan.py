"""What a repair wants done to one function, without concrete syntax: statements to wrap and to insert."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from rslint.finding import Applicability

Position = tuple[int, int]  # row from 1, column from 0: where a statement or expression starts


def start(node: ast.stmt | ast.expr) -> Position:
    """Where `node` starts; statements start behind indentation, so their byte and character columns agree."""
    return node.lineno, node.col_offset


@dataclass(frozen=True)
class Wrap:
    """Put the siblings from `first` to `last` below `header` ("try:"), then add the lines of `trailer`.

    An empty `header` drops the siblings: the trailer takes their place.
    """

    first: Position
    last: Position
    header: str
    trailer: str = ""


@dataclass(frozen=True)
class Insert:
    """Statements to add before or after the one at `at`; outside of a wrap that begins or ends there."""

    at: Position
    text: str
    after: bool = False


@dataclass(frozen=True)
class Append:
    """One more element for the list display that starts at `at`."""

    at: Position
    element: str


@dataclass(frozen=True)
class Replace:
    """Another expression for the one that starts at `at` and has the dump `old` (see `ast.unparse`)."""

    at: Position
    old: str
    new: str


@dataclass(frozen=True)
class Import:
    """`import module [as alias]`, or `from module import name`."""

    module: str
    name: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class Plan:
    """One repair of one function; `needs_error_copy` asks for the helper that makes errors picklable."""

    applicability: Applicability
    message: str
    wraps: tuple[Wrap, ...] = ()
    inserts: tuple[Insert, ...] = ()
    appends: tuple[Append, ...] = ()
    replaces: tuple[Replace, ...] = ()
    imports: tuple[Import, ...] = ()
    needs_error_copy: bool = False


class NotCarriedOut(Exception):
    """The concrete syntax does not have what the plan speaks of."""

"""What of a function has to be answered: which expressions matter, and whether anything in them may differ at all."""

from __future__ import annotations

from collections.abc import Iterable

from rslint.flow.knowledge import Knowledge
from rslint.flow.reading import Answers
from rslint.flow.slicing import Reading, names_in
from rslint.models import rank_predicate
from rslint.project import ir
from rslint.project.text import blocks, expressions, statements, walk


def returned_parts(body: tuple[ir.Stmt, ...]) -> list[ir.Expr]:
    """What is returned, and the tests that decide which return is reached; nothing where no value is returned."""
    every = list(statements(body))
    values = [s.value for s in every if isinstance(s, ir.Return) and s.value is not None]
    if not values:
        return []
    for statement in every:
        inner = blocks(statement)
        if inner and any(isinstance(s, ir.Return | ir.Raise | ir.Jump) for b in inner for s in statements(b)):
            values += expressions(statement)
    return values


def rank_tests(k: Knowledge, function: ir.Function) -> Iterable[ir.Expr]:
    """Tests that speak of a rank: they decide who runs what."""
    for statement in statements(function.body):
        if isinstance(statement, ir.If | ir.While) and (
            _names_rank(k, statement.test) or _short(statement.test)
        ):
            yield statement.test


def _names_rank(k: Knowledge, test: ir.Expr) -> bool:
    return any(rank_predicate(k.models, name, None) for name in sorted(names_in((test,))))


def _short(test: ir.Expr) -> bool:
    """A name or a call alone: what it stands for may be a test of the rank."""
    parts = list(walk(test))
    return len(parts) <= 4 and any(isinstance(e, ir.Name | ir.Call) for e in parts)


def has_sources(reading: Reading, found: Answers, wanted: frozenset[str] | None) -> bool:
    """Whether anything that matters to the wanted names may differ between ranks; most functions have nothing."""
    for statement, bound, reads in reading.rows:
        followed = wanted is None or not wanted.isdisjoint(bound)
        for names, asked in reads:
            if (followed or wanted is None or not wanted.isdisjoint(names)) and any(
                map(found.sources, asked)
            ):
                return True
        if isinstance(statement, ir.Try) and any(found.caught(statement, h) for h in statement.handlers):
            return True
    return False

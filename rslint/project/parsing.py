"""Parses untrusted source: every way in which Python's parser can refuse a text becomes one SyntaxError."""

from __future__ import annotations

import ast
import gc
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_NEWER = (
    "only supported in Python",
    "f-string: expecting '}'",
    "f-string expression part cannot include",
    "f-string: unmatched",
    "expected 'except' or 'finally' block",
)


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Syntax trees hold no cycles, and looking for some costs more than a third of parsing them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse(text: str) -> ast.Module:
    """The module's tree.

    Raises SyntaxError alone: a NUL byte or a lone surrogate (ValueError) and nesting beyond the parser's
    limits (RecursionError, MemoryError) are turned into one, with the row where it is known, else row 1.
    """
    if "\0" in text:
        raise SyntaxError("source code cannot contain null bytes", ("<source>", *_place_of_nul(text), ""))
    try:
        with warnings.catch_warnings(), without_cycle_collection():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError:
        raise
    except (RecursionError, MemoryError):
        raise SyntaxError("nested too deeply for Python's parser", ("<source>", 1, 1, "")) from None
    except ValueError as error:
        raise SyntaxError(str(error), ("<source>", 1, 1, "")) from None


def _place_of_nul(text: str) -> tuple[int, int]:
    before = text.partition("\0")[0]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def syntax_problem(text: str) -> tuple[int, int, str] | None:
    """(row, column from 1, reason) why the text cannot be parsed, or None when it can."""
    try:
        parse(text)
    except SyntaxError as error:
        return problem_of(error)
    return None


def problem_of(error: SyntaxError) -> tuple[int, int, str]:
    """(row, column from 1, one-line reason) of what `parse` raised; says so when a newer Python may be
    needed."""
    reason = (error.msg or "invalid syntax").splitlines()[0]
    if any(hint in reason for hint in _NEWER):
        running = ".".join(map(str, sys.version_info[:2]))
        reason += f" (parsed with Python {running}; the file may need a newer one)"
    return max(error.lineno or 1, 1), max(error.offset or 1, 1), reason

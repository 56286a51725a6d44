"""Apply edits to the text of one file, and give the text its bytes back.

The rules are ruff's (crates/ruff_diagnostics/src/fix.rs): the edits of a fix apply all or none, fixes that
overlap exclude each other, identical edits count once.
"""

from __future__ import annotations

import ast
import codecs
import itertools
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rslint.finding import Edit, Fix, Place

if TYPE_CHECKING:
    from rslint.project.source import Source

_LINE_END = re.compile(r"\r\n|\r|\n")


def line_starts(text: str) -> tuple[int, ...]:
    """Offsets at which rows start. Rows end at LF, CR LF or CR only, as in Python's tokenizer."""
    return (0, *(match.end() for match in _LINE_END.finditer(text)))


def _offset(starts: Sequence[int], length: int, row: int, column: int) -> int:
    if not 1 <= row <= len(starts) or column < 1:
        raise ValueError(f"row {row}, column {column} is outside the text")
    offset = starts[row - 1] + column - 1
    if offset > length or (row < len(starts) and offset >= starts[row]):
        raise ValueError(f"row {row}, column {column} is outside the text")
    return offset


def edit_range(starts: Sequence[int], length: int, place: Place) -> tuple[int, int]:
    """The half-open range of characters that `place` names; ValueError when the text has no such place."""
    start = _offset(starts, length, place.row, place.column)
    end = _offset(starts, length, place.end_row, place.end_column)
    if end < start:
        raise ValueError(f"row {place.row}, column {place.column} lies behind its end")
    return start, end


_Replacement = tuple[int, int, str]


def _replacements(
    starts: Sequence[int], length: int, edits: Iterable[Edit]
) -> tuple[_Replacement, ...] | None:
    """The distinct replacements of one fix, in order; None if it touches itself or leaves the text."""
    try:
        found = sorted({(*edit_range(starts, length, edit.place), edit.content) for edit in edits})
    except ValueError:
        return None
    if not found or any(after[0] <= before[1] for before, after in itertools.pairwise(found)):
        return None
    return tuple(found)


def _conflicts(taken: Iterable[_Replacement], wanted: Iterable[_Replacement]) -> bool:
    """Ranges that only touch conflict too: the order of their contents would be a matter of chance."""
    settled = tuple(taken)
    return any(
        one != other and one[0] <= other[1] and other[0] <= one[1] for one in wanted for other in settled
    )


def apply_fixes(source: Source, fixes: Sequence[Fix]) -> tuple[str, tuple[Fix, ...]]:
    """The text with as many of `fixes` as fit together, and those fixes in the order they were taken.

    Fixes are taken from the top of the file; one that overlaps or touches an earlier one, or names a place
    the text does not have, is left out whole. Identical edits of several fixes (an import both need) apply
    once.
    """
    starts, length = line_starts(source.text), len(source.text)
    planned = [(found, fix) for fix in fixes if (found := _replacements(starts, length, fix.edits))]
    planned.sort(key=lambda pair: pair[0])
    taken: set[_Replacement] = set()
    applied: list[Fix] = []
    for wanted, fix in planned:
        if not _conflicts(taken, wanted):
            taken.update(wanted)
            applied.append(fix)
    pieces: list[str] = []
    position = 0
    for start, end, content in sorted(taken):
        pieces += (source.text[position:start], content)
        position = end
    pieces.append(source.text[position:])
    return "".join(pieces), tuple(applied)


def encode_like(source: Source, text: str) -> bytes:
    """`text` in the encoding of `source`, with its byte order mark if it has one.

    Raises ValueError when decoding and encoding do not give the source's own bytes back, for then bytes
    outside an edit could change, and UnicodeEncodeError (a ValueError) when the encoding lacks a character.
    """
    mark = codecs.BOM_UTF8 if source.data.startswith(codecs.BOM_UTF8) else b""
    encoding = "utf-8" if mark else source.encoding

    def encoded(content: str) -> bytes:
        return mark + (content[1:] if mark and content.startswith("\ufeff") else content).encode(encoding)

    if encoded(source.text) != source.data:
        raise ValueError(f"{source.encoding} does not give the same bytes back")
    return encoded(text)


def parses(data: bytes) -> bool:
    """Whether Python reads these bytes as a module."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True

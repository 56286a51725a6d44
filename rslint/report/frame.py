"""Draws a code frame: the rows around a place, with carets under it."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.finding import Place
from rslint.project.source import Source

_CONTEXT = 2
_LONGEST_FRAME = 8
_TAB = 4
_CUT = 160


def frame(source: Source, place: Place, context: int = _CONTEXT) -> Iterator[str]:
    """Rows as `12 | text`, carets on a row of their own below each row of the place; long places are cut."""
    last = min(place.end_row, len(source.rows), place.row + _LONGEST_FRAME)
    first_shown = max(1, place.row - context)
    last_shown = min(len(source.rows), last + context)
    width = len(str(last_shown))
    for row in range(first_shown, last_shown + 1):
        text = source.rows[row - 1]
        yield f"{row:>{width}} | {_expanded(text)}".rstrip()
        if place.row <= row <= last:
            carets = _carets(text, row, place)
            if carets:
                yield f"{'':>{width}} | {carets}"


def _carets(text: str, row: int, place: Place) -> str:
    indent = len(text) - len(text.lstrip())
    start = place.column - 1 if row == place.row else indent
    end = place.end_column - 1 if row == place.end_row else len(text.rstrip())
    start = min(start, len(text))
    if row != place.row and end <= start:
        return ""
    before, marked = (cell_width(_expanded(part)) for part in (text[:start], text[: max(end, start)]))
    return " " * before + "^" * max(1, marked - before)


def _expanded(text: str) -> str:
    printable = "".join(
        character if character.isprintable() or character == "\t" else "�" for character in text
    )
    return printable.expandtabs(_TAB)[:_CUT]


def cell_width(text: str) -> int:
    """Columns of a terminal that the text takes: wide East Asian characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)

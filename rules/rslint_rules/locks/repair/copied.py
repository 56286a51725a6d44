"""The repair of RS208: every loop over the container, in this file, goes over a copy."""

from __future__ import annotations

import ast

from rslint.finding import Applicability, Edit, Fix, Place
from rslint.locks.suspects import ALSO
from rslint.rule import FixRequest

_MESSAGE = "iterate over a copy: it is taken at once, and no change in between can end the loop"


def copied(request: FixRequest) -> Fix | None:
    """`for x in d.values():` becomes `for x in list(d.values()):`; None where a place is not a plain expression on one
    line, or stands in another file."""
    finding = request.finding
    places = [finding.place, *(one.place for one in finding.related if one.message.startswith(ALSO))]
    edits = [_edit(request.source.rows, place) for place in places]
    if any(place.filename != finding.place.filename for place in places):
        return None
    whole = tuple(edit for edit in edits if edit is not None)
    return Fix(Applicability.UNSAFE, _MESSAGE, whole) if len(whole) == len(places) else None


def _edit(rows: tuple[str, ...], place: Place) -> Edit | None:
    if place.row != place.end_row or place.row > len(rows):
        return None
    text = rows[place.row - 1][place.column - 1 : place.end_column - 1]
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    return Edit(place, f"list({text})")

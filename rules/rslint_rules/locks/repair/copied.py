"""The repair of RS208: the loop goes over a copy, taken under the lock where a thread's lock guards the container."""

from __future__ import annotations

import ast

from rslint.finding import Applicability, Edit, Fix, Place
from rslint.rule import FixRequest

_MESSAGE = "iterate over a copy: it is taken at once, and no change in between can end the loop"


def copied(request: FixRequest) -> Fix | None:
    """`for x in d.values():` becomes `for x in list(d.values()):`; None where the place has another form."""
    place = request.finding.place
    rows = request.source.rows
    if place.row != place.end_row:
        return None
    text = rows[place.row - 1][place.column - 1 : place.end_column - 1]
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    opened = Edit(
        Place(place.filename, place.row, place.column, place.row, place.end_column), f"list({text})"
    )
    return Fix(Applicability.UNSAFE, _MESSAGE, (opened,))

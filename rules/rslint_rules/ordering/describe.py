"""Rings in words: places, accesses as their source spells them, and the findings that the fence rules share."""

from __future__ import annotations

from rslint.finding import Confidence, Finding, Related, Severity, Step
from rslint.flow.analysis import Analysis
from rslint.flow.forest import Site
from rslint.ordering.events import Access
from rslint.ordering.orders import MissingOrder
from rslint.ordering.rings import Ring
from rslint_rules.places import place, qualified_name

_LONGEST = 60
_CODES = {"publish": "RS401", "consume": "RS402", "acknowledge": "RS404", "rearm": "RS401"}


def text(analysis: Analysis, site: Site) -> str:
    """The source at a site, on one line."""
    where = place(analysis, site)
    lines = analysis.links.source(site.function).text.splitlines()[where.row - 1 : where.end_row]
    if len(lines) == 1:
        written = lines[0][where.column - 1 : where.end_column - 1]
    else:
        written = " ".join([lines[0][where.column - 1 :].strip(), *(line.strip() for line in lines[1:])])
    return written if len(written) <= _LONGEST else written[: _LONGEST - 1] + "…"


def quoted(analysis: Analysis, access: Access) -> str:
    """An access with its line: "`buffer[0]` on line 3"."""
    return f"`{text(analysis, access.site)}` on line {place(analysis, access.site).row}"


def code_of(ring: Ring) -> str:
    """The rule that reports a ring: that of the first order that is missing."""
    return _CODES[ring.main.kind]


def finding(
    analysis: Analysis, ring: Ring, *, name: str, message: str, suggestion: str, early: str, late: str
) -> Finding:
    """The finding of a ring: at the access that may come too early, with the other missing orders as related places.
    `early` and `late` say in the trace what the two accesses are."""
    main = ring.main
    return Finding(
        code=code_of(ring),
        name=name,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM if ring.owner.endswith(":") else Confidence.HIGH,
        message=message,
        place=place(analysis, main.late.site),
        function=qualified_name(main.late.site.function),
        noqa_rows=(main.late.statement.row, main.late.site.end_row),
        related=tuple(related(analysis, order) for order in ring.orders[1:] if is_shown(order, main)),
        trace=(
            Step("some ranks", place(analysis, main.early.site), early),
            Step("some ranks", place(analysis, main.late.site), late),
            Step("others", place(analysis, main.because.site), "relies on the order"),
        ),
        suggestion=suggestion,
        preview=main.kind == "rearm",
    )


def is_shown(order: MissingOrder, main: MissingOrder) -> bool:
    """Flags that are taken back out of order are no finding by default, but belong to one in the same function."""
    return order.kind != "rearm" or order.late.site.function == main.late.site.function


def related(analysis: Analysis, order: MissingOrder) -> Related:
    """Another order of the same ring that is missing."""
    what = {
        "publish": "is published with no fence before it",
        "consume": "is read with no fence after the flag",
        "acknowledge": "acknowledges with no fence after the payload was read",
        "rearm": "is taken back with no fence between it and the other stores",
    }[order.kind]
    return Related(place(analysis, order.late.site), f"{_CODES[order.kind]}: {what}")

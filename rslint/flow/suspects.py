"""What the rank-divergence analysis hands to rules: places where ranks may part, with all the evidence."""

from __future__ import annotations

import msgspec

from rslint.flow.forest import Operation, Site
from rslint.flow.record import Reason, Source
from rslint.flow.survival import Survival


class Suspect(msgspec.Struct, frozen=True):
    """One place where ranks may part.

    `kind`: "exception" (a call raises on some ranks, the others go on to `collective`), "handler" (the handler runs a
    collective that ranks without the exception do not), "branch" and "exit" (a condition differs between ranks; an
    exit's short arm leaves the function, loop or block), "override" (an agreed value is overwritten on some ranks).
    `here` is what the diverging ranks execute from there on, `others` what their peers do. `reasons` are strongest
    first, each with the call it comes out of; `sources` are why the condition differs. `leader_only` tells that only
    ranks chosen by a rank test execute the place; `expected` that a handler around it catches input/output errors and
    leaves.
    """

    kind: str
    function: str
    site: Site
    statement: Site
    text: str
    here: tuple[Operation, ...]
    others: tuple[Operation, ...]
    collective: Operation | None
    sources: tuple[Source, ...] = ()
    reasons: tuple[tuple[Reason, Site], ...] = ()
    survival: Survival | None = None
    leader_only: bool = False
    expected: bool = False
    sibling: Site | None = None

"""The attributes of a class that hold segments, and what is said of a removal of one."""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.project import ir
from rslint.segments.arguments import CREATE
from rslint.segments.handling import aliases
from rslint.segments.openings import Opening, Openings


@dataclass(frozen=True)
class Removal:
    """One removal that is not its process's to make.

    `kind`: "anybody" (whoever runs this removes, the maker and those that attach), "attached" (only attached, and the
    maker removes as well), "half-built" (a destructor uses what a failed constructor never set) or "armed" (it may
    raise before the second removal at exit is called off). `opened` is where the segment is attached or made.
    """

    kind: str
    function: str
    site: Site
    text: str
    opened: Site


@dataclass(frozen=True)
class Handle:
    """An attribute that holds segments, with the methods and calls that open them."""

    holder: str
    opened: tuple[tuple[str, Opening], ...]

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(opening.kind for _, opening in self.opened)


def handles_of(k: Knowledge, class_id: str, openings: Openings) -> list[Handle]:
    """The attributes of a class that its methods open segments into; descriptors are left out."""
    found: dict[str, list[tuple[str, Opening]]] = {}
    for _, method in k.links.class_facts(class_id).methods:
        function = k.links.ir(method)
        for opening in openings.get(method, ()):
            if opening.by_name or not opening.holders:
                continue
            for holder in sorted(aliases(function, opening.holders)):
                if holder.startswith("self.") and holder.count(".") == 1:
                    found.setdefault(holder, []).append((method, opening))
    return [Handle(holder, tuple(opened)) for holder, opened in sorted(found.items())]


def removal_in(kind: str, k: Knowledge, method: str, call: ir.Node, handle: Handle) -> Removal:
    """A removal in a method, with the place where the handle is attached, else where it is made."""
    where, opening = next((one for one in handle.opened if one[1].kind != CREATE), handle.opened[0])
    return Removal(kind, method, site_of(method, call), handle.holder, site_of(where, opening.call))

"""What the rules of RS4 ask: the rings of a project whose orders are missing, and its wrong protocols."""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.analysis import Analysis
from rslint.flow.knowledge import Knowledge
from rslint.ordering.bindings import Buffers
from rslint.ordering.evidence import gather
from rslint.ordering.flow import Flows
from rslint.ordering.orders import MissingOrder, missing_orders
from rslint.ordering.protocol import EarlyFlag, UncheckedCopy, early_flags, unchecked_copies
from rslint.ordering.scope import functions_in_scope

_FIRST = ("publish", "consume", "acknowledge", "rearm")


@dataclass(frozen=True)
class Ring:
    """The memory that one class (or the functions of one module) keeps, as far as one file orders it: `orders` are
    those that are missing, that of the finding first."""

    owner: str
    orders: tuple[MissingOrder, ...]

    @property
    def main(self) -> MissingOrder:
        return self.orders[0]


@dataclass(frozen=True)
class Ordering:
    """The suspects of RS4: one ring per owner and file; flags stored too early; copies that are not checked, by
    counter."""

    rings: tuple[Ring, ...] = ()
    early: tuple[EarlyFlag, ...] = ()
    unchecked: tuple[tuple[UncheckedCopy, ...], ...] = ()


def ordering_of(analysis: Analysis) -> Ordering:
    """The suspects of a project, computed when the first rule of the family asks."""
    return analysis.once("ordering", lambda: find_ordering(analysis.knowledge))


def find_ordering(k: Knowledge) -> Ordering:
    b = Buffers(k)
    scope = functions_in_scope(b)
    if not scope:
        return Ordering()
    f = Flows(b, frozenset(scope))
    evidence = gather(f, scope)
    return Ordering(
        _rings(missing_orders(f, evidence)),
        early_flags(f, evidence),
        _by_counter(unchecked_copies(f, evidence)),
    )


def _rings(orders: tuple[MissingOrder, ...]) -> tuple[Ring, ...]:
    groups: dict[tuple[str, str], list[MissingOrder]] = {}
    for order in orders:
        module = order.late.site.function.partition(":")[0]
        groups.setdefault((module, order.flag.view.owner), []).append(order)
    return tuple(
        Ring(owner, tuple(sorted(found, key=_precedence))) for (_, owner), found in sorted(groups.items())
    )


def _precedence(order: MissingOrder) -> tuple[int, str, int, int]:
    site = order.late.site
    return (_FIRST.index(order.kind), site.function, site.row, site.column)


def _by_counter(copies: tuple[UncheckedCopy, ...]) -> tuple[tuple[UncheckedCopy, ...], ...]:
    groups: dict[tuple[str, str, str], list[UncheckedCopy]] = {}
    for copy in copies:
        view = copy.flag.view
        groups.setdefault((copy.function.partition(":")[0], view.owner, view.segment), []).append(copy)
    return tuple(
        tuple(sorted(found, key=lambda copy: (copy.payload.site.row, copy.payload.site.column)))
        for _, found in sorted(groups.items())
    )

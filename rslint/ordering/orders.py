"""The orders that a program relies on and does not enforce: no fence between two accesses of which one tells others
of the other.

The three orders of a ring in shared memory, after Arm's memory model: a store is not ordered after an earlier store,
nor a load after an earlier load on whose value only a branch depends, nor a store after an earlier load. x86 keeps all
three.

Sources: Arm Architecture Reference Manual for A-profile, B2.3; Alglave, Deacon, Grisenthwaite, Hacquard, Maranget,
"Armed Cats", TOPLAS 43(2), 2021; Sewell et al., "x86-TSO", CACM 53(7), 2010.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.ordering.events import Access, Fence
from rslint.ordering.evidence import Evidence, Pair, is_payload, same_place
from rslint.ordering.exclusion import always_held
from rslint.ordering.flow import HELD, OPEN, Fact, Flows, advance, flow_of


@dataclass(frozen=True)
class MissingOrder:
    """No fence stands between `early` and `late` on some path of `function`; `because` is the access on the other
    side that relies on the order. `kind`: "publish", "consume", "acknowledge", or "rearm" where a flag that is taken
    back is one of the two."""

    kind: str
    function: str
    early: Access
    late: Access
    because: Access

    @property
    def flag(self) -> Access:
        """The flag that the order is about: what is stored to publish or acknowledge, or what was looked at."""
        return self.early if self.kind == "consume" else self.late


def missing_orders(f: Flows, evidence: Evidence) -> tuple[MissingOrder, ...]:
    """Each order that is missing once, at the access before which the fence belongs."""
    found: dict[tuple[str, object], MissingOrder] = {}
    for order in (
        *_published(f, evidence),
        *_consumed(f, evidence),
        *_acknowledged(f, evidence),
        *_rearmed(f, evidence),
    ):
        key = (order.kind, order.late.site)
        if key not in found or _rank(order) < _rank(found[key]):
            found[key] = order
    return tuple(found.values())


def _rank(order: MissingOrder) -> tuple[bool, bool, str, int, int]:
    """An explanation inside one function before one across a call; the flag that the other side stores before others,
    a payload of many bytes before a single cell."""
    early, late = order.early, order.late
    away = early.site.function != late.site.function
    other = early.cell != (order.because.cell if order.kind == "consume" else None)
    return (away, other, early.site.function, early.site.row, early.site.column)


def _published(f: Flows, evidence: Evidence) -> Iterator[MissingOrder]:
    for pair in evidence.published:
        reader = _reader_of(evidence, pair.flag, pair.payload)
        if reader is not None and _is_open(f, pair, pair.payload, pair.flag):
            yield MissingOrder("publish", pair.function, pair.payload, pair.flag, reader.payload)


def _reader_of(evidence: Evidence, flag: Access, payload: Access) -> Pair | None:
    """Who reads the payload because this flag allowed it."""
    if evidence.carries(flag):
        return None
    readers = (pair for pair in evidence.consumed if not pair.nested and same_place(pair.flag, flag))
    return next((pair for pair in readers if same_place(pair.payload, payload)), None)


def _consumed(f: Flows, evidence: Evidence) -> Iterator[MissingOrder]:
    for pair in evidence.consumed:
        writer = None if pair.nested else _writer_of(evidence, pair.flag, pair.payload)
        if writer is not None and _is_open(f, pair, pair.flag, pair.payload):
            yield MissingOrder("consume", pair.function, pair.flag, pair.payload, writer.flag)


def _writer_of(evidence: Evidence, flag: Access, payload: Access) -> Pair | None:
    """Who writes the payload and then this flag; a flag spelled alike before others."""
    if evidence.carries(flag):
        return None
    writers = [
        pair
        for pair in evidence.published
        if same_place(pair.flag, flag) and same_place(pair.payload, payload)
    ]
    alike = (pair for pair in writers if pair.flag.cell == flag.cell)
    return next(alike, next(iter(writers), None))


def _acknowledged(f: Flows, evidence: Evidence) -> Iterator[MissingOrder]:
    payloads: dict[str, set[object]] = {}
    for pair in evidence.consumed:
        payloads.setdefault(pair.function, set()).add(pair.payload.site)
    for function, sites in sorted(payloads.items()):
        flow = flow_of(f, function)
        for node in flow.cfg.nodes:
            facts = set(flow.before[node.index])
            for step in flow.steps[node.index]:
                if isinstance(step, Access) and step.kind == "store" and step.cell is not None:
                    writer = next((w for w in evidence.awaited if same_place(w.flag, step)), None)
                    if writer is not None and HELD not in facts and not always_held(f, function):
                        for fact in facts:
                            early = fact.access
                            if fact.tag == OPEN and early and early.site in sites and is_payload(early, step):
                                yield MissingOrder("acknowledge", function, early, step, writer.payload)
                advance(facts, step)


def _rearmed(f: Flows, evidence: Evidence) -> Iterator[MissingOrder]:
    """Flags that a writer takes back so that readers may come again: readers who look at several flags trust each of
    them. A read flag that is 0 again lets a reader in that still sees the written flag of the round before; and one
    that is set back after the written flag undoes the first acknowledgement."""
    for pair in evidence.rearmed:
        reader = _reader_of(evidence, pair.flag, pair.payload)
        if reader is not None and _is_open(f, pair, pair.payload, pair.flag):
            yield MissingOrder("rearm", pair.function, pair.payload, pair.flag, reader.payload)
    taken_back = {pair.flag: pair for pair in evidence.rearmed}
    for pair in evidence.published:
        for back in taken_back.values():
            if back.function != pair.function or (
                same_place(back.flag, pair.flag) and back.flag.cell == pair.flag.cell
            ):
                continue
            reader = _reader_of(evidence, back.flag, pair.payload)
            if reader is not None and _is_open(f, pair, back.flag, pair.flag):
                yield MissingOrder("rearm", pair.function, back.flag, pair.flag, reader.flag)


def _is_open(f: Flows, pair: Pair, early: Access, late: Access) -> bool:
    """Whether `early` may have been executed with no fence behind it when `late` is."""
    flow = flow_of(f, pair.function)
    facts = set(flow.before[pair.node])
    for step in flow.steps[pair.node]:
        if step == late and HELD not in facts and not always_held(f, pair.function):
            open_ = any(fact.tag == OPEN and fact.access and fact.access.site == early.site for fact in facts)
            if open_ and _belong_together(pair.function, early, late, facts):
                return True
        if isinstance(step, Fence) or early.kind != "load":
            # A flag that is loaded again with the payload is at least as new as the load that was tested.
            advance(facts, step)
    return False


def _belong_together(function: str, early: Access, late: Access, facts: set[Fact]) -> bool:
    """Whether two accesses are of one protocol: one of them stands in the function itself, or the callee that makes
    the later one only stores. A callee that looks at flags itself has a protocol of its own, maybe on other memory."""
    if function in (early.site.function, late.site.function):
        return True
    return early.site.function != late.site.function and not any(
        fact.access is not None
        and fact.access.kind == "load"
        and fact.access.site.function == late.site.function
        for fact in facts
    )

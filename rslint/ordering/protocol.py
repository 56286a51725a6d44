"""Protocols that are wrong on every CPU: a flag stored before its payload, a counted payload that is read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.ordering.events import CONSTANT, INCREMENT, OTHER, ZERO, Access
from rslint.ordering.evidence import Evidence, Pair, is_publication, same_place
from rslint.ordering.exclusion import always_held
from rslint.ordering.flow import DONE, HELD, Fact, Flow, Flows, advance, flow_of


@dataclass(frozen=True)
class EarlyFlag:
    """`function` stores `flag` and then `payload`, which a reader takes once it has seen the flag (`reader`)."""

    function: str
    flag: Access
    payload: Access
    reader: Access


@dataclass(frozen=True)
class UncheckedCopy:
    """`function` reads `payload` because the counter `flag` allowed it, and never looks at the counter again; the
    writer (`writer`) waits for nobody."""

    function: str
    flag: Access
    payload: Access
    writer: Access


def early_flags(f: Flows, evidence: Evidence) -> tuple[EarlyFlag, ...]:
    """One for each store of a flag that comes too early."""
    found: dict[object, EarlyFlag] = {}
    for function in sorted({pair.function for pair in evidence.published} | set(evidence.storing)):
        flow = flow_of(f, function)
        before = _facts_at(flow)
        for early in _followed_by_payload(f, function, flow, before, evidence):
            found.setdefault(early.flag.site, early)
    return tuple(found.values())


def _facts_at(flow: Flow) -> dict[Access, frozenset[Fact]]:
    """The facts before every access."""
    found: dict[Access, frozenset[Fact]] = {}
    for node in flow.cfg.nodes:
        facts = set(flow.before[node.index])
        for step in flow.steps[node.index]:
            if isinstance(step, Access):
                found[step] = found.get(step, frozenset()) | facts
            advance(facts, step)
    return found


def _followed_by_payload(
    f: Flows, function: str, flow: Flow, before: dict[Access, frozenset[Fact]], evidence: Evidence
) -> Iterator[EarlyFlag]:
    for payload, facts in before.items():
        if payload.kind != "store" or payload.value == INCREMENT or HELD in facts or always_held(f, function):
            continue
        for fact in sorted(facts, key=str):
            flag = fact.access
            if fact.tag != DONE or flag is None or not is_publication(flag) or flag.value == INCREMENT:
                continue
            if function not in (flag.site.function, payload.site.function):
                continue
            if payload.view == flag.view and payload.cell is not None:
                continue
            reader = _who_reads(evidence, flag, payload)
            if reader is None or _takes_turns(before.get(flag, frozenset()), flag, payload):
                continue
            if not _told_again(before, evidence, flag, payload):
                yield EarlyFlag(function, flag, payload, reader.payload)


def _who_reads(evidence: Evidence, flag: Access, payload: Access) -> Pair | None:
    for pair in evidence.consumed:
        if pair.flag.cell == flag.cell and same_place(pair.flag, flag) and same_place(pair.payload, payload):
            return pair
    return None


def _takes_turns(facts: frozenset[Fact], flag: Access, payload: Access) -> bool:
    """Whether the writer has looked at a flag, taken one back or counted before, or has written the payload already:
    then readers know that a message is under way."""
    for fact in facts:
        access = fact.access
        if fact.tag != DONE or access is None or access.view.owner != flag.view.owner:
            continue
        if same_place(access, payload) and access.kind == "store":
            return True
        if access.cell is not None and (access.kind == "load" or access.value in (ZERO, INCREMENT)):
            return True
    return False


def _told_again(
    before: dict[Access, frozenset[Fact]], evidence: Evidence, flag: Access, payload: Access
) -> bool:
    """Whether a flag that readers of the payload wait for is stored behind it."""
    for later, facts in before.items():
        if not is_publication(later) or later.value not in (CONSTANT, OTHER) or later.site == flag.site:
            continue
        if Fact(DONE, payload) in facts and _who_reads(evidence, later, payload) is not None:
            return True
    return False


def unchecked_copies(f: Flows, evidence: Evidence) -> tuple[UncheckedCopy, ...]:
    """One for each function that copies what a counter announces and trusts the copy."""
    found: dict[str, UncheckedCopy] = {}
    for pair in evidence.consumed:
        if pair.function in found or pair.payload.kind != "load" or pair.payload.cell is not None:
            continue
        stores = [one for one in evidence.stored if same_place(one, pair.flag) and one.value != ZERO]
        counted = bool(stores) and all(store.value == INCREMENT for store in stores)
        writers = [
            other
            for other in evidence.published
            if same_place(other.flag, pair.flag) and same_place(other.payload, pair.payload)
        ]
        if not counted or not writers or _is_awaited(evidence, pair.payload):
            continue
        if always_held(f, pair.function) or _looks_again(flow_of(f, pair.function), pair):
            continue
        found[pair.function] = UncheckedCopy(pair.function, pair.flag, pair.payload, writers[0].payload)
    return tuple(found.values())


def _is_awaited(evidence: Evidence, payload: Access) -> bool:
    """Whether the writer of a payload waits for a flag that its readers store when they are done."""
    return any(
        same_place(waiting.payload, payload) and same_place(done.payload, payload)
        for waiting in evidence.awaited
        for done in evidence.acknowledged
        if same_place(waiting.flag, done.flag)
    )


def _looks_again(flow: Flow, pair: Pair) -> bool:
    """Whether every way from the copy to the end of the function loads the counter again, or no other process can
    be inside."""
    steps = flow.steps[pair.node]
    if HELD in flow.before[pair.node]:
        return True
    position = steps.index(pair.payload)
    if any(_is_load_of(step, pair.flag) for step in steps[position + 1 :]):
        return True
    seen: set[int] = set()
    stack = [edge.target for edge in flow.cfg.nodes[pair.node].successors if edge.kind != "exception"]
    while stack:
        index = stack.pop()
        if index == flow.cfg.exit:
            return False
        if index in seen or any(_is_load_of(step, pair.flag) for step in flow.steps[index]):
            continue
        seen.add(index)
        stack += [edge.target for edge in flow.cfg.nodes[index].successors if edge.kind != "exception"]
    return True


def _is_load_of(step: object, flag: Access) -> bool:
    return (
        isinstance(step, Access) and step.kind == "load" and step.cell is not None and same_place(step, flag)
    )

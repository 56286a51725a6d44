"""What SC, x86-TSO and Arm say about the order of accesses to different locations: the edges that may form no cycle.

- "sc": every thread's order (Lamport, "How to Make a Multiprocessor Computer That Correctly Executes Multiprocess
  Programs", IEEE Transactions on Computers, 1979).
- "x86": every thread's order but from a store to a later load (Sewell, Sarkar, Owens, Zappa Nardelli, Myreen,
  "x86-TSO", CACM 2010; as axioms in herd's x86tso.cat). Exchanges are locked instructions.
- "arm": dependencies, acquire and release, barriers (Pulte, Flur, Deacon, French, Sarkar, Sewell, "Simplifying ARM
  Concurrency", POPL 2018, and herd's aarch64.cat; Arm Architecture Reference Manual for A-profile, B2.3). Exchanges are
  pairs of exclusive load and store, which is what the weakest of these CPUs has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rslint_runtime.testing.litmus_events import Event
from rslint_runtime.testing.litmus_executions import INITIAL, Execution

__all__ = ["MODELS", "Edge", "edges_of"]

Edge = tuple[int, int, str]
"""From event, to event, and why the first is before the second."""


def edges_of(execution: Execution, model: str) -> Iterator[Edge]:
    """Every edge that the model demands of this execution; it may happen if they form no cycle."""
    yield from _between_threads(execution, inside=model == "sc")
    threads = {one.thread for one in execution.events}
    for thread in sorted(threads):
        own = [one for one in execution.events if one.thread == thread]
        yield from MODELS[model](own, execution)


def _between_threads(execution: Execution, inside: bool) -> Iterator[Edge]:
    """Who reads from whom, which store comes later, which store a load came too early for."""
    threads = [one.thread for one in execution.events]
    for load, store in execution.reads_from.items():
        order = execution.stores[execution.events[load].place]
        if store != INITIAL and (inside or threads[load] != threads[store]):
            yield store, load, "is read by"
        for later in order[0 if store == INITIAL else order.index(store) + 1 :]:
            if later != execution.events[load].pair and (inside or threads[load] != threads[later]):
                yield load, later, "reads before"
    for order in execution.stores.values():
        for position, store in enumerate(order):
            for later in order[position + 1 :]:
                if inside or threads[store] != threads[later]:
                    yield store, later, "is overwritten by"


def _sc(own: list[Event], execution: Execution) -> Iterator[Edge]:
    accesses = [one for one in own if one.kind != "F"]
    for position, one in enumerate(accesses):
        for later in accesses[position + 1 :]:
            yield one.number, later.number, "program order"


def _x86(own: list[Event], execution: Execution) -> Iterator[Edge]:
    for position, one in enumerate(own):
        fenced = False
        for later in own[position + 1 :]:
            fenced = fenced or later.order == "fence"
            if "F" in (one.kind, later.kind):
                continue
            if one.kind == "R" or later.kind == "W":
                yield one.number, later.number, "program order"
            elif fenced:
                yield one.number, later.number, "fence"
            elif one.pair is not None or later.pair is not None:
                yield one.number, later.number, "locked instruction"


def _arm(own: list[Event], execution: Execution) -> Iterator[Edge]:
    yield from _arm_dependencies(own, execution)
    yield from _arm_barriers(own)
    for one in own:
        if one.kind == "R" and one.pair is not None:
            yield one.number, one.pair, "exchange"
        if one.kind == "R" and one.order == "acquire":
            source = execution.reads_from[one.number]
            if (
                source != INITIAL
                and execution.events[source].pair is not None
                and _inside(execution, source, one)
            ):
                yield source, one.number, "acquires the thread's own exchange"


def _arm_dependencies(own: list[Event], execution: Execution) -> Iterator[Edge]:
    for position, one in enumerate(own):
        for load in one.address:
            yield load, one.number, "address"
            for later in own[position + 1 :]:
                if later.kind == "W":
                    yield load, later.number, "address of an access before"
        for load in one.data:
            yield load, one.number, "data"
        if one.kind == "W":
            for load in one.control:
                yield load, one.number, "control"
        elif one.kind == "R":
            source = execution.reads_from[one.number]
            if source != INITIAL and _inside(execution, source, one):
                for load in (*execution.events[source].address, *execution.events[source].data):
                    yield load, one.number, "through the thread's own store"
    yield from _arm_instruction_barriers(own)


def _arm_instruction_barriers(own: list[Event]) -> Iterator[Edge]:
    for position, barrier in enumerate(own):
        if barrier.order != "isb" or barrier.kind != "F":
            continue
        before = {*barrier.control, *(load for one in own[:position] for load in one.address)}
        for later in own[position + 1 :]:
            if later.kind == "R":
                for load in sorted(before):
                    yield load, later.number, "instruction barrier"


def _arm_barriers(own: list[Event]) -> Iterator[Edge]:
    for position, one in enumerate(own):
        passed: set[str] = set()
        for later in own[position + 1 :]:
            if later.kind == "F":
                passed.add(later.order)
            elif one.kind != "F" and (reason := _arm_ordered(one, later, passed)):
                yield one.number, later.number, reason


def _arm_ordered(one: Event, later: Event, passed: set[str]) -> str:
    if "fence" in passed:
        return "fence"
    if "fence.load" in passed and one.kind == "R":
        return "fence.load"
    if "fence.store" in passed and one.kind == later.kind == "W":
        return "fence.store"
    if one.kind == "R" and one.order == "acquire":
        return "acquire"
    if later.kind == "W" and later.order == "release":
        return "release"
    if one.order == "release" and later.order == "acquire":
        return "release, then acquire"
    return ""


def _inside(execution: Execution, source: int, one: Event) -> bool:
    return execution.events[source].thread == one.thread


MODELS: dict[str, Callable[[list[Event], Execution], Iterator[Edge]]] = {"sc": _sc, "x86": _x86, "arm": _arm}

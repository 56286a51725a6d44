"""All ways in which a litmus test may run as far as single locations go: who reads from whom, which store comes last.

A candidate chooses for every load the store it reads from, and for every location an order of its stores. Only those
are made in which each location by itself behaves (loads and stores of one location are as if they took place one after
the other, in each thread's order), nothing comes between the two halves of an exchange, and no value is its own cause:
all models demand that. What they say about different locations is in `litmus_models`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rslint_runtime.testing.litmus_events import Event
from rslint_runtime.testing.litmus_program import LitmusError

__all__ = ["INITIAL", "MOST_ORDERS", "Execution", "candidates"]

MOST_ORDERS = 100_000
"""Of the stores to one location; a test of several locations is looked at in their product."""

INITIAL = -1
"""Stands for the store that gave a location its first value."""


@dataclass(frozen=True)
class Execution:
    """`reads_from`: the store of each load (or INITIAL); `stores`: the stores of each location in their order;
    `values`: what each load and store carries."""

    events: tuple[Event, ...]
    reads_from: dict[int, int]
    stores: dict[str, tuple[int, ...]]
    values: dict[int, int]
    initial: dict[str, int]

    def final(self, name: str) -> int:
        """The last value of a location, or what a register was filled with."""
        if name in self.stores:
            order = self.stores[name]
            return self.values[order[-1]] if order else self.initial.get(name, 0)
        return next(self.values[one.number] for one in self.events if one.register == name)


def candidates(events: tuple[Event, ...], initial: dict[str, int]) -> Iterator[Execution]:
    """Every execution in which each location by itself behaves. Raises LitmusError when they are too many."""
    places = sorted({one.place for one in events if one.place})
    for place in places:
        if (orders := _count_of_orders(events, place)) > MOST_ORDERS:
            raise LitmusError(
                f"the stores to {place} have {orders:,} orders, at most {MOST_ORDERS:,} can be looked at"
            )
    choices = [list(_of_one_place([one for one in events if one.place == place])) for place in places]
    for chosen in itertools.product(*choices):
        reads_from = {load: store for _, reads in chosen for load, store in reads.items()}
        stores = {place: order for place, (order, _) in zip(places, chosen, strict=True)}
        values = _values(events, reads_from, initial)
        if values is not None:
            yield Execution(events, reads_from, stores, values, initial)


def _count_of_orders(events: tuple[Event, ...], place: str) -> int:
    counts = Counter(one.thread for one in events if one.kind == "W" and one.place == place)
    return math.factorial(sum(counts.values())) // math.prod(map(math.factorial, counts.values()))


def _of_one_place(events: Sequence[Event]) -> Iterator[tuple[tuple[int, ...], dict[int, int]]]:
    """Orders of one location's stores, each with the choices that its loads have."""
    threads = [
        [one.number for one in events if one.kind == "W" and one.thread == thread]
        for thread in sorted({one.thread for one in events})
    ]
    for order in _merges([numbers for numbers in threads if numbers]):
        yield from _readings(events, order, {store: position for position, store in enumerate(order)})


def _readings(
    events: Sequence[Event], order: tuple[int, ...], positions: dict[int, int]
) -> Iterator[tuple[tuple[int, ...], dict[int, int]]]:
    # A thread's accesses to the location see a position in the order that never goes back.
    def choose(
        rest: Sequence[Event], seen: dict[int, int], chosen: dict[int, int]
    ) -> Iterator[dict[int, int]]:
        if not rest:
            yield dict(chosen)
            return
        one, least = rest[0], seen.get(rest[0].thread, INITIAL)
        if one.kind == "W":
            if positions[one.number] > least:
                yield from choose(rest[1:], {**seen, one.thread: positions[one.number]}, chosen)
            return
        # The load of an exchange reads what stands right before its own store.
        possible = range(least, len(order)) if one.pair is None else [positions[one.pair] - 1]
        for position in possible:
            if position >= least:
                store = INITIAL if position == INITIAL else order[position]
                yield from choose(rest[1:], {**seen, one.thread: position}, {**chosen, one.number: store})

    for reads in choose(events, {}, {}):
        yield order, reads


def _merges(sequences: list[list[int]]) -> Iterator[tuple[int, ...]]:
    """All orders in which every sequence keeps its own."""
    if not any(sequences):
        yield ()
        return
    for position, sequence in enumerate(sequences):
        if sequence:
            rest = [*sequences[:position], sequence[1:], *sequences[position + 1 :]]
            for merged in _merges(rest):
                yield (sequence[0], *merged)


def _values(
    events: tuple[Event, ...], reads_from: dict[int, int], initial: dict[str, int]
) -> dict[int, int] | None:
    """What every access carries; None where a value would be its own cause, or a lock would wait."""
    values: dict[int, int] = {}
    waiting = [one for one in events if one.kind != "F"]
    while waiting:
        left = []
        for one in waiting:
            source = one.source if one.kind == "W" else reads_from[one.number]
            if source is None:
                values[one.number] = one.value
            elif source == INITIAL:
                values[one.number] = initial.get(one.place, 0)
            elif source in values:
                values[one.number] = values[source]
            else:
                left.append(one)
        if len(left) == len(waiting):
            return None
        waiting = left
    wanted = all(one.demanded is None or values[one.number] == one.demanded for one in events)
    return values if wanted else None

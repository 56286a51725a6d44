"""Turns the instructions of a litmus test into events: loads, stores and fences with their dependencies.

An exchange is a load and a store that belong together. A lock is what CPython makes of it:

- "semaphore", before CPython 3.13.1: `sem_wait` is a compare-and-swap with acquire, `sem_post` an atomic addition with
  release (glibc, nptl/sem_waitcommon.c and sem_post.c).
- "mutex", CPython 3.13.1 and later: both are compare-and-swaps that are sequentially consistent (CPython,
  Python/lock.c), on Arm an acquiring load and a releasing store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rslint_runtime.testing.litmus_program import Instruction, Program

__all__ = ["LOCKS", "Event", "events_of"]

LOCKS = ("semaphore", "mutex")
_PAIRS = {"semaphore": 2, "mutex": 1}


@dataclass(frozen=True)
class Event:
    """A load ("R"), a store ("W") or a fence ("F") of a thread; fences carry their kind in `order`.

    `data`, `address` and `control` are the numbers of the loads it depends on. `pair` is the other half of an atomic
    exchange. `value` is what a store writes, or `source` the load it takes that from. `demanded` is the value that a
    load must see, because the thread would wait otherwise.
    """

    number: int
    thread: int
    kind: str
    text: str
    place: str = ""
    order: str = ""
    value: int = 0
    source: int | None = None
    register: str = ""
    pair: int | None = None
    demanded: int | None = None
    data: tuple[int, ...] = ()
    address: tuple[int, ...] = ()
    control: tuple[int, ...] = ()


def events_of(program: Program, lock: str) -> tuple[Event, ...]:
    """All events, thread by thread in program order; an event's number is its place in the tuple."""
    found: list[Event] = []
    for thread, instructions in enumerate(program.threads):
        state = _Thread(thread, lock, len(found))
        for one in instructions:
            state.add(one)
        found.extend(state.events)
    return tuple(found)


@dataclass
class _Thread:
    number: int
    lock: str
    first: int
    events: list[Event] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=dict)
    branches: tuple[int, ...] = ()

    def add(self, one: Instruction) -> None:
        for kind, order, place, demanded in self._parts(one):
            if kind == "branch":
                self.branches = (*self.branches, self.registers[one.register])
            elif kind == "exchange":
                self._exchange(one, order, place, demanded)
            else:
                self._event(one, kind, order, place)

    def _parts(self, one: Instruction) -> Iterator[tuple[str, str, str, int | None]]:
        """What an instruction consists of: kind, order, place, and the value that an exchange must find."""
        if one.kind == "memory_fence":
            for _ in range(_PAIRS[self.lock]):
                yield from self._parts(
                    Instruction("lock", one.text, f"the lock of P{self.number}'s memory_fence")
                )
                yield from self._parts(
                    Instruction("unlock", one.text, f"the lock of P{self.number}'s memory_fence")
                )
        elif one.kind == "lock":
            yield "exchange", "acquire" if self.lock == "semaphore" else "acquire_release", one.place, 0
        elif one.kind == "unlock":
            yield "exchange", "release" if self.lock == "semaphore" else "acquire_release", one.place, 1
        elif one.kind == "swap":
            yield "exchange", one.order, one.place, None
        elif one.kind in ("store", "load"):
            yield "W" if one.kind == "store" else "R", one.order, one.place, None
        elif one.kind == "branch":
            yield "branch", "", "", None
        else:
            yield "F", one.kind, "", None

    def _event(self, one: Instruction, kind: str, order: str, place: str) -> None:
        source = self.registers[one.value] if isinstance(one.value, str) and kind == "W" else None
        number = self.first + len(self.events)
        self.events.append(
            Event(
                number,
                self.number,
                kind,
                one.text,
                place,
                order,
                value=one.value if isinstance(one.value, int) else 0,
                source=source,
                register=one.register if kind == "R" else "",
                data=() if source is None else (source,),
                address=(self.registers[one.address],) if one.address else (),
                control=self.branches,
            )
        )
        if kind == "R" and one.register:
            self.registers[one.register] = number

    def _exchange(self, one: Instruction, order: str, place: str, demanded: int | None) -> None:
        # The store's value is read before the exchange's own load fills its register.
        source = self.registers[one.value] if isinstance(one.value, str) else None
        number = self.first + len(self.events)
        value = one.value if isinstance(one.value, int) else 0
        if demanded is not None:
            value = 1 - demanded
        acquires, releases = "acquire" in order, "release" in order
        shared = {"thread": self.number, "text": one.text, "place": place, "control": self.branches}
        self.events.append(
            Event(
                number,
                kind="R",
                order="acquire" if acquires else "",
                register=one.register,
                pair=number + 1,
                demanded=demanded,
                **shared,  # type: ignore[arg-type]
            )
        )
        self.events.append(
            Event(
                number + 1,
                kind="W",
                order="release" if releases else "",
                value=value,
                source=source,
                pair=number,
                data=() if source is None else (source,),
                **shared,  # type: ignore[arg-type]
            )
        )
        if one.register:
            self.registers[one.register] = number

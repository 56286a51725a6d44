"""Decide whether a small program of loads, stores, fences and locks can end in a given state on SC, x86-TSO and Arm.

    verdict = litmus(
        '''
        P0           | P1
        x = 1        | r1 = flag
        memory_fence | memory_fence
        flag = 1     | r2 = x
        exists r1 == 1 and r2 == 0
        ''',
        model="arm",
    )
    assert not verdict.observable, verdict.report()

It looks at every candidate execution, so the answer holds for every CPU of the model and not only for the one at hand.
The notation is in `litmus_program`, what the models demand in `litmus_models`. A few threads of a few instructions each
take milliseconds; the number of candidates grows with the orders of the stores to one location.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from rslint_runtime.testing.litmus_events import LOCKS, Event, events_of
from rslint_runtime.testing.litmus_executions import INITIAL, Execution, candidates
from rslint_runtime.testing.litmus_models import MODELS, Edge, edges_of
from rslint_runtime.testing.litmus_program import Condition, LitmusError, Program, parse

__all__ = ["LitmusError", "Verdict", "litmus"]


@dataclass(frozen=True)
class Verdict:
    """`observable`: some execution that the model allows ends in the state asked for. `states` are all final states of
    the program under the model (registers, then locations that the condition speaks of). `example` is an execution that
    ends in the state asked for: one that is allowed, else one that the model forbids, else None; `order` is then the
    order of its events, or the cycle that forbids it."""

    model: str
    condition: Condition
    observable: bool
    states: tuple[tuple[tuple[str, int], ...], ...]
    candidates: int
    example: Execution | None
    order: tuple[Edge, ...]

    def report(self) -> str:
        """The verdict in words: the events of the example by thread, then their order or why there is none."""
        verb = "can happen" if self.observable else "cannot happen"
        lines = [f"{self.condition}: {verb} under {self.model} ({self.candidates} candidates)"]
        if self.example is None:
            return "\n".join([*lines, "no execution ends so, whatever the order of its accesses"])
        lines += _listed(self.example)
        if self.observable:
            lines.append("in this order:")
            lines += [f"  {_name(first)}" for first, _, _ in self.order]
        else:
            lines.append("for this would be a cycle:")
            lines += [f"  {_name(first)} {reason} {_name(later)}" for first, later, reason in self.order]
        return "\n".join(lines)


def litmus(program: str | Program, model: str = "arm", lock: str = "semaphore") -> Verdict:
    """Whether `program` can end in the state it asks for under `model` ("sc", "x86" or "arm").

    `lock` says what CPython's locks are made of: "semaphore" before 3.13.1, "mutex" from there on.

    Raises LitmusError where the program cannot be read, ValueError for a model or lock that is not known.
    """
    if model not in MODELS:
        raise ValueError(f"model is one of {', '.join(MODELS)}, not {model!r}")
    if lock not in LOCKS:
        raise ValueError(f"lock is one of {', '.join(LOCKS)}, not {lock!r}")
    read = parse(program) if isinstance(program, str) else program
    allowed: Execution | None = None
    forbidden: Execution | None = None
    states: set[tuple[tuple[str, int], ...]] = set()
    count = 0
    for execution in candidates(events_of(read, lock), dict(read.initial)):
        count += 1
        wanted = all(execution.final(name) == value for name, value in read.condition.values)
        state = _state(execution, read.condition)
        if state in states and (not wanted or allowed is not None):
            continue
        if _cycle(execution, model) is None:
            states.add(state)
            allowed = allowed or (execution if wanted else None)
        elif wanted:
            forbidden = forbidden or execution
    example = allowed or forbidden
    order = () if example is None else tuple(_shown(example, model))
    return Verdict(model, read.condition, allowed is not None, tuple(sorted(states)), count, example, order)


def _state(execution: Execution, condition: Condition) -> tuple[tuple[str, int], ...]:
    registers = sorted({one.register for one in execution.events if one.register})
    places = [name for name, _ in condition.values if name in execution.stores]
    return tuple((name, execution.final(name)) for name in (*registers, *places))


def _cycle(execution: Execution, model: str) -> list[int] | None:
    """Events of a cycle, the first one again at the end; None where there is none."""
    before: dict[int, set[int]] = {}
    for first, later, _ in edges_of(execution, model):
        before.setdefault(later, set()).add(first)
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        cycle: list[int] = error.args[1]
        return cycle
    return None


def _shown(execution: Execution, model: str) -> Iterator[Edge]:
    """The events in an order that the model allows, or the edges of a cycle that is as short as any."""
    edges = {(first, later): reason for first, later, reason in edges_of(execution, model)}
    if _cycle(execution, model) is None:
        before: dict[int, set[int]] = {one.number: set() for one in execution.events if one.kind != "F"}
        for first, later in edges:
            before[later].add(first)
        for number in TopologicalSorter(before).static_order():
            yield number, number, ""
        return
    paths = (_path_back(start, edges) for start in sorted({first for first, _ in edges}))
    cycle = min((path for path in paths if path), key=len)
    for first, later in itertools.pairwise(cycle):
        yield first, later, edges[first, later]


def _path_back(start: int, edges: dict[tuple[int, int], str]) -> list[int]:
    """The shortest way from an event to itself; empty if there is none."""
    reached = {start: [start]}
    front = [start]
    while front:
        following = []
        for event in front:
            for first, later in edges:
                if first == event and later == start:
                    return [*reached[event], start]
                if first == event and later not in reached:
                    reached[later] = [*reached[event], later]
                    following.append(later)
        front = following
    return []


def _listed(execution: Execution) -> Iterator[str]:
    for thread in sorted({one.thread for one in execution.events}):
        yield f"  P{thread}"
        for one in execution.events:
            if one.thread == thread:
                yield f"    {_described(one, execution)}"


def _described(one: Event, execution: Execution) -> str:
    if one.kind == "F":
        return f"{_name(one.number)}: {one.text}"
    value = execution.values[one.number]
    if one.kind == "W":
        return f"{_name(one.number)}: {one.text}: writes {value} to {one.place}"
    source = execution.reads_from[one.number]
    origin = "at the start" if source == INITIAL else f"written by {_name(source)}"
    return f"{_name(one.number)}: {one.text}: reads {value} of {one.place}, {origin}"


def _name(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[number % 26] + (str(number // 26) if number >= 26 else "")

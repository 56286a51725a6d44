"""Run asyncio tasks in every order that a few surprises can bring about, and replay the one that goes wrong.

    def scenario() -> Scenario:
        manager = Manager()
        return Scenario(
            tasks={"update": manager.update(), "resume": manager.resume()},
            check=lambda: "the weights change under a request" if manager.torn else None,
        )

    found = explore(scenario, preemptions=2)
    assert found.violation is None, found.report()

By itself a run takes its natural course: ready callbacks in their order, and when there are none, the wait that is due
first ends. A *preemption* is one surprise: another wait ends now (a reply comes early, a request arrives), or a task
in `Scenario.cancellable` is cancelled. All runs with at most so many surprises are made, fewest first; this bounds the
search as delay-bounded scheduling does (Emmi, Qadeer, Rakamaric, POPL 2011), and most real races need no more than two
(Musuvathi et al., "Finding and Reproducing Heisenbugs in Concurrent Programs", OSDI 2008).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rslint_runtime.testing.schedule import ChosenLoop, Scheduled, place_of

Choice = tuple[int, str]
"""A surprise: the step before which it comes, and what it is ("ends: update #4", "cancels: update")."""


@dataclass(frozen=True)
class Scenario:
    """One fresh start: coroutines by name, in the order in which they arrive; what must hold after every step (a text
    says what is wrong, None that all is well), and at the end; and the tasks that may be cancelled from outside."""

    tasks: Mapping[str, Coroutine[Any, Any, Any]]
    check: Callable[[], str | None] = lambda: None
    at_end: Callable[[], str | None] = lambda: None
    cancellable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Violation:
    """`kind`: "invariant", "deadlock", "error" or "endless". `choices` are the surprises that lead to it: all that
    `replay` needs. `steps` is the run in words."""

    kind: str
    message: str
    choices: tuple[Choice, ...]
    steps: tuple[str, ...]

    def report(self) -> str:
        """The run, one step a line, and what went wrong at its end."""
        lines = [f"{number:>4}  {step}" for number, step in enumerate(self.steps)]
        return "\n".join([*lines, f"{self.kind}: {self.message}"])


@dataclass(frozen=True)
class Exploration:
    """`runs` were made; `complete` tells whether these are all that the bound allows."""

    runs: int
    complete: bool
    violation: Violation | None = None

    def report(self) -> str:
        """What was found, in words."""
        if self.violation is not None:
            return f"found in run {self.runs}:\n{self.violation.report()}"
        return f"{self.runs} runs, no violation" + ("" if self.complete else " (there are more runs)")


def explore(
    scenario: Callable[[], Scenario],
    *,
    preemptions: int = 2,
    most_runs: int = 100_000,
    most_steps: int = 2_000,
) -> Exploration:
    """Make all runs of a scenario with at most `preemptions` surprises, until one violates something.

    Raises RuntimeError inside a running event loop. A run of more than `most_steps` steps is "endless".
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("explore() makes its own event loop: call it outside of a coroutine")
    waiting: deque[tuple[Choice, ...]] = deque([()])
    runs = 0
    while waiting:
        if runs >= most_runs:
            return Exploration(runs, False)
        choices = waiting.popleft()
        run = _Run(scenario(), choices, most_steps)
        violation = run.go()
        runs += 1
        if violation is not None:
            return Exploration(runs, False, violation)
        if len(choices) < preemptions:
            after = choices[-1][0] if choices else -1
            waiting.extend((*choices, choice) for choice in run.offered if choice[0] > after)
    return Exploration(runs, True)


def replay(
    scenario: Callable[[], Scenario], violation: Violation, *, most_steps: int = 2_000
) -> Violation | None:
    """The run of a violation again; None when it no longer goes wrong. Raises ValueError where the scenario does not
    offer one of its surprises any more."""
    run = _Run(scenario(), violation.choices, most_steps)
    again = run.go()
    if run.missed:
        raise ValueError(f"the run cannot be replayed: `{run.missed[0]}` is not offered any more")
    return again


@dataclass(eq=False)
class _Run:
    """One run: natural but for its surprises. `offered` are the surprises that it could have had, by step."""

    scenario: Scenario
    choices: tuple[Choice, ...]
    most_steps: int
    offered: list[Choice] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def go(self) -> Violation | None:
        loop = ChosenLoop()  # type: ignore[abstract]  # only the type stubs declare it so
        tasks: dict[str, asyncio.Task[Any]] = {}
        unstarted = dict(self.scenario.tasks)
        asyncio._set_running_loop(loop)
        try:
            for name in list(unstarted):
                loop.call_at(0.0, _start, loop, name, unstarted, tasks).owner = name
            return self._steps(loop, tasks)
        finally:
            _abandon(loop, tasks)
            asyncio._set_running_loop(None)
            for coroutine in unstarted.values():
                coroutine.close()

    def _steps(self, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]]) -> Violation | None:
        surprises = dict(self.choices)
        cancelled: set[str] = set()
        for step in range(self.most_steps):
            self._offer(step, loop, tasks, cancelled)
            if step in surprises:
                self._surprise(surprises[step], loop, tasks, cancelled)
            elif loop.has_ready():
                self._run_first(loop, tasks)
            elif pending := loop.pending():
                self.steps.append(f"{pending[0].owner}: {_ending(pending[0])}")
                loop.end_wait(pending[0])
            else:
                return self._finished(tasks)
            if (problem := self._problem(tasks, cancelled)) is not None:
                return problem
        return self._violation("endless", f"not done after {self.most_steps} steps")

    def _offer(
        self, step: int, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]], cancelled: set[str]
    ) -> None:
        pending = loop.pending()
        for one in pending if loop.has_ready() else pending[1:]:
            self.offered.append((step, _label(one)))
        for name in self.scenario.cancellable:
            if name in tasks and not tasks[name].done() and name not in cancelled:
                self.offered.append((step, f"cancels: {name}"))

    def _surprise(
        self, wanted: str, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]], cancelled: set[str]
    ) -> None:
        kind, _, name = wanted.partition(": ")
        if kind == "cancels" and name in tasks:
            self.steps.append(f"{name}: is cancelled at {place_of(tasks[name])}")
            cancelled.add(name)
            tasks[name].cancel()
            return
        for one in loop.pending():
            if _label(one) == wanted:
                self.steps.append(f"{one.owner}: {_ending(one)}, out of turn")
                loop.end_wait(one)
                return
        self.missed.append(wanted)

    def _run_first(self, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]]) -> None:
        one = loop.step()
        task = tasks.get(one.owner)
        if task is not None:
            where = "is done" if task.done() else f"goes on to {place_of(task)}"
            self.steps.append(f"{one.owner}: {where}")

    def _problem(self, tasks: dict[str, asyncio.Task[Any]], cancelled: set[str]) -> Violation | None:
        for name, task in tasks.items():
            if task.done() and not task.cancelled() and task.exception() is not None:
                return self._violation("error", f"{name} raises {task.exception()!r}")
            if task.done() and task.cancelled() and name not in cancelled:
                return self._violation("error", f"{name} is cancelled by another task")
        broken = self.scenario.check()
        return None if broken is None else self._violation("invariant", broken)

    def _finished(self, tasks: dict[str, asyncio.Task[Any]]) -> Violation | None:
        stuck = [f"{name} waits in {place_of(task)}" for name, task in tasks.items() if not task.done()]
        if stuck:
            return self._violation("deadlock", "; ".join(stuck))
        wrong = self.scenario.at_end()
        return None if wrong is None else self._violation("invariant", wrong)

    def _violation(self, kind: str, message: str) -> Violation:
        return Violation(kind, message, self.choices, tuple(self.steps))


def _start(
    loop: ChosenLoop,
    name: str,
    unstarted: dict[str, Coroutine[Any, Any, Any]],
    tasks: dict[str, asyncio.Task[Any]],
) -> None:
    tasks[name] = asyncio.Task(unstarted.pop(name), loop=loop, name=name)


def _label(one: Scheduled) -> str:
    return f"ends: {one.owner} #{one.number}"


def _ending(one: Scheduled) -> str:
    return "arrives" if one.callback is _start else "its wait ends"


def _abandon(loop: ChosenLoop, tasks: Mapping[str, asyncio.Task[Any]]) -> None:
    """Let what is left of a run end, so that no coroutine is left behind."""
    for task in _unfinished(loop, tasks):
        task.cancel()
    for _ in range(1_000):
        if not loop.has_ready():
            break
        loop.step()
    for task in tasks.values():
        if task.done() and not task.cancelled():
            task.exception()


def _unfinished(loop: ChosenLoop, tasks: Mapping[str, asyncio.Task[Any]]) -> Iterator[asyncio.Task[Any]]:
    yield from (task for task in asyncio.all_tasks(loop) if not task.done())
    yield from (task for task in tasks.values() if not task.done())

"""One run of a scenario's asyncio tasks: its natural course, but for the surprises it is told to have."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rslint_runtime.testing.scenario import Choice, Finding, Further, Run, Scenario
from rslint_runtime.testing.schedule import ChosenLoop, Scheduled, place_of


def run_of_tasks(
    scenario: Scenario, choices: tuple[Choice, ...], most_steps: int, *, reduction: bool = False
) -> Run:
    """Make a run with these surprises.

    With `reduction`, a wait that may end before a step that schedules nothing and does not ask for the time is not
    offered there: that it ends behind the step comes to the same, since nothing can tell the two apart.
    """
    run = TaskRun(scenario, choices, most_steps, reduction)
    finding = run.go()
    after = choices[-1][0] if choices else -1
    further = [Further(one) for one in run.offered if one[0] > after]
    return Run(finding, lambda: tuple(run.steps), run.missed[0] if run.missed else None, further)


@dataclass(eq=False)
class TaskRun:
    """One run: natural but for its surprises. `offered` are the surprises that it could have had, by step."""

    scenario: Scenario
    choices: tuple[Choice, ...]
    most_steps: int
    reduction: bool = False
    offered: list[Choice] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def go(self) -> Finding | None:
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

    def _steps(self, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]]) -> Finding | None:
        surprises = dict(self.choices)
        cancelled: set[str] = set()
        for step in range(self.most_steps):
            self._offer(step, loop, tasks, cancelled)
            if step in surprises:
                self._surprise(surprises[step], loop, tasks, cancelled)
            elif loop.has_ready():
                self._run_first(step, loop, tasks)
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
        for name in self.scenario.cancellable:
            if name in tasks and not tasks[name].done() and name not in cancelled:
                self.offered.append((step, f"cancels: {name}"))
        pending = loop.pending()
        for one in pending if loop.has_ready() else pending[1:]:
            self.offered.append((step, _label(one)))

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

    def _run_first(self, step: int, loop: ChosenLoop, tasks: dict[str, asyncio.Task[Any]]) -> None:
        before = (loop.numbered, loop.asked)
        one = loop.step()
        if self.reduction and before == (loop.numbered, loop.asked):
            pending = {_label(wait) for wait in loop.pending()}
            while self.offered and self.offered[-1][0] == step and self.offered[-1][1] in pending:
                self.offered.pop()
        task = tasks.get(one.owner)
        if task is not None:
            where = "is done" if task.done() else f"goes on to {place_of(task)}"
            self.steps.append(f"{one.owner}: {where}")

    def _problem(self, tasks: dict[str, asyncio.Task[Any]], cancelled: set[str]) -> Finding | None:
        for name, task in tasks.items():
            if task.done() and not task.cancelled() and task.exception() is not None:
                return self._violation("error", f"{name} raises {task.exception()!r}")
            if task.done() and task.cancelled() and name not in cancelled:
                return self._violation("error", f"{name} is cancelled by another task")
        broken = self.scenario.check() if self.scenario.check is not None else None
        return None if broken is None else self._violation("invariant", broken)

    def _finished(self, tasks: dict[str, asyncio.Task[Any]]) -> Finding | None:
        stuck = [f"{name} waits in {place_of(task)}" for name, task in tasks.items() if not task.done()]
        if stuck:
            return self._violation("deadlock", "; ".join(stuck))
        wrong = self.scenario.at_end() if self.scenario.at_end is not None else None
        return None if wrong is None else self._violation("invariant", wrong)

    def _violation(self, kind: str, message: str) -> Finding:
        return kind, message


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

"""Run tasks or threads in every order that a few surprises can bring about, and replay the one that goes wrong.

    def scenario() -> Scenario:
        manager = Manager()
        return Scenario(
            threads={"update": manager.update, "resume": manager.resume},
            check=lambda: "the weights change under a request" if manager.torn else None,
        )

    found = explore(scenario, preemptions=2)
    assert found.violation is None, found.report()

By itself a run takes its natural course. Of asyncio tasks: ready callbacks in their order, and when there are none, the
wait that is due first ends. Of threads: one goes on until it waits or ends. A *preemption* is one surprise. Of tasks:
another wait ends now (a reply comes early, a request arrives), or a task in `Scenario.cancellable` is cancelled. Of
threads: another one goes on although this one could, or a timeout comes early. All runs with at most so many surprises
are made, fewest first; this bounds the search as in Musuvathi, Qadeer, "Iterative Context Bounding", PLDI 2007
(threads), and Emmi, Qadeer, Rakamaric, "Delay-Bounded Scheduling", POPL 2011 (tasks). Most real races need no more than
two.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

from rslint_runtime.testing.reduction import Frontier, Visited
from rslint_runtime.testing.scenario import (
    Choice,
    Exploration,
    Run,
    Scenario,
    Violation,
    checked,
    choices_of,
)
from rslint_runtime.testing.task_run import run_of_tasks
from rslint_runtime.testing.thread_run import Granularity, ThreadRuns

__all__ = ["Exploration", "Scenario", "Violation", "explore", "replay"]

_Runs = Callable[[tuple[Choice, ...], int], Run]


def explore(
    scenario: Callable[[], Scenario],
    *,
    preemptions: int = 2,
    granularity: Granularity = "instruction",
    modules: Sequence[ModuleType] | None = None,
    reduction: bool = True,
    most_runs: int = 100_000,
    most_steps: int = 20_000,
) -> Exploration:
    """Make all runs of a scenario with at most `preemptions` surprises, until one violates something.

    Threads are stopped in front of each instruction (with `granularity="line"`: of each line) that touches what they
    may share, and of each lock operation, in the code of `modules`; by default in all that is not installed and not the
    standard library. `reduction` leaves out runs that differ from others only in the order of independent accesses;
    the kinds of violations found are the same without.

    Raises TypeError or ValueError for what is no scenario, RuntimeError inside a running event loop. A run of more than
    `most_steps` steps is "endless".
    """
    if not isinstance(preemptions, int) or preemptions < 0:
        raise ValueError(f"preemptions={preemptions!r}: a number of surprises is needed, from 0 on")
    with _runs_of(scenario, granularity, modules, most_steps, Visited() if reduction else None) as make:
        frontier: Frontier[Choice] = Frontier(preemptions, reduction)
        runs = 0
        while (prefix := frontier.next()) is not None:
            if runs >= most_runs:
                return Exploration(runs, False)
            run = make(*prefix)
            runs += 1
            if run.finding is not None:
                return Exploration(runs, False, Violation(*run.finding, prefix[0], run.steps()))
            if run.missed is not None:
                raise RuntimeError(_NOT_THE_SAME.format(run.missed))
            frontier.learn(run.accesses)
            for one in run.further:
                frontier.offer(prefix, one.choice, one.cost, one.keys)
        return Exploration(runs, True)


def replay(
    scenario: Callable[[], Scenario],
    violation: Violation | str,
    *,
    modules: Sequence[ModuleType] | None = None,
    most_steps: int = 20_000,
) -> Violation | None:
    """The run of a violation, or of its seed, again; None when it no longer goes wrong.

    `modules` are those that `explore` was given. Raises ValueError where the scenario does not offer one of the
    choices any more, and for a text that is no seed.
    """
    choices = choices_of(violation) if isinstance(violation, str) else violation.choices
    with _runs_of(scenario, "instruction", modules, most_steps, None) as make:
        run = make(choices, 0)
    if run.missed is not None:
        raise ValueError(f"the run cannot be replayed: `{run.missed}` is not offered any more")
    return None if run.finding is None else Violation(*run.finding, choices, run.steps())


_NOT_THE_SAME = (
    "the scenario does not do the same each time: `{}` was there in one run and is not in the next. What it starts "
    "from must be made in the scenario function, and nothing may depend on chance, the clock, ids or the order of sets"
)


@contextlib.contextmanager
def _runs_of(
    scenario: Callable[[], Scenario],
    granularity: Granularity,
    modules: Sequence[ModuleType] | None,
    most_steps: int,
    visited: Visited | None,
) -> Iterator[_Runs]:
    """What makes a run of a scenario that has the choices it is given, and has used so many preemptions before."""
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("explore() makes its own event loop: call it outside of a coroutine")
    if granularity not in ("instruction", "line"):
        raise ValueError(f"granularity is 'instruction' or 'line', not {granularity!r}")
    if not callable(scenario):
        raise TypeError(
            "a function is needed that makes the scenario, afresh for each run: lambda: Scenario(…)"
        )
    first = checked(scenario())
    if first.tasks:
        yield lambda choices, used: run_of_tasks(
            scenario(), choices, most_steps, reduction=visited is not None
        )
        return
    with ThreadRuns(scenario, granularity, modules, most_steps, visited) as runs:
        yield runs.make

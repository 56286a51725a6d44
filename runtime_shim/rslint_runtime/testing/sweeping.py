"""Makes one call of a program fail at a time, on one rank at a time, and tells which failure parts the ranks.

The dynamic twin of the linter's RS101 (a collective skipped by an exception): what the rule finds by reading, this
finds by trying, on the paths that the program takes without a fault.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rslint_runtime.testing import observed_calls
from rslint_runtime.testing.call_knowledge import spelled
from rslint_runtime.testing.faults import Injection
from rslint_runtime.testing.observed_calls import Observation, ObservedCall
from rslint_runtime.testing.records import RunResult
from rslint_runtime.testing.runner import RunError, run_ranks, sent_program
from rslint_runtime.testing.sweep_result import SweepResult, SweepRow
from rslint_runtime.testing.sweep_state import SweepState, key_of
from rslint_runtime.testing.sweep_trials import Trial, trials_of

Program = Callable[..., Any] | str | os.PathLike[str]


def sweep(
    program: Program,
    world_size: int,
    *,
    args: Sequence[Any] = (),
    timeout: float = 30.0,
    group_timeout: float = 600.0,
    init_group: bool = True,
    time_limit: float | None = None,
    occurrences: int = 1,
    within: Sequence[str | os.PathLike[str]] = (),
    state: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> SweepResult:
    """Run `program` once and note its calls that may raise; then run it once for each of them and each rank that
    makes it, with that call failing there, and tell how each run ends.

    Tried are calls that the program's own files make: of functions elsewhere that touch files, networks, processes or
    what other processes send, of libraries that nothing is known about, and of the program's own functions when a
    name tells that they speak to something remote (`client.fetch`), or when they hold such a call that this run does
    not come to. Where rslint is installed, its models are asked as well. What is raised fits the call: OSError for
    files, a network library's own type or ConnectionError for connections, RuntimeError where nothing is known.

    Not tried: what the first run does not come to; constructors of types that are written in C.

    Args:
        program: as for `run_ranks`. It has to complete without a fault.
        world_size: number of ranks.
        args: passed to it, picklable.
        timeout: seconds for each run. A deadlock is proven long before.
        group_timeout: as for `run_ranks`.
        init_group: False when the program calls `torch.distributed.init_process_group` itself.
        time_limit: seconds after which no further run begins; None for no limit. With 0 the calls are only listed, as
            `untried`.
        occurrences: how many calls of one callee on one line are made to fail, each by itself, on each rank. A line
            that several ways lead to (a helper with several callers) counts once for each.
        within: files and folders whose calls are tried; by default the project that the program's file belongs to
            (the nearest folder with a `pyproject.toml`, `setup.py` or `.git`), without what is installed.
        state: a file that keeps what was found after each run. A sweep that finds it goes on from there, unless the
            sources of the program, the ranks, their group or the arguments have changed.
        progress: whether to say on stderr what goes on; by default if that is a terminal.

    Ctrl-C ends the sweep, not the caller: what was found until then is in the result.

    Raises:
        RunError: when the program does not complete without a fault, with its report.
        ValueError: when a number is out of range, or `state` names a file that is something else.
        TypeError: as `run_ranks`.
    """
    if occurrences < 1 or timeout <= 0:
        raise ValueError(f"occurrences={occurrences}, timeout={timeout:g}: from 1 on, and above 0")
    started = time.monotonic()
    function = sent_program(program)
    path, qualname = function.program, function.qualname
    root = observed_calls.project_of(Path(path))
    shown = sys.stderr.isatty() if progress is None else progress
    plan = _Plan(program, world_size, tuple(args), timeout, group_timeout, init_group, shown)
    roots = tuple(str(Path(part).resolve()) for part in within) or (str(root),)
    baseline, calls = plan.observe(roots, occurrences)
    files = {path, *(place.rpartition(":")[0] for call in calls for place in call.chain)}
    state_path = None if state is None else Path(state)
    asked = (qualname, world_size, plan.args, group_timeout, init_group, occurrences, roots)
    kept = SweepState(state_path, key_of(asked, files))
    trials = trials_of(calls, root)
    rows = _known_rows(trials, kept)
    resumed = len(rows)
    interrupted = plan.try_all(trials, rows, kept, None if time_limit is None else started + time_limit)
    return SweepResult(
        program=f"{Path(path).name}:{qualname}",
        world_size=world_size,
        rows=tuple(rows[trial.key] for trial in trials if trial.key in rows),
        untried=tuple(str(trial) for trial in trials if trial.key not in rows),
        baseline=baseline,
        resumed=resumed,
        interrupted=interrupted,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Plan:
    """What is run, again and again."""

    program: Program
    world_size: int
    args: tuple[Any, ...]
    timeout: float
    group_timeout: float
    init_group: bool
    progress: bool

    def observe(self, roots: tuple[str, ...], occurrences: int) -> tuple[RunResult, tuple[ObservedCall, ...]]:
        """The run without a fault, and the calls that were made in it."""
        self.say("the run without a fault")
        with tempfile.TemporaryDirectory(prefix="rslint-sweep-") as directory:
            baseline = self.run(Observation(directory, roots, occurrences))
            calls = observed_calls.read(directory)
        self.say("")
        if baseline.outcome != "completed":
            slow = " (timeout= is seconds for each run; watching its calls makes it slower)"
            raise RunError(
                "a sweep needs a program that completes without a fault; this one does not"
                f"{slow if baseline.outcome == 'timeout' else ''}:\n{baseline.report()}"
            )
        return replace(baseline, faults=()), calls

    def try_all(
        self, trials: Sequence[Trial], rows: dict[str, SweepRow], kept: SweepState, deadline: float | None
    ) -> bool:
        """Run the trials that have no row yet; returns whether Ctrl-C ended that."""
        try:
            for position, trial in enumerate(trials, 1):
                if trial.key in rows:
                    continue
                if deadline is not None and time.monotonic() >= deadline:
                    break
                self.say(f"{position} of {len(trials)}: {trial}")
                row = rows[trial.key] = self.attempt(trial)
                kept.add(_encoded(trial, row))
        except KeyboardInterrupt:
            return True
        finally:
            self.say("")
        return False

    def attempt(self, trial: Trial) -> SweepRow:
        """One run with one failure."""
        try:
            result = self.run(trial.fault)
        except RunError as error:
            return _row(trial, {"outcome": "not injected", "detail": str(error)})
        if result.unfired:
            return _row(trial, {"outcome": "not injected", "detail": "the call was not made this time"})
        found = {
            "outcome": result.outcome,
            "detail": result.detail,
            "left": _leaving(result, trial.call.rank),
            "thread": ", ".join(dead.thread for dead in result.dead_threads.get(trial.call.rank, ())),
        }
        return _row(trial, found if result.outcome == "completed" else {**found, "report": result.report()})

    def run(self, injection: Injection) -> RunResult:
        return run_ranks(
            self.program,
            self.world_size,
            args=self.args,
            timeout=self.timeout,
            group_timeout=self.group_timeout,
            init_group=self.init_group,
            faults=[injection],
        )

    def say(self, text: str) -> None:
        """One line on the terminal that the next one replaces."""
        if self.progress:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)


def _leaving(result: RunResult, rank: int) -> str:
    """The exception that left the program on that rank, without the text that a fault gives its own."""
    error = result.errors.get(rank)
    if error is None:
        return ""
    return error.type_name if "injected" in error.text else str(error).partition("\n")[0]


def _row(trial: Trial, found: dict[str, str]) -> SweepRow:
    return SweepRow(
        place=trial.place,
        call=spelled(trial.call),
        rank=trial.call.rank,
        reason=trial.reason.kind,
        fault=trial.fault,
        outcome=found["outcome"],
        left=found.get("left", ""),
        detail=found.get("detail", ""),
        report=found.get("report", ""),
        chain=trial.call.chain,
        occurrence=trial.call.occurrence,
        thread=found.get("thread", ""),
    )


def _encoded(trial: Trial, row: SweepRow) -> dict[str, str]:
    found = {name: getattr(row, name) for name in ("outcome", "left", "thread", "detail", "report")}
    return {"trial": trial.key, **found}


def _known_rows(trials: Sequence[Trial], kept: SweepState) -> dict[str, SweepRow]:
    """What an earlier sweep has found of these trials."""
    found = {row.get("trial"): row for row in kept.rows if isinstance(row.get("outcome"), str)}
    return {trial.key: _row(trial, found[trial.key]) for trial in trials if trial.key in found}

"""What a reproduction is: a bug, the runs that show it, and what each of them must end in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rslint_runtime.testing import Fault, RunResult, run_ranks

from benchmarks.field.loading import StandInCalled
from benchmarks.field.releases import Release

_LIMIT = 60.0  # seconds for one run of ranks, and far from what any takes
_FIX_LIMIT = 600.0  # seconds for rslint on one tree


@dataclass(frozen=True)
class Bug:
    """A bug of a release that leaves ranks waiting.

    Attributes:
        name: short and unique.
        reference: where the project speaks of it.
        module: file inside the tree that has the bug, and in which a rank must be found waiting.
        program: called as `program(rank, world_size, tree, folder)` on every rank; `folder` is empty, theirs to write
            to, and the same for all.
        faults: what the bug's report says went wrong; empty where nothing has to.
        fixed: the release that has the repair, if there is one.
        rslint_fix: options with which rslint repairs the bug, empty where it offers no fix.
        sound, broken, repaired_by_release, repaired_by_rslint: how a run has to end, in the words of `ended`, without
            the faults, with them, and with them after the repair.
    """

    name: str
    reference: str
    buggy: Release
    module: str
    program: Callable[..., Any]
    faults: tuple[Fault, ...] = ()
    world_size: int = 2
    fixed: Release | None = None
    rslint_fix: tuple[str, ...] = ()
    sound: str = "completed"
    broken: str = ""  # "" for a deadlock in `module`
    repaired_by_release: str = "completed"
    repaired_by_rslint: str = "completed"


@dataclass(frozen=True)
class Trial:
    """One run of a bug's program.

    Attributes:
        what: which tree, and with or without the faults.
        expected, observed: how it had to end and how it did, in the same words.
        report: of the harness.
    """

    what: str
    expected: str
    observed: str
    seconds: float
    report: str

    @property
    def as_expected(self) -> bool:
        return self.observed == self.expected


def trials(bug: Bug, fetch: Callable[[Release], Path]) -> Iterator[Trial]:
    """The runs that show a bug: sound without the fault, a deadlock with it, none once it is repaired.

    Raises:
        FetchError: from `fetch`.
        RunError: when a program cannot be run.
        RepairError: when rslint changes nothing.
    """
    buggy = fetch(bug.buggy)
    if bug.faults:
        yield _trial(bug, f"{bug.buggy} without the fault", buggy, (), bug.sound)
    yield _trial(bug, str(bug.buggy), buggy, bug.faults, bug.broken or f"deadlock in {bug.module}")
    if bug.fixed is not None:
        yield _trial(bug, str(bug.fixed), fetch(bug.fixed), bug.faults, bug.repaired_by_release)
    if bug.rslint_fix:
        with tempfile.TemporaryDirectory() as scratch:
            mended = repaired(bug, buggy, Path(scratch))
            shown = f"{bug.buggy} after rslint {' '.join(bug.rslint_fix)}"
            if bug.faults:
                yield _trial(bug, f"{shown}, without the fault", mended, (), bug.sound)
            yield _trial(bug, shown, mended, bug.faults, bug.repaired_by_rslint)


class RepairError(RuntimeError):
    """rslint did not repair what it is said to repair."""


def repaired(bug: Bug, tree: Path, scratch: Path) -> Path:
    """A copy of the tree in which rslint has repaired the bug's file."""
    copy = scratch / tree.name
    shutil.copytree(tree, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    file = copy / bug.module
    before = file.read_bytes()
    order = [
        sys.executable,
        "-m",
        "rslint",
        "check",
        "--isolated",
        "--select",
        "RS1",
        *bug.rslint_fix,
        str(file),
    ]
    try:
        done = subprocess.run(order, capture_output=True, text=True, check=False, timeout=_FIX_LIMIT)
    except subprocess.TimeoutExpired:
        raise RepairError(f"{bug.name}: rslint did not end within {_FIX_LIMIT:.0f} s") from None
    if file.read_bytes() == before:
        raise RepairError(f"{bug.name}: rslint changed nothing in {bug.module}:\n{done.stdout}{done.stderr}")
    return copy


def _trial(bug: Bug, what: str, tree: Path, faults: tuple[Fault, ...], expected: str) -> Trial:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = run_ranks(
            bug.program, bug.world_size, faults=faults, args=(str(tree), folder), timeout=_LIMIT
        )
    seconds = time.perf_counter() - started
    return Trial(what, expected, ended(result, tree, bug.module), seconds, result.report())


def ended(result: RunResult, tree: Path, module: str) -> str:
    """How a run ended, in the words of `Trial.expected`; also when it ended as a run of a bug must never end."""
    said = [*(error.type_name for error in result.errors.values()), *result.output.values()]
    if any(StandInCalled.__name__ in text for text in said):
        return f"{result.outcome}, but a stand-in was called"
    if result.unfired:
        return f"{result.outcome}, and the fault never came"
    if result.outcome == "completed":
        return f"completed{_returned(result)}"
    if result.outcome == "failed":
        raised = (f"rank {rank} {_short(error.type_name)}" for rank, error in sorted(result.errors.items()))
        return f"failed: {', '.join(raised)}"
    if result.outcome != "deadlock":
        return result.outcome
    inside = str((tree / module).resolve())
    places = sorted({wait.collective.place.rpartition(":")[0] for wait in result.waiting})
    where = [module if str(Path(place).resolve()) == inside else Path(place).name for place in places]
    return f"deadlock in {', '.join(where)}"


def _returned(result: RunResult) -> str:
    """What the ranks returned, "" for nothing."""
    values = list(dict.fromkeys(repr(result.results[rank]) for rank in range(result.world_size)))
    if values == ["None"]:
        return ""
    if len(values) == 1:
        return f", all return {values[0]}"
    return "".join(f", rank {rank} returns {value!r}" for rank, value in sorted(result.results.items()))


def _short(type_name: str) -> str:
    return type_name.rpartition(".")[2]

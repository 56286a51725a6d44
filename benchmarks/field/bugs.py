"""What a reproduction is: a bug, the runs that show it, and what each of them must end in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.field.releases import Release
from rslint_runtime.testing import Fault, RunResult, run_ranks

_LIMIT = 120.0  # seconds for one run of ranks, and far from what any takes
_FIX_LIMIT = 600.0  # seconds for rslint on one tree


@dataclass(frozen=True)
class Bug:
    """A bug of a release that leaves ranks waiting.

    Attributes:
        name: short and unique; the script is called after it.
        reference: where the project speaks of it.
        module: file inside the tree, in which a rank must be found waiting.
        program: called as `program(rank, world_size, tree)` on every rank.
        faults: what the bug's report says went wrong; empty where nothing has to.
        fixed: the release that has the repair, if there is one.
        fixed_raises: what the ranks raise with the repair, by rank; empty when all return.
        rslint_fix: options with which rslint repairs the bug, empty where it offers no fix.
        rslint_raises: what the ranks raise then.
    """

    name: str
    reference: str
    buggy: Release
    module: str
    program: Callable[..., Any]
    faults: tuple[Fault, ...] = ()
    world_size: int = 2
    fixed: Release | None = None
    fixed_raises: Mapping[int, str] = field(default_factory=dict)
    rslint_fix: tuple[str, ...] = ()
    rslint_raises: Mapping[int, str] = field(default_factory=dict)


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


def trials(bug: Bug, fetch: Callable[[Release], Path], scratch: Path) -> Iterator[Trial]:
    """The runs that show a bug: sound without the fault, a deadlock with it, none once it is repaired.

    Raises:
        FetchError: from `fetch`.
        RunError: when a program cannot be run.
        RepairError: when rslint changes nothing.
    """
    buggy = fetch(bug.buggy)
    if bug.faults:
        yield _trial(bug, f"{bug.buggy} without the fault", buggy, (), "completed")
    yield _trial(bug, str(bug.buggy), buggy, bug.faults, f"deadlock in {bug.module}")
    if bug.fixed is not None:
        yield _trial(bug, str(bug.fixed), fetch(bug.fixed), bug.faults, _ending(bug.fixed_raises))
    if bug.rslint_fix:
        fixed = repaired(bug, buggy, scratch)
        shown = " ".join(bug.rslint_fix)
        if bug.faults:
            yield _trial(bug, f"after {shown}, without the fault", fixed, (), "completed")
        yield _trial(bug, f"after {shown}", fixed, bug.faults, _ending(bug.rslint_raises))


class RepairError(RuntimeError):
    """rslint did not repair what it is said to repair."""


def repaired(bug: Bug, tree: Path, scratch: Path) -> Path:
    """A copy of the tree in which rslint has repaired the bug's file."""
    copy = scratch / tree.name
    shutil.copytree(tree, copy)
    file = copy / bug.module
    before = file.read_bytes()
    order = [sys.executable, "-m", "rslint", "check", "--isolated", "--select", "RS1", *bug.rslint_fix, str(file)]
    done = subprocess.run(order, capture_output=True, text=True, check=False, timeout=_FIX_LIMIT)
    if file.read_bytes() == before:
        raise RepairError(f"{bug.name}: rslint changed nothing in {bug.module}:\n{done.stdout}{done.stderr}")
    return copy


def _trial(bug: Bug, what: str, tree: Path, faults: tuple[Fault, ...], expected: str) -> Trial:
    started = time.perf_counter()
    result = run_ranks(bug.program, bug.world_size, faults=faults, args=(str(tree),), timeout=_LIMIT)
    seconds = time.perf_counter() - started
    return Trial(what, expected, ended(result, tree, bug.module), seconds, result.report())


def ended(result: RunResult, tree: Path, module: str) -> str:
    """How a run ended, in the words of `Trial.expected`. A fault that never came is an ending of its own."""
    if result.unfired:
        return f"{result.outcome}, and the fault never came"
    if result.outcome == "failed":
        return _ending({rank: _short(error.type_name) for rank, error in result.errors.items()})
    if result.outcome != "deadlock":
        return result.outcome
    inside = str((tree / module).resolve())
    places = sorted({wait.collective.place.rpartition(":")[0] for wait in result.waiting})
    where = [module if str(Path(place).resolve()) == inside else place for place in places]
    return f"deadlock in {', '.join(where)}"


def _ending(raises: Mapping[int, str]) -> str:
    if not raises:
        return "completed"
    return "failed: " + ", ".join(f"rank {rank} {name}" for rank, name in sorted(raises.items()))


def _short(type_name: str) -> str:
    return type_name.rpartition(".")[2]

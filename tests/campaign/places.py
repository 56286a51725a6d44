"""The places of the campaign: every fixture that runs, on 2, 3 and 4 ranks, with every failure that can be made there.

A unit is one program on one number of ranks. Its failures are those that the fixture's case.toml states, and, where
ranks wait for each other in collectives, those that `sweep` finds to try.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rslint_runtime.testing import Fault, RunResult, run_ranks, sweep

from rslint.proof.prove import copied

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parents[2] / "fixtures"
WORLD_SIZES = (2, 3, 4)
# Far above what any of them takes: some import half of torch on every rank before they begin.
TIMEOUT = 100.0


@dataclass(frozen=True)
class Unit:
    """One program on one number of ranks.

    Attributes:
        program: the fixture's file.
        world_size: how many ranks.
        stated: whether case.toml speaks of that number of ranks; the outcomes are sure only then.
        runs: the `[[run]]` tables of this file.
    """

    program: Path
    world_size: int
    stated: bool
    runs: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        folder = self.program.parent
        return f"{folder.parent.name}-{folder.name}-{self.program.stem}-{self.world_size}"

    @property
    def is_swept(self) -> bool:
        """Whether it is stated to complete without a fault, and what its ranks wait for is seen: the fixtures of other
        families wait for threads and pipes, and a failure there ends as a timeout. A case that says what each rank does
        in a file of its own (`entry`) writes beside that, and is swept by its own tests.
        """
        return self.program.parent.parent.name.startswith("RS1") and any(
            not run.get("faults") and run["outcome"] == "completed" and "entry" not in run
            for run in self.runs
        )

    def states(self, run: dict[str, Any]) -> bool:
        """Whether the outcome of this run is stated for as many ranks."""
        return self.world_size in run["world_sizes"] if "world_sizes" in run else self.stated

    @property
    def is_bug(self) -> bool:
        return self.program.stem == "bug"


def units() -> list[Unit]:
    """All of them, in a fixed order."""
    found = []
    for path in sorted(FIXTURES.glob("RS*/*/case.toml")):
        case = tomllib.loads(path.read_text(encoding="utf-8"))
        files: dict[str, list[dict[str, Any]]] = {}
        for run in case.get("run", ()):
            files.setdefault(run["file"], []).append(run)
        for file, runs in sorted(files.items()):
            for world_size in WORLD_SIZES:
                stated = world_size in case["world_sizes"]
                found.append(Unit(path.parent / file, world_size, stated, tuple(runs)))
    return found


def attempt(unit: Unit) -> dict[str, str]:
    """Run everything of the unit once; the outcome by place.

    Raises:
        AssertionError: when a stated run ends otherwise than stated, or a failure parts the ranks of a program that
            is right while the rank that failed goes on.
    """
    outcomes: dict[str, str] = {}
    for run in unit.runs:
        faults = tuple(Fault(**fault) for fault in run.get("faults", ()))
        result = _run(unit, run, faults)
        name = " of ".join(filter(None, [", ".join(map(str, faults)) or "no fault", run.get("entry")]))
        outcomes[f"{unit}: {name}"] = result.outcome
        if unit.states(run):
            assert result.outcome == run["outcome"], result.report()
            assert result.unfired == (), result.report()
    if unit.is_swept and outcomes[f"{unit}: no fault"] == "completed":
        for row in sweep(f"{unit.program}:main", unit.world_size, timeout=TIMEOUT).rows:
            outcomes[f"{unit}: {row.fault}"] = row.outcome
            assert unit.is_bug or row.left or not row.parted, row.report
    return outcomes


def _run(unit: Unit, run: dict[str, Any], faults: tuple[Fault, ...]) -> RunResult:
    timeout = run.get("timeout", TIMEOUT)
    if "entry" not in run:
        return run_ranks(f"{unit.program}:main", unit.world_size, faults=faults, timeout=timeout)
    with copied(unit.program.parent) as folder:
        entry, args = str(folder / run["entry"]), (unit.program.stem,)
        return run_ranks(entry, unit.world_size, faults=faults, args=args, timeout=timeout)


def counted(outcomes: dict[str, str]) -> dict[str, int]:
    """How many runs ended how."""
    return dict(Counter(outcomes.values()))

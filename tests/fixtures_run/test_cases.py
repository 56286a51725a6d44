"""Every fixture runs on gloo ranks and ends as its case.toml says: the bug hangs, its right twin does not.

A case.toml holds `code`, `reason`, `world_sizes`, an optional table `[fix]`, and any number of `[[run]]`:

    [[run]]
    file = "bug.py"
    faults = [{rank = 0, target = "Client.fetch", nth = 1, raises = "ConnectionError"}]
    outcome = "deadlock"          # the outcome of run_ranks
    results = "one answer"        # optional: all ranks return the same
    timeout = 3.0                 # optional: seconds, for a run whose outcome is `timeout`
    raises = "FileNotFoundError"  # optional: how the first rank to fail ended, for a run whose outcome is `failed`
    astray = 1                    # optional: so many segments, on all ranks together, whose names `main` returns: left
                                  # in /dev/shm while the rank lives, or gone although somebody needs them

A file that has a run exposes `main(rank, world_size)`. Cases without a run have tests of their own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime.testing import Fault, run_ranks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASE_KEYS = {"code", "reason", "world_sizes", "fix", "run"}
RUN_KEYS = {"file", "faults", "outcome", "results", "timeout", "astray", "raises"}
FAULT_KEYS = {"rank", "target", "nth", "raises", "message", "holds"}
APPLICABILITIES = {"safe", "unsafe", "display", "none"}
TIMEOUT = 20.0


def stated(case: Path) -> dict[str, Any]:
    with case.open("rb") as file:
        return tomllib.load(file)


CASES = {f"{path.parent.parent.name}-{path.parent.name}": path for path in FIXTURES.glob("RS*/*/case.toml")}


@dataclass(frozen=True)
class Run:
    """One `[[run]]` of a case on one number of ranks."""

    program: Path
    world_size: int
    faults: tuple[Fault, ...]
    outcome: str
    one_answer: bool
    timeout: float
    astray: int | None
    raises: str | None


def runs() -> list[Any]:
    """All runs of all cases, with an id that says which they are."""
    found = []
    for name, path in sorted(CASES.items()):
        case = stated(path)
        for run in case.get("run", ()):
            faults = tuple(Fault(**fault) for fault in run.get("faults", ()))
            met = "-".join(f"{fault.target}.{fault.nth}@{fault.rank}" for fault in faults) or "no-fault"
            for world_size in case["world_sizes"]:
                given = Run(
                    path.parent / run["file"],
                    world_size,
                    faults,
                    run["outcome"],
                    run.get("results") == "one answer",
                    run.get("timeout", TIMEOUT),
                    run.get("astray"),
                    run.get("raises"),
                )
                identifier = f"{name}-{Path(run['file']).stem}-{world_size}-{met}"
                found.append(pytest.param(given, id=identifier))
    return found


@pytest.mark.parametrize("run", runs())
def test_a_run_ends_as_stated(run: Run) -> None:
    result = run_ranks(f"{run.program}:main", run.world_size, faults=run.faults, timeout=run.timeout)
    assert result.outcome == run.outcome, result.report()
    assert result.unfired == (), f"faults that never fired: {result.unfired}"
    if run.astray is not None:
        assert sum(len(names) for names in result.results.values()) == run.astray, result.results
    if run.raises is not None:
        assert any(error.is_a(run.raises) for error in result.errors.values()), result.report()
    if run.one_answer:
        assert len({repr(answer) for answer in result.results.values()}) == 1, result.results


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_case_is_complete_and_says_nothing_unknown(name: str) -> None:
    path = CASES[name]
    case = stated(path)
    assert case.keys() <= CASE_KEYS
    assert case["code"] == path.parent.parent.name
    assert case["reason"]
    for run in case.get("run", ()):
        assert run.keys() <= RUN_KEYS
        assert all(fault.keys() <= FAULT_KEYS for fault in run.get("faults", ()))
        assert (path.parent / run["file"]).is_file()
    fix = case.get("fix", {"applicability": "none"})
    assert fix["applicability"] in APPLICABILITIES
    if "fix" in case:
        assert fix["reason"]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_repair_is_run_under_every_fault_that_breaks_the_bug(name: str) -> None:
    stated_runs = stated(CASES[name]).get("run", ())
    broken = [run for run in stated_runs if run["file"] == "bug.py" and not _is_right(name, run)]
    proven = [
        run.get("faults", []) for run in stated_runs if run["file"] == "fixed.py" and _is_right(name, run)
    ]
    if stated_runs and (CASES[name].parent / "fixed.py").exists():
        assert broken
        assert all(run.get("faults", []) in proven for run in broken)


def _is_right(name: str, run: dict[str, Any]) -> bool:
    """No rank waits for ever or ends as it must not, and no segment goes astray. A rank that raises has ended as it
    should where ranks wait for each other; a stale decision shows as an error."""
    ended = ("completed",) if CASES[name].parent.parent.name.startswith("RS2") else ("completed", "failed")
    return run["outcome"] in ended and not run.get("astray") and not run.get("raises")

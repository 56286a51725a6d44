"""sweep is RS101's dynamic twin: over the rule's own fixtures, what one reports is what the other finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime.testing import SweepRow, sweep

FIXTURES = Path(__file__).parents[2] / "fixtures" / "RS101"
BUGS = sorted(path for path in FIXTURES.glob("*/bug.py") if "def main(" in path.read_text(encoding="utf-8"))
FIXED = sorted(
    path for path in FIXTURES.glob("*/fixed.py") if "def main(" in path.read_text(encoding="utf-8")
)

# Lines that RS101 reports and that no failing call has in its chain: what fails there is the body of a `with`, which
# the rule sees from the context manager's yield. The sweep finds it at the call in that body, which is a line of the
# rule's as well.
REPORTED_ONLY = {("second-barrier-outside-finally", 26)}
# Lines at which the sweep parts the ranks and the rule reports nothing, with the reason.
FOUND_ONLY = {
    # The rank's process ends with the exception: no rank goes on while others wait for it.
    ("connection-in-the-with-header", 32),
    # A second reason for the bug of line 17, after which the same barrier is skipped: the rule reports roots.
    ("connection-in-the-with-header", 18),
}


# Those that stand for the others at every run of the tests; the campaign has all of them.
ALWAYS = {
    "barrier-inside-a-guard",
    "prefix-lookup-swallowed",
    "request-three-calls-down",
    "second-barrier-outside-finally",
}


def cases(programs: list[Path]) -> list[Any]:
    """A program for each test, by the name of its case."""
    return [
        pytest.param(path, id=case, marks=() if case in ALWAYS else pytest.mark.campaign)
        for path in programs
        for case in (path.parent.name,)
    ]


def lines_reported(program: Path) -> set[int]:
    """The lines that RS101 reports, as the fixture says."""
    lines = program.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if re.search(r"# expect: .*\bRS101\b", line)}


def chain_of(row: SweepRow) -> list[int]:
    """The program's lines that led to the failing call, its own first."""
    return [int(place.rpartition(":")[2]) for place in row.chain]


@pytest.mark.parametrize("program", cases(BUGS))
def test_what_the_rule_reports_the_sweep_finds_and_nothing_else(program: Path) -> None:
    case = program.parent.name
    result = sweep(f"{program}:main", 2)
    reported = lines_reported(program)
    chains = [chain_of(row) for row in result.parted]
    missed = {(case, line) for line in reported if not any(line in chain for chain in chains)}
    assert missed == {at for at in REPORTED_ONLY if at[0] == case}, result.report()
    more = {(case, chain[0]) for chain in chains if reported.isdisjoint(chain)}
    assert more == {at for at in FOUND_ONLY if at[0] == case}, result.report()


@pytest.mark.campaign
@pytest.mark.parametrize("program", BUGS, ids=lambda path: path.parent.name)
def test_it_is_found_without_rslints_models_too(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_models = {(row.place, row.rank, row.outcome) for row in sweep(f"{program}:main", 2).parted}
    monkeypatch.setattr("rslint_runtime.testing.sweep_trials.rslint_models", lambda: None)
    assert {(row.place, row.rank, row.outcome) for row in sweep(f"{program}:main", 2).parted} == with_models


@pytest.mark.parametrize("program", cases(FIXED))
def test_after_the_repair_no_failure_parts_the_ranks(program: Path) -> None:
    result = sweep(f"{program}:main", 2)
    assert result.rows, "nothing was tried"
    assert result.parted == (), result.report()

"""Every fixture is complete and says nothing unknown, and its right-looking twins end as case.toml says.

Bugs and their repairs are what tests/prove proves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rslint.proof.case import BUG, FIXED, Case, Demonstration, Run, read_case
from rslint.proof.demonstrate import demonstrate
from rslint.proof.prove import copied

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = {
    f"{path.parent.parent.name}-{path.parent.name}": read_case(path.parent)
    for path in sorted(FIXTURES.glob("RS*/*/case.toml"))
}


def twins() -> list[Any]:
    """The demonstrations of all programs that are neither a bug nor its repair, with an id that says which they are."""
    found = []
    for name, case in CASES.items():
        for one in case.demonstrations:
            if one.file not in (BUG, FIXED):
                faults = one.faults if isinstance(one, Run) else ()
                met = (
                    "-".join(f"{fault.target}.{fault.given().get('nth', 1)}@{fault.rank}" for fault in faults)
                    or "no-fault"
                )
                found.append(pytest.param(case, one, id=f"{name}-{Path(one.file).stem}-{met}"))
    return found


@pytest.mark.parametrize(("case", "one"), twins())
def test_a_twin_ends_as_stated(case: Case, one: Demonstration) -> None:
    assert not one.shows_a_failure() or case.code == "RS901"
    with copied(case.folder) as folder:
        for shown in demonstrate(case, one, folder):
            assert shown.as_stated, shown.detail or shown.found


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_why_it_is_there(name: str) -> None:
    case = CASES[name]
    assert case.code == case.folder.parent.name
    assert case.reason
    assert case.fix is None or case.fix.reason


@pytest.mark.parametrize("name", CASES)
def test_a_repair_is_run_under_every_condition_that_breaks_the_bug(name: str) -> None:
    case = CASES[name]
    broken = [one for one in case.of(BUG) if one.shows_a_failure()]
    proven = [one.conditions() for one in case.of(FIXED) if not one.shows_a_failure()]
    if (case.folder / FIXED).exists():
        assert broken
        assert all(one.conditions() in proven for one in broken)


def test_every_repair_that_is_offered_is_written_down() -> None:
    offered = {
        name for name, case in CASES.items() if case.fix and case.fix.applicability in ("safe", "unsafe")
    }
    assert offered == {name for name, case in CASES.items() if (case.folder / FIXED).exists()}

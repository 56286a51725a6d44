"""Every bug of the fixtures is shown, and every fix that is offered is proven: its result is fixed.py letter by letter,
and runs under the conditions that broke the bug."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from rslint.proof.case import BUG, Case, read_case
from rslint.proof.find import cases_for, fixable_codes, shipped_fixtures
from rslint.proof.prove import prove

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = [
    read_case(path.parent)
    for path in sorted(FIXTURES.glob("RS*/*/case.toml"))
    if (path.parent / BUG).exists()
]


def named(case: Case) -> str:
    return f"{case.code}-{case.name}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_bug_is_shown_and_its_fix_proven(case: Case) -> None:
    proof = prove(case)
    assert not proof.problem, "\n".join([proof.problem, *(one.detail for one in (*proof.bug, *proof.fixed))])
    repaired = proof.fix.program is not None
    assert proof.fix.state == ("golden" if repaired else "none offered")
    assert proof.verdict == ("proven" if repaired else "shown")
    assert repaired == (case.fix is not None and case.fix.applicability in ("safe", "unsafe"))


def test_every_code_with_a_fix_has_a_fixture_that_proves_it() -> None:
    repaired = {case.code for case in CASES if case.fix and case.fix.applicability in ("safe", "unsafe")}
    assert set(fixable_codes()) - repaired == set()


def test_without_arguments_all_fixtures_of_fixable_codes_are_meant() -> None:
    assert shipped_fixtures().resolve() == FIXTURES.resolve()
    meant = Counter(case.code for case in cases_for((), ()))
    assert meant == Counter(case.code for case in CASES if case.code in fixable_codes())

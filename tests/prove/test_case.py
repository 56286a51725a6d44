"""What a stated run shows: whether its end is a failure of the program, or what an injected fault must lead to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rslint.proof.case import BUG, FIXED, Case, CaseError, Explored, Ordered, Run, StatedFault, read_case
from rslint.proof.prove import after_the_fix

RAISES = StatedFault(rank=0, target="fetch", raises="OSError")
BARE = StatedFault(rank=0, target="fetch")
HOLDS = StatedFault(rank=0, target="fetch", holds="wait")
KILLS = StatedFault(rank=0, target="fetch", kills="SIGKILL")


@pytest.mark.parametrize(
    ("outcome", "faults", "extra", "fails"),
    [
        ("completed", (), {}, False),
        ("completed", (RAISES,), {}, False),
        ("failed", (), {}, True),
        ("failed", (RAISES,), {}, False),
        ("failed", (BARE,), {}, False),
        ("failed", (HOLDS,), {}, True),
        ("ended", (RAISES,), {}, False),
        ("deadlock", (RAISES,), {}, True),
        ("mismatch", (), {}, True),
        ("timeout", (), {}, True),
        ("peer_died", (KILLS,), {}, False),
        ("peer_died", (RAISES,), {}, True),
        ("completed", (), {"astray": 1}, True),
        ("completed", (), {"astray": 0}, False),
        ("failed", (RAISES,), {"raises": "KeyError"}, True),
    ],
)
def test_what_a_run_shows(
    outcome: Any, faults: tuple[StatedFault, ...], extra: dict[str, Any], fails: bool
) -> None:
    assert Run(file=BUG, outcome=outcome, faults=faults, **extra).shows_a_failure() == fails


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (Run(file=BUG, outcome="deadlock", faults=(RAISES,)), "ended"),
        (Run(file=BUG, outcome="deadlock", faults=(HOLDS,)), "completed"),
        (Run(file=BUG, outcome="deadlock", faults=(KILLS,)), "peer_died"),
        (Run(file=BUG, outcome="failed"), "completed"),
        (Run(file=BUG, outcome="failed", faults=(RAISES,)), "failed"),
        (Run(file=BUG, outcome="completed", astray=2), "completed"),
        (Explored(file=BUG, scenario="s.py:f", outcome="deadlock"), "completed"),
        (Ordered(file=BUG, outcome="wrong", seeds=3), "right"),
    ],
)
def test_how_the_fixed_program_is_to_end_under_the_same_conditions(one: Any, outcome: str) -> None:
    case = Case(Path("/case"), "RS101", "", (2,), None, (one,))
    (after,) = after_the_fix(case)
    assert (after.file, after.outcome) == (FIXED, outcome)  # type: ignore[union-attr]
    assert not after.shows_a_failure()
    assert getattr(after, "astray", None) in (None, 0)


def test_what_is_stated_for_the_fixed_program_stands() -> None:
    stated = Run(file=FIXED, outcome="failed", faults=(RAISES,))
    bug = Run(file=BUG, outcome="deadlock", faults=(RAISES,))
    assert after_the_fix(Case(Path("/case"), "RS101", "", (2,), None, (bug, stated))) == (stated,)


LINES = [
    'code = "RS101"',
    "world_sizes = [2]",
    "[fix]",
    'applicability = "safe"',
    "[[run]]",
    "[[explore]]",
    "[[weak_memory]]",
    "[[check]]",
    'file = "bug.py"',
    'file = "../bug.py"',
    'outcome = "completed"',
    'faults = [{rank = 0, target = "f"}]',
    'entry = "bug.py"',
    'scenario = "bug.py:f"',
    "findings = []",
]


def read(folder: Path) -> Case | str:
    """The case, or why it cannot be read."""
    try:
        return read_case(folder)
    except CaseError as error:
        return str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(LINES), unique=True).map("\n".join)))
def test_any_text_is_a_case_or_one_line_that_says_why_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "bug.py").touch()
    (tmp_path / "case.toml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    found = read(tmp_path)
    if isinstance(found, str):
        assert found.startswith(f"{tmp_path / 'case.toml'}: ")
        assert len(found.splitlines()) == 1
    else:
        assert found.code == "RS101"
        assert all(one.file == BUG for one in found.demonstrations)

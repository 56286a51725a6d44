"""Every golden pair on gloo ranks: before, a fault is a proven deadlock; after, no rank waits."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the proofs run on gloo ranks")

from rslint_runtime.testing import Fault, run_ranks

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())


def program(case: str, name: str) -> str:
    return f"{GOLDEN / case / name}:main"


def fault(rank: int) -> Fault:
    return Fault(rank=rank, target="fetch", nth=1, raises=ConnectionError)


@pytest.mark.parametrize("case", CASES)
def test_without_a_fault_the_results_are_the_same(case: str) -> None:
    before, after = (run_ranks(program(case, name), 2) for name in ("before.py", "after.py"))
    assert (before.outcome, after.outcome) == ("completed", "completed")
    assert before.results == after.results


@pytest.mark.parametrize("case", CASES)
def test_before_the_repair_a_fault_is_a_deadlock(case: str) -> None:
    assert run_ranks(program(case, "before.py"), 2, faults=[fault(0)]).outcome == "deadlock"


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.startswith("fold-") and "in-a-try" not in case]
)
def test_after_an_envelope_or_guard_every_rank_raises_the_same_type(case: str) -> None:
    result = run_ranks(program(case, "after.py"), 2, faults=[fault(0)])
    assert result.outcome == "failed"
    assert sorted(result.errors) == [0, 1]
    assert all(error.is_a("ConnectionError") for error in result.errors.values())
    assert result.errors[0].type_name == "ConnectionError"


def test_handlers_of_the_function_see_the_failure_on_every_rank() -> None:
    result = run_ranks(program("envelope-in-a-try", "after.py"), 2, faults=[fault(0)])
    assert result.outcome == "completed"
    assert result.results == {0: None, 1: None}


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("fold-")])
def test_after_folding_the_failing_rank_raises_and_its_peer_sees_the_flag_fail(case: str) -> None:
    result = run_ranks(program(case, "after.py"), 2, faults=[fault(1)])
    assert result.outcome == "failed"
    assert {rank: error.type_name for rank, error in result.errors.items()} == {1: "ConnectionError"}
    assert result.results[0] in (False, [False])

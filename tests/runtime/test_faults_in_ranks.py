"""Faults in ranks: they fire where they are asked to, can be switched, and those that never fire are told."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime.testing import Fault, RunError, RunResult, run_ranks, switch

PROGRAMS = Path(__file__).with_name("swept.py")


def run(name: str, world_size: int = 2, **options: Any) -> RunResult:
    return run_ranks(f"{PROGRAMS}:{name}", world_size, **options)


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(PROGRAMS.read_text().splitlines(), 1) if text in line)


# --- where


@pytest.mark.parametrize(("rank", "failing"), [(1, {1}), ((0, 2), {0, 2}), ("every", {0, 1, 2})])
def test_a_fault_may_be_on_several_ranks(rank: Any, failing: set[int]) -> None:
    result = run("fetches", 3, faults=[Fault(rank, "SilentClient.fetch", raises=TimeoutError)])
    assert set(result.errors) == failing
    assert all(error.type_name == "TimeoutError" for error in result.errors.values())


def test_a_rank_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="rank 2 does not exist with world_size=2"):
        run("fetches", faults=[Fault((0, 2), "SilentClient.fetch")])


def test_a_call_in_another_thread_counts() -> None:
    result = run("fetches_in_a_thread", faults=[Fault(1, "SilentClient.fetch", raises=OSError)])
    assert set(result.errors) == {1}


@pytest.mark.parametrize("target", ["", "SilentClient.fetch"])
def test_a_call_at_a_place_in_another_thread_counts(target: str) -> None:
    place = f"swept.py:{line_of('return executor.submit')}"
    result = run("fetches_in_a_thread", faults=[Fault(0, target or "submit", at=place, raises=OSError)])
    # What the thread calls is called by the executor, not from that line.
    assert set(result.errors) == (set() if target else {0})


def test_what_an_executor_calls_for_the_program_counts() -> None:
    result = run("stats_in_an_executor", faults=[Fault(0, "os.stat", nth=2, raises=OSError)])
    assert {rank: error.type_name for rank, error in result.errors.items()} == {0: "OSError"}, result.report()


def test_the_harness_own_calls_are_left_alone() -> None:
    result = run("opens", faults=[Fault(0, "builtins.open", message="the program's")])
    assert result.outcome == "failed", result.report()
    assert "in opens" in result.errors[0].traceback


def test_a_target_that_cannot_be_replaced_is_one_clear_line() -> None:
    with pytest.raises(
        RunError, match=r"fault target 'str\.upper' cannot be replaced: str is written in C"
    ) as caught:
        run("fetches", faults=[Fault(0, "str.upper")])
    assert "\n" not in str(caught.value)


# --- what


def test_a_rank_can_be_killed_at_a_call() -> None:
    result = run("barrier_then_fetches", faults=[Fault(1, "SilentClient.fetch", kills=signal.SIGKILL)])
    assert (result.outcome, result.detail) == ("peer_died", "rank 1 was killed by signal 9 (SIGKILL)")
    assert result.unfired == ()


def test_a_delay_is_no_failure() -> None:
    result = run("barrier_then_fetches", faults=[Fault(1, "dist.barrier", delays=0.3)])
    assert result.outcome == "completed", result.report()
    assert result.seconds >= 0.3


def test_a_call_can_be_answered() -> None:
    result = run("fetches", faults=[Fault(1, "SilentClient.fetch", returns="other")])
    assert result.results == {0: "{}", 1: "other"}


# --- when


def outage(**options: Any) -> Fault:
    return Fault("every", "SilentClient.fetch", "every", ConnectionError, name="outage", **options)


def test_a_rank_switches_a_fault_on_and_off_for_all_ranks() -> None:
    result = run("asks_until_it_is_told", faults=[outage(active=False)])
    assert result.outcome == "completed", result.report()
    assert set(map(tuple, result.results.values())) == {("{}", "down", "down", "{}", "{}")}


def test_the_caller_switches_a_fault_off_while_the_ranks_run(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def heal() -> None:
        deadline = time.monotonic() + 30.0
        while not seen.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        switch("outage", on=False)

    thread = threading.Thread(target=heal)
    thread.start()
    result = run("asks_while_a_file_is_missing", faults=[outage()], args=(str(seen),))
    thread.join()
    assert result.results == {0: ["down", "{}"], 1: ["down", "{}"]}, result.report()


def test_a_switch_that_does_not_exist_says_which_do() -> None:
    result = run("switches_what_is_not_there", faults=[Fault(0, "fetches", nth=9, name="power")])
    assert set(result.results.values()) == {"no fault to switch is named 'outage': there are power"}
    with pytest.raises(LookupError, match="no run with faults is under way"):
        switch("outage", on=True)


# --- what never happens


def test_faults_that_never_fire_are_told_with_the_reason() -> None:
    faults = [
        Fault(0, "dist.all_reduce"),
        Fault("every", "SilentClient.fetch", nth=3),
        Fault(1, "SilentClient.fetch", returns="other"),
        outage(active=False),
    ]
    result = run("fetches", faults=faults)
    assert (result.outcome, result.unfired, result.uncalled) == ("completed", (0, 1, 3), (0, 3))
    assert result.faults == tuple(str(fault) for fault in faults)
    report = result.report()
    assert (
        "fault 0 never fired, its call was never made: raise RuntimeError at call 1 of dist.all_reduce on rank 0"
        in report
    )
    assert "fault 1 never fired, its call was made, but not that one: raise" in report
    assert "fault 2" not in report

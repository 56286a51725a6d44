"""run_ranks: how a run of ranks ends, and what is known about it afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from rslint_runtime.testing import Fault, RankError, RunError, RunResult, Unreadable, run_ranks

PROGRAMS = Path(__file__).with_name("programs.py")


def run(name: str, world_size: int = 2, **options: object) -> RunResult:
    return run_ranks(f"{PROGRAMS}:{name}", world_size, **options)  # type: ignore[arg-type]


def of_this_module(rank: int, world_size: int) -> int:
    return rank + world_size


# --- results


def test_every_rank_returns_and_its_value_and_output_come_back() -> None:
    result = run("all_reduced", 3)
    assert result.outcome == "completed"
    assert result.results == {rank: [3.0, 3.0] for rank in range(3)}
    assert result.output == {rank: f"this is rank {rank}\n" for rank in range(3)}
    assert (result.errors, result.waiting, result.detail) == ({}, (), "")


def test_a_function_of_a_test_module_can_be_passed_itself() -> None:
    assert run_ranks(of_this_module, 2).results == {0: 2, 1: 3}


def test_args_reach_the_ranks() -> None:
    assert run("with_arguments", args=(5, ("a", "b"))).results == {0: "a5", 1: "b6"}


def test_a_world_of_one() -> None:
    assert run("all_reduced", 1).results == {0: [0.0, 0.0]}


def test_an_exception_on_every_rank_is_failed_with_each_error() -> None:
    result = run("fails_everywhere")
    assert result.outcome == "failed"
    assert {rank: (error.type_name, error.text) for rank, error in result.errors.items()} == {
        0: ("KeyError", "'rank 0'"),
        1: ("KeyError", "'rank 1'"),
    }
    assert "fails_everywhere" in result.errors[0].traceback
    assert result.errors[0].is_a("LookupError")


def test_an_exception_that_cannot_be_pickled_is_reported_by_its_text() -> None:
    result = run("fails_last")
    assert result.outcome == "failed"
    assert result.results == {0: "fine"}
    assert isinstance(result.errors[1], RankError)
    assert result.errors[1].type_name.endswith(".Unpicklable")
    assert result.errors[1].text == "1/2"


def test_idle_threads_of_an_executor_do_not_keep_a_rank() -> None:
    assert run("keeps_an_executor").results == {0: "0", 1: "1"}


@pytest.mark.parametrize(("code", "outcome"), [(0, "completed"), (3, "failed")])
def test_sys_exit_counts_by_its_code(code: int, outcome: str) -> None:
    assert run("exits", args=(code,)).outcome == outcome


def test_a_value_that_cannot_be_pickled_does_not_hide_the_outcome() -> None:
    result = run("returns_lambda")
    assert result.outcome == "completed"
    assert isinstance(result.results[0], Unreadable)
    assert "cannot be pickled" in result.results[0].text


def test_the_sequence_names_operation_call_group_and_place() -> None:
    (entered,) = run("all_reduced").sequences[0]
    assert (entered.operation, entered.call, entered.group.ranks, entered.index) == (
        "all_reduce", "all_reduce", (0, 1), 1,
    )  # fmt: skip
    assert entered.signature == ("float32[2]",)
    line = next(
        n for n, text in enumerate(PROGRAMS.read_text().splitlines(), 1) if "dist.all_reduce(value)" in text
    )
    assert entered.place == f"{PROGRAMS}:{line}"


def test_collectives_that_only_cpp_code_issues_are_recorded() -> None:
    result = run("trains")
    assert result.outcome == "completed", result.report()
    assert ("all_reduce", "backward") in {
        (entered.operation, entered.call) for entered in result.sequences[0]
    }


# --- controls: slow or unusual, and right


@pytest.mark.parametrize("name", ["asleep_before_collective", "computing_before_collective"])
def test_a_rank_that_is_late_by_five_seconds_is_no_deadlock(name: str) -> None:
    result = run(name, args=(5.0,))
    assert result.outcome == "completed", result.report()
    assert result.seconds >= 5.0


@pytest.mark.parametrize("name", ["late_second_thread", "two_groups_legal_order", "late_in_new_group"])
def test_what_only_looks_like_a_deadlock_completes(name: str) -> None:
    result = run(name, args=(1.5,))
    assert result.outcome == "completed", result.report()


def test_a_thread_that_was_not_recorded_may_still_come() -> None:
    result = run("thread_behind_the_recorders_back", args=(1.0,))
    assert result.outcome == "completed", result.report()


def test_an_operation_that_torch_refuses_has_not_happened() -> None:
    result = run("refused_by_torch")
    assert result.outcome == "completed", result.report()


def test_a_rank_that_leaves_inside_a_broadcast_tree() -> None:
    result = run("one_of_four_leaves", 4)
    assert result.outcome == "deadlock", result.report()
    assert result.seconds < 1.5


def test_a_daemon_thread_that_still_waits_does_not_outlive_its_rank() -> None:
    assert run("daemon_left_waiting").outcome == "completed"


# --- deadlocks


@pytest.mark.parametrize(
    ("name", "world_size", "waiting"),
    [
        ("circular", 2, {0, 1}),
        ("chain", 3, {0, 1}),
        ("joined_thread", 2, {1}),
        ("executor_future", 2, {1}),
        ("async_work", 2, {0}),
        ("process_group_method", 2, {0}),
        ("functional", 2, {0}),
        ("new_group_on_one_rank", 2, {0}),
        ("receives_nothing", 2, {1}),
        ("root_of_a_broadcast", 2, {0}),
    ],
)
def test_a_deadlock_is_proven_long_before_any_timeout(name: str, world_size: int, waiting: set[int]) -> None:
    run("all_reduced")  # the server is up
    result = run(name, world_size, group_timeout=600.0)
    assert result.outcome == "deadlock", result.report()
    assert {wait.rank for wait in result.waiting} == waiting
    # torch's functional collectives import torch._dynamo at their first call, which takes seconds by itself.
    assert result.seconds < (20.0 if name == "functional" else 1.0)


def test_the_leaders_rpc_fails_and_its_peer_waits_for_it() -> None:
    result = run("leader_rpc_then_broadcast", faults=[Fault(0, "Client.start", raises=ConnectionError)])
    assert result.outcome == "deadlock", result.report()
    assert result.seconds < 1.0
    assert result.errors[0].type_name == "ConnectionError"
    (wait,) = result.waiting
    assert (wait.rank, wait.collective.call, wait.collective.operation) == (
        1,
        "broadcast_object_list",
        "broadcast",
    )
    assert wait.missing[0][0] == 0
    assert wait.missing[0][1].startswith("raised ConnectionError")
    assert (len(result.sequences[0]), len(result.sequences[1])) == (0, 1)


def test_an_error_that_the_leader_swallows_is_a_deadlock_too() -> None:
    result = run("leader_swallows", 3, faults=[Fault(0, "Client.start", raises=ConnectionError)])
    assert result.outcome == "deadlock", result.report()
    assert result.results == {0: "logged"}


def test_the_report_tells_who_waits_who_left_and_where_they_part() -> None:
    report = run(
        "leader_rpc_then_broadcast", faults=[Fault(0, "Client.start", raises=ConnectionError)]
    ).report()
    for part in (
        "deadlock after",
        "here the ranks part",
        "rank 1 waits in broadcast (broadcast_object_list)",
        "rank 0 (raised ConnectionError",
        "programs.py:",
        "rank 0 raised ConnectionError",
    ):
        assert part in report


@pytest.mark.parametrize("name", ["monitored", "own_timeout"])
def test_an_operation_that_gives_up_by_itself_is_no_deadlock(name: str) -> None:
    result = run(name)
    assert result.outcome == "failed", result.report()
    assert set(result.errors) == {0}


def test_a_rank_that_never_ends_and_waits_for_nobody_is_a_timeout() -> None:
    result = run("spins", timeout=1.0)
    assert result.outcome == "timeout"
    assert 1.0 <= result.seconds < 2.0


# --- mismatches and deaths


@pytest.mark.parametrize(
    ("name", "told"),
    [("other_operation", ("barrier", "all_reduce")), ("other_shape", ("float32[3]", "float32[4]"))],
)
def test_different_operations_or_shapes_at_one_index_are_a_mismatch(name: str, told: tuple[str, str]) -> None:
    result = run(name)
    assert result.outcome == "mismatch", result.report()
    for part in told:
        assert part in result.detail


@pytest.mark.parametrize(
    ("name", "detail"),
    [("killed", "rank 0 was killed by signal 9 (SIGKILL)"), ("exits_hard", "rank 1 exited with status 3")],
)
def test_a_rank_whose_process_ends_is_peer_died(name: str, detail: str) -> None:
    result = run(name)
    assert result.outcome == "peer_died", result.report()
    assert result.detail == detail


def test_what_a_killed_rank_wrote_is_kept() -> None:
    assert "last words" in run("killed").output[0]


# --- faults


def test_a_fault_fires_at_its_call_on_its_rank_only() -> None:
    fault = Fault(1, "dist.barrier", nth=1, raises=ValueError, message="chosen")
    result = run("fails_last", faults=[fault])
    assert (result.errors[1].type_name, result.errors[1].text) == ("ValueError", "chosen")


def test_a_fault_that_never_fires_is_reported() -> None:
    result = run("all_reduced", faults=[Fault(0, "Client.ping"), Fault(0, "dist.all_reduce", nth=2)])
    assert (result.outcome, result.unfired) == ("completed", (0, 1))
    assert "fault 1 never fired" in result.report()


@pytest.mark.parametrize(
    "raises", ["ConnectionError", "Refused", ConnectionError("ready made"), ConnectionError]
)
def test_the_exception_of_a_fault_may_be_a_type_an_instance_or_a_name(raises: object) -> None:
    fault = Fault(0, "Client.start", raises=raises)  # type: ignore[arg-type]
    result = run("leader_rpc_then_broadcast_result", faults=[fault])
    assert result.errors[0].is_a("ConnectionError")


@pytest.mark.parametrize("target", ["Client.stop", "nowhere.function", "nothing", "os.path.nothing"])
def test_a_fault_on_an_unknown_name_is_an_error(target: str) -> None:
    with pytest.raises(RunError, match=rf"fault target '{target}' cannot be resolved"):
        run("all_reduced", faults=[Fault(0, target)])


# --- wrong use


def test_arguments_that_cannot_be_pickled_are_refused() -> None:
    with pytest.raises(TypeError, match="picklable"):
        run("with_arguments", args=(threading.Lock(),))


def test_a_file_or_function_that_does_not_exist_is_named() -> None:
    with pytest.raises(RunError, match=r"absent\.py: no such file"):
        run_ranks("absent.py:main", 2)
    with pytest.raises(RunError, match="no function 'absent'"):
        run("absent")


def test_a_function_that_is_not_there_is_answered_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most five, closest names first; neither a rank nor a type of the harness's own has to do with it."""
    monkeypatch.chdir(tmp_path)
    names = ["load", "serve", "run", "mains", "drain", "stop", "main_loop"]
    program = tmp_path / "program.py"
    program.write_text("from os.path import join\n" + "".join(f"def {name}(r, w): pass\n" for name in names))
    with pytest.raises(RunError) as caught:
        run_ranks("program.py:main", 2)
    assert str(caught.value) == (
        "program.py has no function 'main'; it has mains, drain, main_loop, run, load and 2 more"
    )
    program.write_text("main = 1\n")
    with pytest.raises(RunError, match=r"^program\.py has no function 'start'; it has none$"):
        run_ranks("program.py:start", 2)
    with pytest.raises(RunError, match=r"^'main' in program\.py is a int, no function$"):
        run_ranks(program.name + ":main", 2)


def test_a_fault_that_names_nothing_is_answered_with_the_file_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(PROGRAMS.parent)
    with pytest.raises(RunError) as caught:
        run("all_reduced", faults=[Fault(1, "no.such")])
    assert str(caught.value) == (
        "fault target 'no.such' cannot be resolved: neither in programs.py nor as a dotted name"
    )


def test_a_program_that_cannot_be_imported_shows_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import does_not_exist_anywhere\n")
    with pytest.raises(RunError, match="does_not_exist_anywhere"):
        run_ranks(f"{tmp_path / 'broken.py'}:main", 2)


@pytest.mark.parametrize(("world_size", "faults"), [(0, ()), (1000, ()), (2, (Fault(2, "Client.start"),))])
def test_ranks_out_of_range_are_refused(world_size: int, faults: tuple[Fault, ...]) -> None:
    with pytest.raises(ValueError, match="world_size"):
        run("all_reduced", world_size, faults=faults)

"""Collectives that a failing rank still takes part in: its failure reaches all ranks, as the same type of error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime import agree, broadcast_result, gather_results, rank_guard
from rslint_runtime.testing import Fault, RunResult, run_ranks

PROGRAMS = Path(__file__).with_name("programs.py")
COLLECTIVE_PROGRAMS = Path(__file__).with_name("collective_programs.py")
REFUSED = [Fault(0, "Client.start", raises=ConnectionError, message="manager is down")]


def run(name: str, world_size: int = 2, **options: Any) -> RunResult:
    result = run_ranks(f"{PROGRAMS}:{name}", world_size, **options)
    assert result.outcome in ("completed", "failed"), result.report()
    return result


def run_collectives(name: str, world_size: int = 2, **options: Any) -> RunResult:
    result = run_ranks(f"{COLLECTIVE_PROGRAMS}:{name}", world_size, **options)
    assert result.outcome == "completed", result.report()
    return result


def failure(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the failing rank and its peer caught."""
    results = run("describes_failure", args=(kind,)).results
    return results[0], results[1]


# --- the bug it is for


def test_without_a_failure_every_rank_has_the_value_for_two_broadcasts() -> None:
    result = run("leader_rpc_then_broadcast_result", 3)
    assert result.results == {rank: {"session": 7} for rank in range(3)}
    operations = [entered.operation for entered in result.sequences[1]]
    assert operations == ["broadcast", "broadcast", "all_reduce"]


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_leaders_failed_rpc_raises_on_every_rank_what_the_same_handler_catches(world_size: int) -> None:
    result = run("leader_rpc_then_broadcast_result", world_size, faults=REFUSED)
    assert result.outcome == "failed"
    assert set(result.errors) == set(range(world_size))
    assert all(error.is_a("ConnectionError") for error in result.errors.values())


def test_handlers_written_before_keep_the_ranks_in_step() -> None:
    result = run("handled_alike", 3, faults=REFUSED)
    assert result.results == {0: "ConnectionError False", 1: "PeerError True", 2: "PeerError True"}


# --- what the peers learn


def test_the_peer_has_rank_text_traceback_and_cause() -> None:
    own, peer = failure("chained")
    assert own["types"][0] == "Refused"
    assert peer["types"][:3] == ["PeerError", "PeerError", "Refused"]
    assert peer["text"].startswith("rank 0 raised ")
    assert "no luck" in peer["text"]
    assert "KeyError: 'missing'" in peer["traceback"]
    assert "produce" in peer["traceback"]
    assert peer["cause"] == "Refused('no luck')"
    assert peer["rank"] == 0


def test_fields_that_handlers_look_at_come_along() -> None:
    assert failure("chained")[1]["retry_after"] == 3
    own, peer = failure("file")
    assert own["errno"] == peer["errno"] == 2


def test_of_an_error_of_fifty_megabytes_little_is_sent() -> None:
    result = run_collectives("raises_fifty_megabytes")
    assert (result.results[0], result.results[1] < 200_000) == (50_000_000, True)
    (sent,) = [int(size) for size in re.findall(r"uint8\[(\d+)\]", str(result.sequences[1]))]
    assert sent < 200_000


def test_an_exit_of_the_leader_is_an_ordinary_error_on_its_peers() -> None:
    own, peer = failure("exit")
    assert (own["types"][0], own["code"]) == ("SystemExit", 5)
    assert peer["types"][:2] == ["PeerError", "Exception"]
    assert peer["text"].startswith("rank 0 raised SystemExit: 5")
    assert peer["cause"] == "SystemExit(5)"


def test_an_exception_that_cannot_be_pickled_still_arrives_as_its_type() -> None:
    own, peer = failure("unpicklable error")
    assert own["types"][0] == "Unpicklable"
    assert "Unpicklable" in peer["types"]
    assert "1/2" in peer["text"]


def test_a_type_that_peers_cannot_import_arrives_as_its_nearest_base() -> None:
    own, peer = failure("local type")
    assert own["types"][:2] == ["Local", "LookupError"]
    assert "LookupError" in peer["types"]
    assert "Local: here" in peer["text"]


def test_a_type_with_required_arguments_can_be_a_base() -> None:
    assert "UnicodeDecodeError" in failure("decode")[1]["types"]


def test_a_value_that_cannot_be_pickled_is_a_failure_of_the_source() -> None:
    own, peer = failure("unpicklable value")
    assert own["types"][0] in peer["types"]


# --- groups


def test_a_sub_group_is_served_and_strangers_are_refused() -> None:
    results = run("on_a_subgroup", 3).results
    assert "not a member" in results[0]
    value, refusal, agreed = results[1]
    assert (value, agreed) == ({"from": 2}, False)
    assert refusal == "broadcast_result: src=0 is not a member of the group with ranks [1, 2]"
    assert results[2][0] == {"from": 2}


@pytest.mark.parametrize("src", [2, -1, 1.0, None])
def test_a_source_that_is_no_rank_of_the_group_is_refused_on_all_ranks(src: Any) -> None:
    result = run_ranks(lambda rank, world_size, src: broadcast_result(lambda: 3, src=src), 2, args=(src,))
    assert result.outcome == "failed", result.report()
    assert all(error.is_a("ValueError") for error in result.errors.values()), result.report()


@pytest.mark.parametrize("name", ["in_a_group_of_one", "without_a_group"])
def test_a_group_of_one_and_no_group_at_all(name: str) -> None:
    assert run(name, 1).results == {0: ([1], False, True)}


def test_outside_of_any_distributed_program() -> None:
    with rank_guard():
        assert broadcast_result(lambda: 3, src=0) == 3
    assert (agree(True), agree(False)) == (True, False)


def test_large_values() -> None:
    assert run("large_value", 3).results == dict.fromkeys(range(3), 5000000)


def test_numpy_is_not_imported() -> None:
    assert run("imports_of_numpy").results == {0: [], 1: []}


# --- rank_guard and agree


def test_a_guard_lets_all_ranks_through_or_none() -> None:
    assert set(run("guarded", 3, args=((),)).results.values()) == {"in step"}
    results = run("guarded", 3, args=((1,),)).results
    assert results[1] == "Refused: shard 1"
    assert results[0] == results[2]
    assert results[0].startswith("PeerError: rank 1 raised")


def test_ranks_that_failed_keep_their_own_exception() -> None:
    results = run("guarded", 3, args=((0, 2),)).results
    assert (results[0], results[2]) == ("Refused: shard 0", "Refused: shard 2")
    assert results[1].startswith("PeerError: rank 0 raised")


def test_a_collective_inside_a_guard_behind_a_failure_does_not_match() -> None:
    """What the docstring warns of: the guard's exit meets the peers' barrier."""
    result = run_ranks(f"{PROGRAMS}:collective_inside_guard", 2)
    assert result.outcome in ("mismatch", "deadlock")
    assert "RS101" in (rank_guard.__doc__ or "")


def test_agree_is_true_only_if_all_are() -> None:
    result = run("agreed", 2)
    assert result.results == {0: (False, True), 1: (False, True)}
    assert [entered.operation for entered in result.sequences[0]] == ["all_reduce", "all_reduce"]


def test_peers_do_not_wait_for_a_rank_that_cannot_tell_whether_it_agrees() -> None:
    results = run_collectives("neither_true_nor_false").results
    assert results == {0: "ValueError: the truth value is ambiguous", 1: False}


def test_guards_may_be_nested_also_on_a_part_of_the_ranks() -> None:
    """Rank 0 is no member of the inner guard's group, and learns from the outer one where it began."""
    assert run_collectives("nested_guards", 3).results == {
        0: "PeerError: rank 2 raised ConnectionError: shard 2",
        1: "PeerError: rank 2 raised ConnectionError: shard 2",
        2: "ConnectionError: shard 2",
    }


def test_a_guard_can_be_entered_again_and_decorate() -> None:
    """StopIteration, because it ends generators, and a guard must not be one."""
    results = run_collectives("guards_one_after_the_other").results
    assert results[0] == ["fine", "PeerError: rank 1 raised StopIteration: no more", "StopIteration: no more"]
    assert results[1] == ["fine", "StopIteration: no more", "PeerError: rank 0 raised StopIteration: no more"]


def test_a_guard_has_the_group_that_was_there_when_it_was_entered() -> None:
    assert run_collectives("guard_over_a_changed_world").results == {0: "fine", 1: "failed alone"}


def test_a_guard_is_named_in_reports_as_programs_call_it() -> None:
    result = run("guarded", 2, args=((),))
    assert [entered.call for entered in result.sequences[0]] == ["rank_guard", "barrier"]


# --- gather_results


def test_results_are_gathered_in_group_order_for_two_all_gathers() -> None:
    result = run_collectives("gathered", 3)
    assert result.results == {rank: ["", "x", "xx"] for rank in range(3)}
    assert [entered.operation for entered in result.sequences[0]] == ["all_gather", "all_gather"]


def test_if_some_ranks_fail_to_produce_a_result_all_raise() -> None:
    results = run_collectives("gathered_where_some_fail", 3, args=((1, 2),)).results
    assert results[0] == ("rank 1 raised ConnectionError: shard 1", {1: "shard 1", 2: "shard 2"})
    assert (results[1], results[2]) == (("shard 1", {}), ("shard 2", {}))


def test_if_all_ranks_fail_each_raises_its_own() -> None:
    results = run_collectives("gathered_where_some_fail", 2, args=((0, 1),)).results
    assert results == {0: ("shard 0", {}), 1: ("shard 1", {})}


def test_what_is_gathered_may_take_collectives_on_the_same_group() -> None:
    assert run_collectives("gathered_with_collectives_inside").results == {0: [1.5, 1.5], 1: [1.5, 1.5]}


# --- values


def test_who_made_a_value_keeps_that_very_object() -> None:
    assert run_collectives("own_objects").results == {0: (False, True), 1: (True, True)}


def test_a_value_is_pickled_once() -> None:
    assert run_collectives("changes_while_it_is_pickled").results == dict.fromkeys((0, 1), (1, ["pickled"]))


def test_values_of_all_kinds() -> None:
    assert run_collectives("values_of_all_kinds").results == {0: (True, True), 1: (True, True)}


def test_a_large_value_takes_little_more_memory_than_itself() -> None:
    """At the source its pickle; at a peer that and the copy; gathering, everybody's as well."""
    source, peer = run_collectives("memory_for_a_value", args=(4_000_000,)).results.values()
    assert source[0] < 1.5
    assert peer[0] < 2.5
    assert max(source[1], peer[1]) < 4.5


def test_a_receiver_that_cannot_rebuild_the_value_raises_alone() -> None:
    own = "ModuleNotFoundError: no module named 'plugin'"
    result = run_collectives("cannot_be_rebuilt", 3, args=(False,))
    assert result.results == {0: "OnlyAtHome", 1: own, 2: "str"}
    gathered = run_collectives("cannot_be_rebuilt_among_all", 3, args=(False,))
    assert gathered.results == {0: 3, 1: own, 2: 3}


@pytest.mark.parametrize("name", ["cannot_be_rebuilt", "cannot_be_rebuilt_among_all"])
def test_with_confirm_all_raise_if_one_cannot_rebuild_the_value(name: str) -> None:
    results = run_collectives(name, 3, args=(True,)).results
    assert results[1] == "ModuleNotFoundError: no module named 'plugin'"
    assert results[0] == results[2] == f"PeerError: rank 1 raised {results[1]}"


def test_to_confirm_takes_one_all_reduce_more() -> None:
    result = run_collectives("confirmed")
    assert result.results == dict.fromkeys((0, 1), (1, [0, 1]))
    operations = [entered.operation for entered in result.sequences[0]]
    assert operations == ["broadcast", "broadcast", "all_reduce", "all_gather", "all_gather", "all_reduce"]


def test_what_is_larger_than_one_collective_carries_goes_in_parts() -> None:
    result = run_collectives("large_and_in_parts", args=(1000,))
    assert result.results == dict.fromkeys((0, 1), (True, [(0, 1000), (1, 1001)]))
    operations = [entered.operation for entered in result.sequences[0]]
    assert operations == ["broadcast"] * 4 + ["all_gather"] * 4


@pytest.mark.parametrize("primitive", ["broadcast_result", "gather_results"])
def test_where_a_large_value_has_no_room_all_raise(primitive: str) -> None:
    results = run_collectives("no_room", 3, args=(primitive,)).results
    assert results[1].startswith("MemoryError: no room for the ")
    assert results[0] == results[2] == f"PeerError: rank 1 raised {results[1]}"


def test_the_device_that_new_tensors_are_made_on_does_not_matter() -> None:
    assert run_collectives("under_a_default_device").results == dict.fromkeys((0, 1), (7, [0, 1], True))


# --- what is called wrongly


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("coroutine", "must be a plain function that returns its result; it returned a coroutine"),
        ("generator", "must be a plain function that returns its result; it returned a generator"),
        ("value", "must be a function without arguments, not int: write "),
    ],
)
def test_what_is_no_plain_function_is_refused_on_all_ranks(kind: str, complaint: str) -> None:
    result = run_collectives("called_wrongly", args=(kind,))
    for name, own, peer in zip(("produce", "fn"), result.results[0], result.results[1], strict=True):
        assert own.startswith(f"TypeError: {name} {complaint}")
        assert peer == f"PeerError: rank 0 raised {own}"
    assert "never awaited" not in result.output[0]


def test_what_is_no_plain_function_is_refused_in_a_single_process_too() -> None:
    async def coroutine() -> int:
        return 1

    with pytest.raises(TypeError, match="it returned a coroutine"):
        broadcast_result(coroutine, src=0)
    with pytest.raises(TypeError, match="it returned a coroutine"):
        gather_results(coroutine)


def test_a_collective_inside_produce_is_refused_on_all_ranks() -> None:
    """Peers would take its data for the result."""
    results = run_collectives("called_wrongly", args=("collective",)).results
    assert results[0][0].startswith(
        "RuntimeError: a collective was called inside another one on the same group"
    )
    assert results[1][0] == f"PeerError: rank 0 raised {results[0][0]}"


def test_peers_need_no_function() -> None:
    assert run_collectives("only_the_source_has_the_function").results == {0: 7, 1: 7}


def test_what_is_no_group_is_refused_by_name() -> None:
    for text in run_collectives("no_group").results.values():
        assert text.startswith(
            "TypeError: group must be a torch.distributed.ProcessGroup or None, not Coordinator"
        )


def test_data_of_another_collective_is_not_taken_for_a_size() -> None:
    assert run_collectives("out_of_step").results[1].startswith("the ranks are out of step: ")


# --- what comes from outside


@pytest.mark.parametrize("primitive", ["broadcast_result", "gather_results", "rank_guard"])
@pytest.mark.parametrize(
    ("kind", "own"),
    [("exit", "SystemExit: 3"), ("interrupt", "KeyboardInterrupt: "), ("close", "GeneratorExit: ")],
)
def test_peers_learn_of_a_rank_that_was_told_to_stop(primitive: str, kind: str, own: str) -> None:
    assert run_collectives("leaves", args=(kind, primitive)).results == {
        0: own,
        1: f"PeerError: rank 0 raised {own.removesuffix(': ')}",
    }


@pytest.mark.parametrize("primitive", ["broadcast_result", "rank_guard"])
def test_an_interrupt_while_a_rank_waits_comes_when_the_collective_is_over(primitive: str) -> None:
    """Rank 1 leaves after its part, so that rank 0 can tell of its failure and does not wait for it."""
    assert run_collectives("interrupted_while_it_waits", args=(primitive,)).results == {
        0: "ConnectionError: refused",
        1: "KeyboardInterrupt: ",
    }


def test_where_a_process_dies_gloo_raises_on_those_that_wait_for_it() -> None:
    result = run_ranks(f"{COLLECTIVE_PROGRAMS}:dies_in_the_middle", 2)
    assert result.outcome == "peer_died"
    assert result.errors[1].is_a("RuntimeError")


def test_who_takes_longer_than_the_groups_timeout_is_as_good_as_dead() -> None:
    """Both sides raise what the backend raises: the peers at the timeout, the source when it comes to send."""
    result = run_collectives("takes_longer_than_the_groups_timeout", args=(1.5,), group_timeout=0.5)
    assert all(text.startswith("RuntimeError: ") for text in result.results.values())
    assert "Timed out waiting 500ms" in result.results[1]


@pytest.mark.parametrize("primitive", ["broadcast_result", "gather_results", "rank_guard"])
def test_a_rank_raises_its_own_exception_also_when_nobody_is_left_to_be_told(primitive: str) -> None:
    result = run_ranks(f"{COLLECTIVE_PROGRAMS}:peers_are_gone", 2, args=(primitive,))
    assert result.outcome == "peer_died"
    told = "rslint_runtime: the other ranks could not be told ("
    assert result.results[0].startswith(told if sys.version_info >= (3, 11) else "no notes"), result.report()


# --- weight


@pytest.mark.parametrize("module", ["rslint_runtime", "rslint_runtime.testing"])
def test_importing_imports_nothing_heavy(module: str) -> None:
    listing = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    process = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pytest"} & set(process.stdout.split())

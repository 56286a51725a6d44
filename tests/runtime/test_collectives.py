"""broadcast_result, rank_guard and agree: one rank's failure reaches all ranks, as the same type of error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime import PeerError, agree, broadcast_result, rank_guard
from rslint_runtime.testing import Fault, RunResult, run_ranks

PROGRAMS = Path(__file__).with_name("programs.py")
REFUSED = [Fault(0, "Client.start", raises=ConnectionError, message="manager is down")]


def run(name: str, world_size: int = 2, **options: Any) -> RunResult:
    result = run_ranks(f"{PROGRAMS}:{name}", world_size, **options)
    assert result.outcome in ("completed", "failed"), result.report()
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


@pytest.mark.parametrize("name", ["in_a_group_of_one", "without_a_group"])
def test_a_group_of_one_and_no_group_at_all(name: str) -> None:
    assert run(name, 1).results == {0: ([1], False, True)}


def test_outside_of_any_distributed_program() -> None:
    with rank_guard():
        assert broadcast_result(lambda: 3, src=0) == 3
    assert (agree(True), agree(False)) == (True, False)


def test_a_backend_that_takes_no_cpu_tensors_is_named_with_the_remedy() -> None:
    for text in run("refused_by_backend").results.values():
        assert "takes no CPU tensors" in text
        assert 'new_group(ranks, backend="gloo")' in text


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
    assert run("agreed", 2).results == {0: (False, True), 1: (False, True)}


# --- weight


@pytest.mark.parametrize("module", ["rslint_runtime", "rslint_runtime.testing"])
def test_importing_imports_nothing_heavy(module: str) -> None:
    listing = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    process = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pytest"} & set(process.stdout.split())

"""Which group carries what the collectives send, and whose turn it is: CPU groups, threads, cancelled coroutines."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime import use_cpu_group
from rslint_runtime.process_groups import _GroupTurn
from rslint_runtime.testing import RunResult, run_ranks

PROGRAMS = Path(__file__).with_name("collective_programs.py")


def run(name: str, world_size: int = 2, **options: Any) -> RunResult:
    result = run_ranks(f"{PROGRAMS}:{name}", world_size, **options)
    assert result.outcome == "completed", result.report()
    return result


# --- groups that take no CPU tensors


@pytest.mark.parametrize("backend", ["devices_only", "refusing"])
def test_a_group_for_devices_alone_is_named_with_the_remedy_and_served_by_a_cpu_group(backend: str) -> None:
    """Two registered backends: one of torch's own groups, and a group written in Python."""
    for refused, served, afterwards in run("a_group_for_devices_alone", args=(backend,)).results.values():
        for text in refused:
            assert text.startswith(
                f"RuntimeError: the process group (backend {backend}) takes no CPU tensors"
            )
            assert 'group=torch.distributed.new_group(ranks, backend="gloo")' in text
            assert "use_cpu_group(cpu_group, group)" in text
        assert served == [7, [0, 1], True, "entered"]
        assert afterwards == refused[0], "the CPU group was destroyed and must not be kept alive"


def test_the_default_group_may_be_one_for_devices_alone(tmp_path: Path) -> None:
    result = run("a_default_group_for_devices_alone", args=(str(tmp_path / "store"),))
    assert result.results == {0: (7, False), 1: (7, False)}


def test_a_group_that_takes_cpu_tensors_is_used_itself() -> None:
    result = run("a_group_that_takes_cpu_tensors_is_used_itself")
    entered = [collective for collective in result.sequences[0] if collective.operation != "new_group"]
    assert [collective.group.ranks for collective in entered] == [(0, 1)]
    assert entered[0].group.name == result.results[0]


def test_a_cpu_group_must_have_the_same_ranks_and_take_cpu_tensors() -> None:
    results = run("cpu_groups_refused", 3).results
    other_ranks = (
        "ValueError: use_cpu_group: the CPU group has the ranks [0, 1], the group it is to serve [0, 1, 2]"
    )
    assert results[0][0] == results[1][0] == other_ranks
    assert results[2][0] == "ValueError: rank 2 is not a member of the process group it was called with"
    for _, text in results.values():
        assert (
            text
            == "RuntimeError: use_cpu_group: the CPU group (backend devices_only) takes no CPU tensors either"
        )


def test_a_cpu_group_needs_a_distributed_program() -> None:
    nothing: Any = None
    with pytest.raises(RuntimeError, match=r"call torch\.distributed\.init_process_group first"):
        use_cpu_group(nothing)


# --- threads and coroutines


def test_threads_with_a_group_each_do_not_disturb_each_other() -> None:
    assert run("threads_with_a_group_each", args=(4,)).results == {0: True, 1: True}


def test_a_thread_whose_coroutine_was_cancelled_ends_its_call_before_the_next_begins() -> None:
    assert run("cancelled_while_it_runs").results == {
        0: [True, "second", True],
        1: ["first", "second", True],
    }


def test_a_shielded_call_takes_place_although_its_coroutine_was_cancelled() -> None:
    assert run("cancelled_before_it_runs", args=(True,)).results == {0: "cancelled", 1: "value"}


def test_without_a_shield_a_call_that_no_thread_has_begun_is_cancelled_and_peers_wait() -> None:
    """What is not promised: the executor drops the call, and nothing of it ever runs."""
    result = run_ranks(f"{PROGRAMS}:cancelled_before_it_runs", 2, args=(False,))
    assert result.outcome == "deadlock", result.report()


def test_peers_learn_of_a_task_that_is_cancelled_inside_a_guard() -> None:
    assert run("cancelled_inside_a_guard").results == {
        0: "cancelled",
        1: "rank 0 raised asyncio.exceptions.CancelledError",
    }


# --- turns


def test_turns_come_in_the_order_in_which_threads_asked_for_them() -> None:
    turn, seen = _GroupTurn(), []
    asked = threading.Semaphore(0)

    def take(number: int) -> None:
        asked.release()
        with turn:
            seen.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    with turn:
        for thread in threads:
            last = turn._last
            thread.start()
            asked.acquire()
            while turn._last is last:  # it has asked, and is about to queue
                threading.Event().wait(0.001)
        assert seen == []
    for thread in threads:
        thread.join()
    assert seen == list(range(8))


def test_a_thread_that_is_interrupted_in_the_queue_does_not_hold_up_those_behind_it() -> None:
    """Neither does it let them overtake the one that is still inside."""
    turn, seen = _GroupTurn(), []

    class Interrupted:
        """Stands for a lock that is being waited for when Ctrl-C comes."""

        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None: ...

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt), turn:
            seen.append("never")

    def follow() -> None:
        with turn:
            seen.append("follower")

    with turn:
        holder = turn._last
        assert holder is not None
        ended, holder.ended = holder.ended, Interrupted()  # type: ignore[assignment]
        leaver = threading.Thread(target=interrupted)
        leaver.start()
        leaver.join()
        holder.ended = ended
        follower = threading.Thread(target=follow)
        follower.start()
        follower.join(0.05)
        assert seen == []
    follower.join(10)
    assert seen == ["follower"]


def test_a_thread_cannot_take_the_turn_that_it_has() -> None:
    turn = _GroupTurn()
    with turn, pytest.raises(RuntimeError, match="a collective was called inside another one"), turn:
        pass
    with turn:
        pass

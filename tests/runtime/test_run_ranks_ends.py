"""run_ranks: ranks that end badly, write too much, or lose what they would have said."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from rslint_runtime.testing import RunError, Unreadable, run_ranks
from rslint_runtime.testing.output import KEPT_BYTES


class Wrapped(Exception):
    """Cannot be pickled, and raises when it is asked for its text."""

    def __init__(self, lock: threading.Lock) -> None:
        super().__init__(lock)
        self.lock = lock

    def __str__(self) -> str:
        raise ValueError("no text")


class Stubborn:
    def __reduce__(self) -> tuple[object, ...]:
        raise OSError("cannot be pickled today")

    def __repr__(self) -> str:
        raise OSError("nor shown")


def test_a_thread_that_dies_is_told_although_the_run_completes() -> None:
    def starts(rank: int, world_size: int) -> None:
        def work() -> None:
            if rank == 1:
                raise ConnectionError("refused")
            raise SystemExit

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()

    result = run_ranks(starts, 2)
    assert result.outcome == "completed"
    (dead,) = result.dead_threads[1]
    assert (list(result.dead_threads), dead.thread, str(dead.error)) == (
        [1], "worker", "ConnectionError: refused",
    )  # fmt: skip
    assert dead.error.is_a("OSError")
    assert "in work" in dead.error.traceback
    assert "interception.py" not in dead.error.traceback
    assert "  rank 1: thread worker died of ConnectionError: refused" in result.report().splitlines()


def test_what_an_executor_hands_on_is_no_thread_that_died() -> None:
    def submits(rank: int, world_size: int) -> str:
        with ThreadPoolExecutor(1) as executor:
            return str(executor.submit(int, "one").exception())

    result = run_ranks(submits, 1)
    assert (result.outcome, result.dead_threads) == ("completed", {})


@pytest.mark.parametrize("megabytes", [1, 100])
def test_of_a_rank_that_writes_megabytes_the_end_is_kept(megabytes: int) -> None:
    def writes(rank: int, world_size: int) -> None:
        line = "x" * 1023 + "\n"
        for _ in range(megabytes):
            sys.stdout.write(line * 1024)
        print("the last line")

    output = run_ranks(writes, 1).output[0]
    first, *lines = output.splitlines()
    written = megabytes * 1024 * 1024 + len("the last line\n")
    assert len(output) <= KEPT_BYTES + 100
    assert (
        first
        == f"… {written - len('the last line') - 1 - 1024 * (len(lines) - 1)} bytes before this are left out"
    )
    assert {len(line) for line in lines[:-1]} == {1023}
    assert lines[-1] == "the last line"


def test_a_rank_that_closes_its_output_goes_on() -> None:
    def closes(rank: int, world_size: int) -> str:
        print("before")
        if rank == 0:
            sys.stdout.close()
            sys.stderr.close()
        else:
            os.close(1)
            os.close(2)
        dist.barrier()
        return "done"

    result = run_ranks(closes, 2)
    assert result.results == {0: "done", 1: "done"}, result.report()
    assert result.output == {0: "before\n", 1: "before\n"}


def test_what_a_subprocess_of_a_rank_says_is_the_ranks_output() -> None:
    def starts(rank: int, world_size: int) -> None:
        subprocess.run(["echo", f"child of {rank}"], check=True)

    assert run_ranks(starts, 2).output == {0: "child of 0\n", 1: "child of 1\n"}


def test_a_segmentation_fault_is_named_and_its_stack_is_in_the_output() -> None:
    def crashes(rank: int, world_size: int) -> None:
        if rank == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        dist.barrier()

    result = run_ranks(crashes, 2)
    assert (result.outcome, result.detail) == ("peer_died", "rank 1 was killed by signal 11 (SIGSEGV)")
    assert "Segmentation fault" in result.output[1]
    assert "in crashes" in result.output[1]
    assert "rank 1 was killed by signal 11 (SIGSEGV)" in result.report()


def test_a_forked_child_is_no_rank() -> None:
    """Neither what it runs nor how it ends is taken for the rank's, whichever way it goes."""

    def forks(rank: int, world_size: int) -> list[int]:
        statuses = []
        for way in ("leave", "thread", "exit", "return", "raise"):
            child = os.fork()
            if child == 0:
                if way == "leave":
                    os._exit(7)
                if way == "thread":
                    thread = threading.Thread(target=print, args=("in the child",))
                    thread.start()
                    thread.join()
                if way == "exit":
                    sys.exit(4)
                if way == "raise":
                    raise ValueError("in the child")
                return [-1]
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        dist.barrier()
        return statuses

    result = run_ranks(forks, 2)
    assert result.results == {0: [7, 0, 1, 0, 1], 1: [7, 0, 1, 0, 1]}, result.report()
    assert [entered.operation for entered in result.sequences[0]] == ["barrier"]
    assert "ValueError: in the child" in result.output[0]


def test_values_and_errors_that_cannot_be_carried_do_not_hide_how_it_went() -> None:
    def returns(rank: int, world_size: int) -> object:
        return Stubborn()

    def raises(rank: int, world_size: int) -> None:
        raise Wrapped(threading.Lock())

    returned = run_ranks(returns, 1)
    assert returned.outcome == "completed"
    assert returned.results == {
        0: Unreadable("<Stubborn whose repr raises OSError> cannot be pickled: cannot be pickled today")
    }
    raised = run_ranks(raises, 1)
    assert raised.outcome == "failed"
    assert (raised.errors[0].type_name.rpartition(".")[2], raised.errors[0].text) == ("Wrapped", "<no text>")


def test_a_coroutine_function_is_run_to_its_end() -> None:
    async def serves(rank: int, world_size: int) -> int:
        await asyncio.gather(asyncio.sleep(0.01), asyncio.to_thread(dist.barrier))
        return rank

    result = run_ranks(serves, 2)
    assert result.results == {0: 0, 1: 1}, result.report()
    assert [entered.operation for entered in result.sequences[1]] == ["barrier"]


def test_a_function_that_does_not_take_what_ranks_give_is_said() -> None:
    def takes_nothing() -> None: ...

    with pytest.raises(
        RunError, match=r"takes_nothing is called as \(rank, world_size, \*args\), here with 3 arg"
    ):
        run_ranks(takes_nothing, 2, args=("one",))


def test_a_program_that_ends_the_process_while_it_is_loaded_is_said(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os\nprint('no license', flush=True)\nos._exit(3)\n")
    with pytest.raises(
        RunError, match=r"rank \d exited with status 3 while it loaded the program; it said: no lic"
    ):
        run_ranks(f"{program}:main", 2)


def test_where_a_rank_was_when_the_time_was_up_is_told() -> None:
    def polls_for_ever(rank: int, world_size: int) -> None:
        if rank == 1:
            raise ConnectionError("refused")
        while True:
            threading.Event().wait(0.05)

    result = run_ranks(polls_for_ever, 2, timeout=0.5)
    assert result.outcome == "timeout"
    assert (
        result.detail == "no rank waits in a collective that was seen; rank 1 raised ConnectionError: refused"
    )
    assert "in polls_for_ever" in result.stacks[0]
    assert set(result.stacks) == {0}
    assert "rank 0 was here:" in result.report()


@pytest.mark.parametrize("leaves", [False, True])
def test_sixteen_ranks_on_one_machine(leaves: bool) -> None:
    def program(rank: int, world_size: int) -> float:
        value = torch.ones(1)
        dist.all_reduce(value)
        if leaves and rank == 11:
            raise ConnectionError("refused")
        dist.barrier()
        return value.item()

    result = run_ranks(program, 16)
    if not leaves:
        assert result.results == dict.fromkeys(range(16), 16.0), result.report()
        return
    assert result.outcome == "deadlock", result.report()
    assert {wait.rank for wait in result.waiting} == set(range(16)) - {11}
    assert "ranks 0-10, 12-15 wait in barrier on default group [0-15]" in result.report()

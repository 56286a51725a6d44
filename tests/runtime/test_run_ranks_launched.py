"""run_ranks with init_group=False: programs that join their process group themselves, as under a launcher."""

from __future__ import annotations

import os
import socket

import torch
import torch.distributed as dist
from rslint_runtime.testing import run_ranks


def serves(rank: int, world_size: int) -> tuple[float, float]:
    """Joins, leaves and joins again, as a trainer does that recovers."""
    sums = []
    for _ in range(2):
        dist.init_process_group("gloo")
        value = torch.ones(1)
        dist.all_reduce(value)
        sums.append(value.item())
        dist.destroy_process_group()
    return sums[0], sums[1]


def test_a_program_may_join_its_group_itself_more_than_once() -> None:
    result = run_ranks(serves, 3, init_group=False)
    assert result.results == dict.fromkeys(range(3), (3.0, 3.0)), result.report()
    assert [entered.call for entered in result.sequences[0]] == ["init_process_group", "all_reduce"] * 2


def test_the_variables_of_a_launcher_are_set() -> None:
    def reads(rank: int, world_size: int) -> dict[str, str]:
        names = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
        return {name: os.environ[name] for name in names}

    results = run_ranks(reads, 2, init_group=False).results
    common = {"GROUP_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    assert results == {rank: {"RANK": str(rank), "LOCAL_RANK": str(rank), **common} for rank in range(2)}


def test_every_run_has_a_port_that_nobody_can_take() -> None:
    def tries_to_take_it(rank: int, world_size: int) -> tuple[bool, str]:
        with socket.socket() as other:
            taken = other.connect_ex(("127.0.0.1", int(os.environ["MASTER_PORT"]))) == 0
        dist.init_process_group("gloo")
        return taken, os.environ["MASTER_PORT"]

    first, second = (run_ranks(tries_to_take_it, 2, init_group=False).results for _ in range(2))
    assert first[0] == first[1]
    assert first[0][0]
    assert first != second


def test_a_rank_that_never_joins_leaves_the_others_in_the_making_of_the_group() -> None:
    def joins(rank: int, world_size: int) -> None:
        if rank == 0:
            raise FileNotFoundError("no checkpoint")
        dist.init_process_group("gloo")

    result = run_ranks(joins, 3, init_group=False)
    assert result.outcome == "deadlock", result.report()
    assert {(wait.rank, wait.collective.call) for wait in result.waiting} == {
        (1, "init_process_group"),
        (2, "init_process_group"),
    }
    assert result.waiting[0].missing == ((0, "raised FileNotFoundError: no checkpoint"),)


def test_a_rank_that_destroys_its_group_and_leaves_still_leaves_its_peers_waiting() -> None:
    """gloo would tell them by a closed connection; other backends would not."""

    def cleans_up(rank: int, world_size: int) -> None:
        try:
            if rank == 0:
                raise ConnectionError("refused")
            dist.barrier()
        finally:
            dist.destroy_process_group()

    result = run_ranks(cleans_up, 2)
    assert result.outcome == "deadlock", result.report()
    assert {wait.rank for wait in result.waiting} == {1}


def test_joining_twice_is_answered_with_what_to_do() -> None:
    report = run_ranks(serves, 1).report()
    assert "trying to initialize the default process group twice" in report
    assert (
        "help: ranks have joined a group before the function is called; with init_group=False it may"
        in report
    )


def test_a_port_that_is_taken_is_answered_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def joins_there(rank: int, world_size: int) -> None:
            dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size)

        report = run_ranks(joins_there, 1, init_group=False).report()
    assert "EADDRINUSE" in report
    assert (
        "help: a port is taken; with init_group=False every run has a free one in MASTER_ADDR and" in report
    )

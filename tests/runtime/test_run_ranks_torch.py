"""run_ranks: whatever torch offers to communicate is recorded, and a rank that waits in it for ever is proven to."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from rslint_runtime.testing import RunResult, preload, run_ranks
from torch.distributed import all_gather_object as imported_early
from torch.nn.parallel import DistributedDataParallel


@pytest.fixture(autouse=True, scope="module")
def dynamo_in_the_server() -> None:
    """What DistributedDataParallel and functional collectives import first, a second in every rank otherwise."""
    preload("torch._dynamo")


def ones(size: int = 2) -> torch.Tensor:
    return torch.ones(size)


def every_collective(rank: int, world_size: int) -> list[float]:
    group = dist.new_group([0, 1])
    value = ones()
    dist.all_reduce(value)
    dist.reduce(value, dst=1)
    dist.broadcast(value, src=1, group=group)
    gathered = [ones() for _ in range(world_size)]
    dist.all_gather(gathered, value)
    dist.all_gather_into_tensor(ones(4), value)
    dist.gather(value, gathered if rank == 0 else None, dst=0)
    dist.scatter(ones(), gathered if rank == 0 else None, src=0)
    dist.reduce_scatter_tensor(ones(1), value)
    dist.all_to_all_single(ones(), value)
    dist.barrier(group)
    return value.tolist()


def every_object_collective(rank: int, world_size: int) -> tuple[object, ...]:
    received: list[object] = [{"from": 0}] if rank == 0 else [None]
    dist.broadcast_object_list(received, src=0)
    everyone: list[object] = [None] * world_size
    imported_early(everyone, rank)
    gathered: list[object] | None = [None] * world_size if rank == 0 else None
    dist.gather_object(rank, gathered, dst=0)
    scattered: list[object] = [None]
    dist.scatter_object_list(scattered, ["zero", "one"] if rank == 0 else None, src=0)
    sent: list[object] = [rank]
    if rank == 0:
        dist.send_object_list(sent, dst=1)
    else:
        dist.recv_object_list(sent, src=0)
    return received[0], everyone, gathered, scattered[0], sent[0]


def every_functional_collective(rank: int, world_size: int) -> float:
    world = dist.group.WORLD
    assert world is not None
    summed = functional.all_reduce(ones(), "sum", world) + 1
    whole = functional.all_gather_tensor(summed, 0, world)
    part = functional.reduce_scatter_tensor(whole.clone(), "sum", 0, world)
    return float(functional.broadcast(part.clone(), 0, world)[0])


def trains_two_steps(rank: int, world_size: int) -> None:
    model = DistributedDataParallel(torch.nn.Linear(2, 2))
    for _ in range(2):
        model(ones().unsqueeze(0)).sum().backward()


def test_what_is_preloaded_is_there_when_a_rank_begins() -> None:
    assert run_ranks(lambda rank, world_size: "torch._dynamo" in sys.modules, 1).results == {0: True}
    with pytest.raises(ModuleNotFoundError, match="no module named 'no_such_module'"):
        preload("torch", "no_such_module.part")


def names(result: RunResult, rank: int = 0) -> list[str]:
    return [entered.call or entered.operation for entered in result.sequences[rank]]


def test_collectives_on_tensors() -> None:
    result = run_ranks(every_collective, 2)
    assert result.outcome == "completed", result.report()
    assert result.results[0] == result.results[1] == [2.0, 2.0] or result.results[1] == [4.0, 4.0]
    assert names(result) == names(result, 1) == (
        "new_group all_reduce reduce broadcast all_gather all_gather_into_tensor gather scatter "
        "reduce_scatter_tensor all_to_all_single barrier"
    ).split()  # fmt: skip
    assert result.unclaimed == {}


def test_object_collectives_and_names_imported_before_the_run() -> None:
    result = run_ranks(every_object_collective, 2)
    assert result.results == {
        0: ({"from": 0}, [0, 1], [0, 1], "zero", 0),
        1: ({"from": 0}, [0, 1], None, "one", 0),
    }, result.report()
    assert set(names(result)) == {
        "broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list", "send_object_list",
    }  # fmt: skip


def test_functional_collectives() -> None:
    result = run_ranks(every_functional_collective, 2)
    assert result.results == {0: 6.0, 1: 6.0}, result.report()
    assert [entered.operation for entered in result.sequences[0]] == [
        "all_reduce", "all_gather_into_tensor", "reduce_scatter_tensor", "broadcast",
    ]  # fmt: skip
    assert result.unclaimed == {}


def test_training_with_ddp() -> None:
    result = run_ranks(trains_two_steps, 2)
    assert result.outcome == "completed", result.report()
    assert names(result).count("backward") == 2
    assert result.unclaimed == {}


# --- the first rank is left alone in it


def gathers_objects() -> None:
    imported_early([None, None], 0)


def scatters_objects() -> None:
    dist.scatter_object_list([None], ["zero", "one"], src=0)


def uses_a_functional_result() -> None:
    assert dist.group.WORLD is not None
    (functional.all_reduce(ones(), "sum", dist.group.WORLD) + 1).sum().item()


def receives_and_waits() -> None:
    dist.irecv(ones(), src=1).wait()


def exchanges_in_a_batch() -> None:
    for work in dist.batch_isend_irecv([dist.P2POp(dist.irecv, ones(), 1)]):
        work.wait()


def waits_for_a_future() -> None:
    dist.all_reduce(ones(), async_op=True).get_future().wait()


def waits_twice() -> None:
    work = dist.all_reduce(ones(), async_op=True)
    with contextlib.suppress(RuntimeError):
        work.wait(timedelta(seconds=0.2))
    work.wait()


def constructs_ddp() -> None:
    DistributedDataParallel(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    "alone",
    [
        gathers_objects,
        scatters_objects,
        uses_a_functional_result,
        receives_and_waits,
        exchanges_in_a_batch,
        waits_for_a_future,
        waits_twice,
        constructs_ddp,
    ],
)
def test_a_rank_that_is_left_alone_is_deadlocked(alone: Callable[[], None]) -> None:
    def program(rank: int, world_size: int) -> None:
        if rank == 0:
            alone()

    result = run_ranks(program, 2)
    assert result.outcome == "deadlock", result.report()
    (wait,) = result.waiting
    assert (wait.rank, wait.missing) == (0, ((1, "ended"),))
    assert alone.__name__ in result.stacks[0]


def test_a_rank_that_skips_its_backward_leaves_the_others_in_theirs() -> None:
    def program(rank: int, world_size: int) -> None:
        model = DistributedDataParallel(torch.nn.Linear(2, 2))
        loss = model(ones().unsqueeze(0)).sum()
        if rank == 1:
            raise MemoryError("no room for gradients")
        loss.backward()

    result = run_ranks(program, 2)
    assert result.outcome == "deadlock", result.report()
    (wait,) = result.waiting
    assert (wait.rank, wait.collective.call) == (0, "backward")
    assert wait.missing == ((1, "raised MemoryError: no room for gradients"),)


def test_a_backward_that_is_only_late_is_no_deadlock() -> None:
    def program(rank: int, world_size: int) -> None:
        model = DistributedDataParallel(torch.nn.Linear(2, 2))
        loss = model(ones().unsqueeze(0)).sum()
        if rank == 1:
            time.sleep(1.5)
        loss.backward()

    result = run_ranks(program, 2)
    assert result.outcome == "completed", result.report()
    assert "backward" in names(result)


# --- handles that are forgotten


def test_work_that_is_never_waited_for_is_told() -> None:
    def program(rank: int, world_size: int) -> None:
        forgotten = dist.all_reduce(ones(3), async_op=True)
        polled = dist.all_reduce(ones(4), async_op=True)
        dist.all_reduce(ones(5), async_op=True).get_future()
        while not polled.is_completed():
            pass
        dist.barrier()
        assert forgotten

    result = run_ranks(program, 2)
    assert result.outcome == "completed", result.report()
    for rank in range(2):
        (entered,) = result.unclaimed[rank]
        assert entered.signature == ("float32[3]",)
    assert f"never waited for on ranks 0-1: all_reduce float32[3] on default group [0, 1] at {__file__}" in (
        result.report()
    )


def test_work_that_no_peer_joins_and_nobody_waits_for_hangs_nothing() -> None:
    def program(rank: int, world_size: int) -> None:
        if rank == 0:
            dist.all_reduce(ones(), async_op=True)

    result = run_ranks(program, 2)
    assert result.outcome == "completed"
    assert set(result.unclaimed) == {0}

"""Who waits for other threads of its rank, and who may be woken from elsewhere: signals, callbacks, event loops."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed as dist
from rslint_runtime.testing import run_ranks

# Long enough that a verdict which comes too soon has come by then, and the inferred ones too.
_LATE = 1.5


def woken_by_a_timer(rank: int, world_size: int) -> None:
    if rank == 0:
        stop = threading.Event()
        signal.signal(signal.SIGALRM, lambda *_: stop.set())
        signal.setitimer(signal.ITIMER_REAL, _LATE)
        stop.wait()
    dist.barrier()


def woken_by_a_child(rank: int, world_size: int) -> None:
    if rank == 0:
        stop = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: stop.set())
        code = f"import os, time; time.sleep({_LATE}); os.kill({os.getpid()}, {int(signal.SIGUSR1)})"
        with subprocess.Popen([sys.executable, "-c", code]):
            stop.wait()
    dist.barrier()


def woken_by_a_callback_of_torch(rank: int, world_size: int) -> None:
    if rank == 1:
        time.sleep(_LATE)
    arrived, seen = threading.Event(), threading.Event()
    future = dist.all_reduce(torch.ones(1), async_op=True).get_future()
    future.add_done_callback(lambda _: seen.set())
    future.then(lambda _: arrived.set())
    arrived.wait()
    seen.wait()
    dist.barrier()


def woken_by_what_its_loop_reads(rank: int, world_size: int) -> None:
    async def told() -> bytes:
        code = f"import time; time.sleep({_LATE}); print('go')"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
        )
        return (await child.communicate())[0]

    if rank == 0:
        asyncio.run(told())
    dist.barrier()


def woken_by_the_clock_of_its_loop(rank: int, world_size: int) -> None:
    if rank == 0:
        asyncio.run(asyncio.sleep(_LATE))
    dist.barrier()


@pytest.mark.parametrize(
    "program",
    [
        woken_by_a_timer,
        woken_by_a_child,
        woken_by_a_callback_of_torch,
        woken_by_what_its_loop_reads,
        woken_by_the_clock_of_its_loop,
    ],
)
def test_who_is_woken_from_outside_of_its_threads_is_not_deadlocked(
    program: Callable[[int, int], None],
) -> None:
    result = run_ranks(program, 3)
    assert result.outcome == "completed", result.report()


def handles_a_signal_that_nobody_sends(rank: int, world_size: int) -> None:
    if rank == 0:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        stop.wait()
    dist.barrier()


async def leader_leaves_its_serving_peers(rank: int, world_size: int) -> None:
    if rank == 0:
        raise ConnectionError("the client has gone")
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        message: list[object] = [None]
        receive = functools.partial(dist.broadcast_object_list, message, src=0)
        await loop.run_in_executor(executor, receive)


async def waits_for_a_task_that_has_failed(rank: int, world_size: int) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def lead() -> None:
        await loop.run_in_executor(None, dist.barrier)
        if rank == 0:
            raise ConnectionError("the client has gone")
        await loop.run_in_executor(None, dist.barrier)
        done.set()

    task = asyncio.create_task(lead())
    await done.wait()
    await task


@pytest.mark.parametrize(
    "program",
    [
        handles_a_signal_that_nobody_sends,
        leader_leaves_its_serving_peers,
        waits_for_a_task_that_has_failed,
    ],
)
def test_who_only_its_own_threads_could_wake_is_deadlocked(program: Callable[[int, int], None]) -> None:
    result = run_ranks(program, 3, timeout=10)
    assert result.outcome == "deadlock", result.report()

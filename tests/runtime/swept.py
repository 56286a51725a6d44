"""Programs for the tests of faults in ranks and of `sweep`; each is run on ranks by name."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import torch.distributed as dist
from rslint_runtime import broadcast_result
from rslint_runtime.testing import switch


class ConfigClient:
    """Stands for a service; what it answers lies in a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def fetch(self) -> str:
        with open(self.path, encoding="utf-8") as file:
            return file.read()


class SilentClient:
    def fetch(self) -> str:
        return "{}"


# --- programs for faults


def asks_until_it_is_told(rank: int, world_size: int) -> list[str]:
    """Every rank asks five times; rank 0 turns the outage on before the second call and off before the fourth."""
    client = SilentClient()
    answers = []
    for call in range(1, 6):
        if rank == 0 and call in (2, 4):
            switch("outage", on=call == 2)
        dist.barrier()
        try:
            answers.append(client.fetch())
        except ConnectionError:
            answers.append("down")
        dist.barrier()
    return answers


def asks_while_a_file_is_missing(rank: int, world_size: int, path: str) -> list[str]:
    """Asks until it gets an answer; the caller switches the outage off once it sees the file."""
    client = SilentClient()
    answers: list[str] = []
    while "{}" not in answers[-1:]:
        try:
            answers.append(client.fetch())
        except ConnectionError:
            answers[:] = ["down"]
            if rank == 0:
                Path(path).touch()
            time.sleep(0.005)
    return answers


def switches_what_is_not_there(rank: int, world_size: int) -> str:
    try:
        switch("outage", on=True)
    except LookupError as error:
        return str(error)
    return ""


def fetches(rank: int, world_size: int) -> str:
    return SilentClient().fetch()


def barrier_then_fetches(rank: int, world_size: int) -> str:
    dist.barrier()
    return SilentClient().fetch()


def fetches_in_a_thread(rank: int, world_size: int) -> str:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(SilentClient().fetch).result()


def stats_in_an_executor(rank: int, world_size: int) -> bool:
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(os.path.exists, os.devnull).result() and bool(
            executor.submit(os.stat, os.devnull).result()
        )


def opens(rank: int, world_size: int) -> str:
    """Rank 0 joins a thread while a peer waits for it: the harness looks into /proc, with `open`, before the program
    opens a file of its own."""
    if rank == 0:
        thread = threading.Thread(target=time.sleep, args=(0.5,))
        thread.start()
        thread.join()
    dist.barrier()
    with open(os.devnull, encoding="utf-8") as file:
        return file.read()


# --- programs for sweeps


def leader_reads(rank: int, world_size: int, path: str) -> str:
    """The bug in short: the leader's file may be missing, the error is logged, and the peers wait."""
    try:
        text = [ConfigClient(path).fetch() if rank == 0 else ""]
        dist.broadcast_object_list(text, src=0)
    except OSError:
        return "defaults"
    return text[0]


def leader_reads_in_step(rank: int, world_size: int, path: str) -> str:
    try:
        return broadcast_result(lambda: ConfigClient(path).fetch(), src=0)
    except OSError:
        return "defaults"


def reads_on_every_rank(rank: int, world_size: int, path: str) -> int:
    """Two calls in a row that may fail: one is handled, one is not."""
    values = []
    for _ in range(2):
        try:
            text = ConfigClient(path).fetch()
        except OSError:
            text = "{}"
        values.append(len(json.loads(text)))
        dist.all_reduce(torch.ones(1))
    return sum(values)


def in_a_thread(rank: int, world_size: int, path: str) -> None:
    def work() -> None:
        os.stat(path)
        dist.barrier()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()


def in_a_task(rank: int, world_size: int, path: str) -> bool:
    async def look() -> None:
        await asyncio.sleep(0)
        os.stat(path)

    try:
        asyncio.run(look())
    except OSError:
        return False
    dist.barrier()
    return True


def looks_three_times(rank: int, world_size: int, path: str) -> None:
    for call in (os.stat, os.lstat, os.statvfs):
        call(path)


def callback_of_another_name(rank: int, world_size: int, path: str) -> None:
    fetch: Callable[[], str] = ConfigClient(path).fetch
    try:
        fetch()
    except OSError:
        return
    dist.barrier()


def deadlocks_by_itself(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.barrier()


def fails_only_without_a_fault_nearby(rank: int, world_size: int, path: str) -> None:
    """The call is made on the first run alone."""
    marker = Path(f"{path}.{rank}")
    if not marker.exists():
        marker.touch()
        os.listdir(os.path.dirname(path))


def joins_itself(rank: int, world_size: int, path: str) -> None:
    """As a script under a launcher: one rank that finds no file never joins its peers."""
    try:
        os.stat(path)
    except OSError:
        return
    dist.init_process_group("gloo")
    dist.barrier()
    dist.destroy_process_group()


def does_nothing_that_may_fail(rank: int, world_size: int) -> int:
    value = torch.ones(1)
    dist.all_reduce(value)
    return len(str(value.item()))

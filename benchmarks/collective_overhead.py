"""What the collectives of rslint_runtime cost beside torch's where nothing fails, on two gloo ranks.

    python benchmarks/collective_overhead.py [PAIRS]

Each row is PAIRS (200) pairs of calls, torch's and ours in turns, the first of a pair the second of the next. A call's
time is that of the rank that was in it longest, from a barrier on.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing
from rslint_runtime import agree, broadcast_result, gather_results, rank_guard

WARM_UP = 20  # pairs that are not counted, fewer if fewer are asked for
SIZES = {"1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000}
Call = Callable[[], object]


def object_broadcast(value: bytes) -> None:
    """As it is written by hand: a list of one, whose item everybody takes out."""
    listed = [value if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(listed, src=0)


def object_gather(value: bytes) -> None:
    dist.all_gather_object([None] * dist.get_world_size(), value)


def flag_reduced(ok: bool) -> bool:
    """An agreement as it is written by hand."""
    flag = torch.tensor([ok], dtype=torch.int64)
    dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag.item())


def guarded() -> None:
    with rank_guard():
        pass


def comparisons() -> dict[str, tuple[Call, Call]]:
    """(torch's call, ours) by the row's label."""
    by_hand = partial(flag_reduced, True)
    rows: dict[str, tuple[Call, Call]] = {
        "`agree`, a flag and all_reduce": (by_hand, partial(agree, True)),
        "`rank_guard`, a flag and all_reduce": (by_hand, guarded),
    }
    for label, size in SIZES.items():
        value = b"x" * size
        ours: Call = partial(broadcast_result, lambda value=value: value, 0)
        rows[f"`broadcast_result`, broadcast_object_list, {label}"] = (partial(object_broadcast, value), ours)
    for label in ("1 kB", "1 MB"):
        value = b"x" * SIZES[label]
        ours = partial(gather_results, lambda value=value: value)
        rows[f"`gather_results`, all_gather_object, {label}"] = (partial(object_gather, value), ours)
    return rows


def seconds(call: Call) -> float:
    dist.barrier()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def pair(first: bool, calls: tuple[Call, Call]) -> tuple[float, float]:
    if first:
        theirs, ours = seconds(calls[0]), seconds(calls[1])
    else:
        ours, theirs = seconds(calls[1]), seconds(calls[0])
    return theirs, ours


def measure(rank: int, store: str, pairs: int) -> None:
    """One rank's part; rank 0 prints the table."""
    torch.set_num_threads(1)
    file = dist.FileStore(store, 2)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=file, rank=rank, world_size=2)
    for label, calls in comparisons().items():
        for number in range(min(WARM_UP, pairs)):
            pair(number % 2 == 0, calls)
        own = torch.tensor([pair(number % 2 == 0, calls) for number in range(pairs)], dtype=torch.float64)
        dist.all_reduce(own, op=dist.ReduceOp.MAX)
        if rank == 0:
            print(row(label, own.tolist()), flush=True)
    dist.destroy_process_group()


def row(label: str, taken: list[list[float]]) -> str:
    theirs, ours = (statistics.median(column) * 1e6 for column in zip(*taken, strict=True))
    more = statistics.median(ours - theirs for theirs, ours in taken) * 1e6
    return f"| {label} | {theirs:.0f} | {ours:.0f} | {more:+.0f} | {ours / theirs:.2f} |"


def main(pairs: int) -> None:
    load = os.getloadavg()[0]
    print(
        f"torch {torch.__version__}, {os.cpu_count()} CPUs, load average {load:.1f}, {pairs} pairs, medians\n"
    )
    print("| ours, torch's, value | torch µs | ours µs | a pair's difference µs | ours ÷ torch |")
    print("|---|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        # Forked, which is safe as long as no tensor was computed here, and saves importing torch twice.
        ranks = (str(Path(directory) / "store"), pairs)
        torch.multiprocessing.start_processes(measure, ranks, nprocs=2, start_method="fork")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

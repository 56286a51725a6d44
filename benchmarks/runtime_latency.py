"""How long a run on gloo ranks takes, and how soon a deadlock is proven: medians over several runs.

    python benchmarks/runtime_latency.py [RUNS]

The server's start (importing torch, once per process) is printed apart.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
import torch.distributed as dist
from rslint_runtime.testing import run_ranks


def all_reduced(rank: int, world_size: int) -> float:
    """The trivial run."""
    value = torch.ones(1)
    dist.all_reduce(value)
    return value.item()


def one_rank_leaves(rank: int, world_size: int) -> None:
    """The trivial deadlock; the group's timeout is 600 s."""
    if rank == 0:
        raise ConnectionError("refused")
    dist.broadcast_object_list([None], src=0)


def measure(runs: int) -> None:
    """Print the medians and the slowest of `runs` runs, in milliseconds of wall time around `run_ranks`."""
    for label, world_size, function, outcome in (
        ("first run, server start included", 2, all_reduced, "completed"),
        ("trivial run", 2, all_reduced, "completed"),
        ("deadlock, start to verdict", 2, one_rank_leaves, "deadlock"),
        ("trivial run, 16 ranks", 16, all_reduced, "completed"),
        ("deadlock, 16 ranks", 16, one_rank_leaves, "deadlock"),
    ):
        seconds = []
        for _ in range(1 if "first" in label else runs):
            started = time.perf_counter()
            result = run_ranks(function, world_size)
            seconds.append(time.perf_counter() - started)
            assert result.outcome == outcome, result.report()
        median, slowest = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"{label:34} median {median:6.0f} ms   slowest {slowest:6.0f} ms   runs {len(seconds)}")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 20)

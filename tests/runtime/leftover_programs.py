"""Programs that leave shared memory behind in every way in which a rank ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import torch.distributed as dist
from rslint_runtime import segments

ENDINGS = ("returns", "raises", "waits", "is killed")


def make_segment(directory: str, rank: int) -> SharedMemory:
    segment = SharedMemory(create=True, size=4096)
    Path(directory, f"rank-{rank}").write_text(segment.name)
    return segment


def leaves_a_segment(rank: int, world_size: int, directory: str, ending: str) -> None:
    """Rank 0 makes a segment and ends in one of ENDINGS, without removing it."""
    if rank == 0:
        segment = make_segment(directory, rank)
        segment.close()
        if ending == "raises":
            raise RuntimeError("on the way")
        if ending == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
    if rank == 0 and ending == "waits":
        dist.barrier()


def leaves_a_segment_of_the_library(rank: int, world_size: int, directory: str) -> None:
    """Every rank makes a segment of ours, which no tracker knows, and waits or returns."""
    segment = segments.create(4096, label="left")
    Path(directory, f"rank-{rank}").write_text(segment.name)
    if rank == 0:
        dist.barrier()


def _in_the_child(directory: str, number: int) -> None:
    make_segment(directory, number)


def leaves_it_to_children(rank: int, world_size: int, directory: str) -> None:
    """Children, forked and spawned, make segments; the forked one has a tracker of its own."""
    for number, method in enumerate(("fork", "spawn")):
        child = multiprocessing.get_context(method).Process(target=_in_the_child, args=(directory, number))
        child.start()
        child.join()


def is_removed_by_its_tracker_now(rank: int, world_size: int) -> bool:
    """Whether a segment is still there while the rank that made it runs."""
    segment = SharedMemory(create=True, size=64)
    with contextlib.closing(SharedMemory(name=segment.name)):
        return True

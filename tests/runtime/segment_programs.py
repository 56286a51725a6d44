"""Programs around segments: owners that are killed at a place of their choice, and ranks that share one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from rslint_runtime import (
    agree,
    attach,
    create,
    remove_orphans,
    segment_names,
    unlink_after_peers,
    unlink_after_peers_async,
)

OURS = ("segment", "orphans")


# --- an owner that is killed at its n-th line inside of the library


def owner(label: str) -> None:
    """All that an owner does with segments."""
    shared = create(4096, label)
    attach(shared.name, rank=1).close()
    unlink_after_peers(shared, peers=0, timeout=5)
    given = create(1, label)
    taken = attach(given.name)
    taken.take_over()
    given.hand_over()
    taken.unlink()
    with create(8192, label) as segment:
        segment.buf[0] = 1
    forgotten = create(1, label)
    forgotten.hand_over()
    remove_orphans(label)


class Killer:
    """Follows the lines that run inside of the library, and kills the process at one of them."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.places: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        name = os.path.basename(frame.f_code.co_filename)
        if not name.startswith(OURS) or "rslint_runtime" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.places.append(f"{name}:{frame.f_lineno}")
            if len(self.places) == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def run_killed_at(last: int, label: str) -> list[str]:
    killer = Killer(last)
    sys.settrace(killer)
    owner(label)
    sys.settrace(None)
    return killer.places


def killed_at_every_line(folder: str) -> None:
    """Kill owners at the first and at the last visit of each line; print the line, how many segments were left, how
    many a sweep has removed, and how many are left after it."""
    segment_names._SEGMENTS_FOLDER = folder
    places = run_killed_at(-1, "counted")
    visits = {place: [n for n, other in enumerate(places, 1) if other == place] for place in places}
    told = []
    for place, number in ((place, n) for place, visited in visits.items() for n in {visited[0], visited[-1]}):
        child = os.fork()
        if child == 0:
            run_killed_at(number, "killed")
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, place
        left = len(mine(folder))
        removed = len(remove_orphans("killed"))
        told.append([place, left, removed, len(mine(folder))])
    print(json.dumps(told))


def mine(folder: str) -> list[str]:
    return [name for name in os.listdir(folder) if segment_names.label_of(name) == "killed"]


# --- an owner that waits to be killed


def waits(folder: str, label: str) -> None:
    """Own a segment, tell its name, and live until killed."""
    segment_names._SEGMENTS_FOLDER = folder
    segment = create(64, label)
    print(segment.name, flush=True)
    time.sleep(120)


def parent_of_a_child(folder: str, label: str, takes_over: str) -> None:
    """Make a segment, fork a child that takes it over or does not, tell name and child, and live as long as stdin."""
    segment_names._SEGMENTS_FOLDER = folder
    segment = create(64, label)
    tell, told = os.pipe()
    child = os.fork()
    if child == 0:
        if takes_over == "yes":
            segment.take_over()
        os.write(told, b"1")
        time.sleep(120)
    os.read(tell, 1)
    print(segment.name, child, flush=True)
    sys.stdin.read()


# --- ranks


def shares_a_segment(rank: int, world_size: int) -> list[object]:
    """Rank 0 makes a segment and removes its name once all have it; nobody else calls anything but `attach`."""
    import torch.distributed as dist

    if rank == 0:
        with create(16) as segment:
            segment.buf[:2] = b"ok"
            dist.broadcast_object_list([segment.name], src=0)
            unlink_after_peers(segment, dist.group.WORLD, timeout=30)
            return [segment.owner, os.path.exists(f"/dev/shm/{segment.name}"), bytes(segment.buf[:2])]
    received = [None]
    dist.broadcast_object_list(received, src=0)
    assert received[0] is not None
    with attach(received[0]) as segment:
        unlink_after_peers(segment)  # the same line may stand on every rank
        return [segment.owner, bytes(segment.buf[:2])]


def shares_within_a_part(rank: int, world_size: int) -> list[object]:
    """Ranks 0 and 2 of three are the group that shares; rank 1 has no part in it."""
    import torch.distributed as dist

    group = dist.new_group([0, 2])
    received: list[Any] = [None]
    if rank == 2:
        segment = create(16)
        received = [segment.name]
    dist.broadcast_object_list(received, src=2)
    if rank == 0:
        segment = attach(received[0])
    if rank == 1:
        return []
    unlink_after_peers(segment, group, timeout=30)
    return [segment.owner, len(segment.buf)]


def names_groups_that_do_not_do(rank: int, world_size: int) -> dict[str, list[str]]:
    """What each call answers to an object that is no group, and, on rank 1, to a group that it is not in."""
    import torch.distributed as dist

    others = dist.new_group([0, 2])
    answers: dict[str, list[str]] = {}
    with create(1) as segment:
        calls: dict[str, Callable[[Any], object]] = {
            "agree": lambda group: agree(True, group=group),
            "unlink_after_peers": lambda group: unlink_after_peers(segment, group, 0),
            "unlink_after_peers_async": lambda group: asyncio.run(
                unlink_after_peers_async(segment, group, 0)
            ),
        }
        for name, call in calls.items():
            answers[name] = []
            for group in [object(), others] if rank == 1 else [object()]:
                try:
                    call(group)
                except Exception as error:
                    answers[name].append(f"{type(error).__name__}: {error}")
    return answers


def shares_in_a_group_for_devices_alone(rank: int, world_size: int) -> bool:
    """The group's backend refuses the tensors of the CPU."""
    import torch.distributed as dist

    def devices_only(store: Any, rank: int, size: int, timeout: Any) -> Any:
        return dist.ProcessGroupGloo(store, rank, size, timeout)

    dist.Backend.register_backend("devices_only", devices_only, devices=["cuda"])
    group = dist.new_group([0, 1], backend="devices_only")
    received: list[Any] = [None]
    segment = create(1) if rank == 0 else None
    if segment is not None:
        received = [segment.name]
    dist.broadcast_object_list(received, src=0)
    segment = segment or attach(received[0])
    unlink_after_peers(segment, group, timeout=30)
    return segment.owner


def gives_up_on_a_peer(rank: int, world_size: int) -> str:
    """As above, but not all of the peers come."""
    import torch.distributed as dist

    received: list[Any] = [None]
    if rank == 0:
        with create(16, "missed") as segment:
            dist.broadcast_object_list([segment.name], src=0)
            try:
                unlink_after_peers(segment, timeout=0.5)
            except TimeoutError as error:
                return f"{segment.owner} {str(error).replace(segment.name, 'NAME')}"
        return "nobody was missing"
    dist.broadcast_object_list(received, src=0)
    before_attach(received[0])
    attach(received[0]).close()
    return "attached"


def ends_before_its_children(label: str, imported: str) -> None:
    """Leave an attach to a child that is joined at the end of the process; what joins it is imported before the segment
    is made, or after."""
    if imported == "before":
        import multiprocessing.util
    segment = create(8, label)
    import multiprocessing

    segment.buf[:2] = b"ok"
    child = multiprocessing.get_context("fork").Process(target=attaches_late, args=(segment.name,))
    child.start()
    globals()["kept"] = segment


def attaches_late(name: str) -> None:
    time.sleep(0.3)
    with attach(name) as segment:
        print(bytes(segment.buf[:2]), name)


def tensor_of_a_closed_segment(rank: int, world_size: int) -> int:
    """The sum of a tensor whose segment is closed; `SharedMemory.close()` would have unmapped it: a crash."""
    import torch

    with create(1 << 20) as segment:
        tensor = torch.frombuffer(segment.buf, dtype=torch.uint8)
        tensor.fill_(7)
    return int(tensor.sum(dtype=torch.int64))


def before_attach(name: str) -> None:
    """Where a fault is injected."""


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

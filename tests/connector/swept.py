"""One round of a connector as `sweep` runs it: each run is an instance of its own, whose name all ranks agree on."""

from __future__ import annotations

import uuid

import torch.distributed as dist

from tests.connector import ranks

STEPS = ("set a b", "get a b")


def main(rank: int, world_size: int, variant: str, endpoint: str, storage: str) -> list[str]:
    name = [f"instance-{uuid.uuid4()}"]
    dist.broadcast_object_list(name, src=0)
    return ranks.run(rank, world_size, variant, endpoint, name[0], storage, STEPS)

"""sglang: the same early return before an all_reduce as in sglang#27489, in the cache of hybrid Mamba models.

`HiMambaRadixCache.writing_check` returns when this rank waits for no write. Which rank that is depends on when the
copies of each were noticed. The repaired release enters the all_reduce on every rank.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


def program(rank: int, world_size: int, tree: str, folder: str) -> None:
    module = load(tree, "sglang.srt.mem_cache.hi_mamba_radix_cache")
    cache = module.HiMambaRadixCache.__new__(module.HiMambaRadixCache)
    cache.cache_controller = SimpleNamespace(ack_write_queue=[])
    cache.ongoing_write_through = {} if rank == 1 else {7: "node"}
    cache.tp_group = dist.group.WORLD
    cache.tp_world_size = world_size
    cache.writing_check()


BUG = Bug(
    name="sglang-26923",
    reference="sgl-project/sglang#26923",
    buggy=Release("sglang", "0.5.13"),
    module="sglang/srt/mem_cache/hi_mamba_radix_cache.py",
    program=program,
    fixed=Release("sglang", "0.5.14"),
)

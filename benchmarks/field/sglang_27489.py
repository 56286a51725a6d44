"""sglang: a rank that has written nothing through leaves writing_check before the all_reduce of its peers.

`UnifiedRadixCache.writing_check` returns early when `ongoing_write_through` is empty. It is on some ranks only: a
rank that finds no page in host memory starts no write. The repaired release enters the all_reduce on every rank.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


def program(rank: int, world_size: int, tree: str, folder: str) -> None:
    module = load(tree, "sglang.srt.mem_cache.unified_radix_cache")
    cache = module.UnifiedRadixCache.__new__(module.UnifiedRadixCache)
    cache.cache_controller = SimpleNamespace(ack_write_queue=[])
    cache.ongoing_write_through = {} if rank == 1 else {7: ("node", None)}
    cache.tp_group = dist.group.WORLD
    cache.tp_world_size = world_size
    # What the repaired release asks for as well: one stage of a pipeline, groups for attention as the others.
    cache.attn_cp_group = cache.attn_tp_group = None
    cache.pp_rank, cache.pp_size = 0, 1
    cache.writing_check()


BUG = Bug(
    name="sglang-27489",
    reference="sgl-project/sglang#27489",
    buggy=Release("sglang", "0.5.12.post1"),
    module="sglang/srt/mem_cache/unified_radix_cache.py",
    program=program,
    fixed=Release("sglang", "0.5.13"),
)

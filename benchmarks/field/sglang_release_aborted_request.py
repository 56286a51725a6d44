"""sglang: a rank that has no prefetch of an aborted request leaves before the barrier that its peers enter.

`HiRadixCache.release_aborted_request` returns when the request is not being prefetched here. A rank without free host
memory has not begun to. In the repaired release nobody waits: a thread has made the ranks agree before.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


class Controller:
    """Stands for the thread that fetches pages, which has fetched two of four tokens."""

    prefetch_tokens_occupied = 4

    def terminate_prefetch(self, operation: object) -> tuple[int, list[str]]:
        return 2, []

    def append_host_mem_release(self, host_indices: list[int]) -> None:
        self.released = host_indices


def program(rank: int, world_size: int, tree: str, folder: str) -> int:
    module = load(tree, "sglang.srt.mem_cache.hiradix_cache")
    cache = module.HiRadixCache.__new__(module.HiRadixCache)
    cache.prefetch_loaded_tokens_by_reqid = {}
    cache.cache_controller = Controller()
    cache.attn_cp_group = cache.attn_tp_group = None
    cache.tp_group, cache.tp_world_size = dist.group.WORLD, world_size
    operation = SimpleNamespace(host_indices=[1, 2, 3, 4])
    node = SimpleNamespace(release_host=lambda: None)
    cache.ongoing_prefetch = {} if rank == 1 else {"request": (node, "abcd", operation)}
    cache.release_aborted_request("request")
    return len(cache.ongoing_prefetch)


BUG = Bug(
    name="sglang-release-aborted-request",
    reference="sgl-project/sglang#27010",
    buggy=Release("sglang", "0.5.18"),
    module="sglang/srt/mem_cache/hiradix_cache.py",
    program=program,
    fixed=Release("sglang", "0.5.19"),
    repaired_by_release="completed, all return 0",
)

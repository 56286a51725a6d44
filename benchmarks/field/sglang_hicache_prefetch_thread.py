"""sglang: a storage backend that cannot be asked ends one rank's prefetch thread, and its peers' wait in all_reduce.

`prefetch_thread_func` asks the backend how many pages it holds and agrees on the smallest answer of all ranks. It
catches an empty queue only, so the backend's exception ends the thread. The repaired release takes a failed question
for "none".
"""

from __future__ import annotations

import queue
import threading

import torch
import torch.distributed as dist
from rslint_runtime.testing import Fault

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release

PAGE_TOKENS = 2


class Backend:
    """Stands for the remote store of pages."""

    def batch_exists(self, keys: list[str], extra_info: object) -> int:
        return len(keys)


def page_hashes(tokens: list[int], prior_digest: object, page_size: int) -> list[str]:
    """Stands for the extension in C++: a name for each page."""
    return [f"page {tokens[start : start + page_size]}" for start in range(0, len(tokens), page_size)]


def program(rank: int, world_size: int, tree: str, folder: str) -> int:
    module = load(
        tree,
        "sglang.srt.managers.cache_controller",
        "sglang.srt.mem_cache.hicache_storage",
        "sglang.srt.mem_cache.utils",
        absent=("triton",),
        given={
            "sglang.srt.utils": {"get_device_module": lambda: torch.cpu},
            "sglang.srt.mem_cache.cpp_utils.native_hash": {"get_native_hash": page_hashes},
        },
    )
    controller = module.HiCacheController.__new__(module.HiCacheController)
    controller.page_size = PAGE_TOKENS
    controller.storage_backend = Backend()
    controller.storage_stop_event = threading.Event()
    controller.prefetch_queue = queue.Queue()
    controller.prefetch_hit_queue = queue.Queue()
    controller.prefetch_hits_sync_groups = [dist.group.WORLD]
    operation = module.PrefetchOperation("request", [1, 2, 3, 4])
    controller.prefetch_queue.put(operation)
    controller.storage_stop_event.set()  # the thread works off its queue and ends
    thread = threading.Thread(target=controller.prefetch_thread_func)
    thread.start()
    thread.join()
    if controller.prefetch_hit_queue.empty():
        raise RuntimeError("the prefetch thread has ended before its work was done")
    return int(operation.storage_hit_count)


BUG = Bug(
    name="sglang-hicache-prefetch-thread",
    reference="sgl-project/sglang#38428",
    buggy=Release("sglang", "0.5.21"),
    module="sglang/srt/managers/cache_controller.py",
    program=program,
    faults=(Fault(rank=1, target="Backend.batch_exists", raises=ConnectionError),),
    fixed=Release("sglang", "0.5.22"),
    sound="completed, all return 4",
    repaired_by_release="completed, all return 0",
)

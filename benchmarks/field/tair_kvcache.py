"""What the two bugs of tair-kvcache's cache connector have in common: the connector with its services stood in for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch.distributed as dist

from benchmarks.field.loading import load
from benchmarks.field.releases import Release

BUGGY = Release("tair-kvcache", "f6aa2b2", repository="alibaba/tair-kvcache")
MODULE = "kv_cache_manager/py_connector/sglang/connector.py"


class Manager:
    """Stands for the metadata service: grants every block a place for every rank."""

    def start_write_cache(self, request: dict[str, Any]) -> dict[str, Any]:
        blocks = request["block_keys"]
        specs = [{"name": f"tp_{rank}", "uri": f"place/{rank}"} for rank in range(dist.get_world_size())]
        return {
            "locations": [{"location_specs": specs} for _ in blocks],
            "write_session_id": "session",
            "block_mask": {"offset": 0},
        }

    def finish_write_cache(self, request: dict[str, Any]) -> None:
        self.finished = request


class Transfer:
    """Stands for the storage engine, one on every rank."""

    def SaveKvCaches(self, uris: list[str], buffers: list[Any]) -> list[str]:
        return ["ok"] * len(uris)


def batch_set(rank: int, world_size: int, tree: str) -> list[bool]:
    """What the connector answers when two blocks are to be stored."""
    native = SimpleNamespace(
        BlockBuffer=SimpleNamespace,
        Iov=SimpleNamespace,
        MemoryType=SimpleNamespace(CPU="cpu"),
        ClientErrorCode=SimpleNamespace(ER_OK="ok"),
    )
    module = load(
        tree,
        "kv_cache_manager.py_connector.sglang.connector",
        absent=("sglang",),
        given={"kv_cache_manager.client.pybind": {"kvcm_py_client": native}},
    )
    connector = module.HiCacheKVCM.__new__(module.HiCacheKVCM)
    connector.tp_rank, connector.tp_world_size = rank, world_size
    connector.storage_tp_group = dist.group.WORLD
    connector.location_spec_name, connector.location_spec_size = f"tp_{rank}", 64
    connector.instance_id, connector.write_timeout_seconds, connector.kv_factor = "instance", 30, 1
    connector.backup_pgs, connector.backup_bandwidth = [], []
    connector.mem_pool_host = SimpleNamespace(get_page_buffer_meta=lambda indices: ([0, 64], [64, 64]))
    connector._manager_client, connector.transfer_client = Manager(), Transfer()
    answers: list[bool] = connector.batch_set_v1(["a", "b"], [0, 1])
    return answers

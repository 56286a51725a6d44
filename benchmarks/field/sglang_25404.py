"""sglang: a data-parallel rank without work raises before the all_gather in which the others say how much they have.

`prepare_mlp_sync_batch_raw` takes an idle batch for one that is extended, and goes over lengths that are None there.
The repaired release counts an idle batch as no tokens.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release

PLACES = ("sglang.srt.managers.scheduler_dp_attn_mixin", "sglang.srt.managers.scheduler_components.dp_attn")


class Mode:
    """Stands for ForwardMode, of which the function asks what a batch is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, question: str) -> Any:
        return lambda: self._name in question.removeprefix("is_").split("_or_")


class TwoBatchOverlap:
    """Stands for what splits batches in two, which is off."""

    def prepare_all_gather(self, batch: object) -> tuple[bool, int]:
        return False, 0

    def compute_output(self, gathered: object) -> tuple[None, None]:
        return None, None


def batch(mode: str) -> SimpleNamespace:
    if mode == "idle":
        return SimpleNamespace(
            forward_mode=Mode(mode), extend_num_tokens=0, extend_logprob_start_lens=None, extend_lens=None
        )
    return SimpleNamespace(forward_mode=Mode(mode), batch_size=lambda: 3)


def program(rank: int, world_size: int, tree: str, folder: str) -> list[int]:
    (place,) = (name for name in PLACES if Path(tree, *name.split(".")).with_suffix(".py").is_file())
    off = SimpleNamespace(get=lambda: False)
    workers = SimpleNamespace(active_ranks_cpu=torch.ones(world_size), cpu_group=dist.group.WORLD)
    module = load(
        tree,
        place,
        given={
            "sglang.srt.batch_overlap.two_batch_overlap": {"TboDPAttentionPreparer": TwoBatchOverlap},
            "sglang.srt.distributed.parallel_state": {"get_tp_group": lambda: workers},
            "sglang.srt.environ": {
                "envs": SimpleNamespace(
                    SGLANG_ENABLE_METRICS_DP_ATTENTION=off,
                    SGLANG_SCHEDULER_SKIP_ALL_GATHER=off,
                    SGLANG_NCCL_ALL_GATHER_IN_OVERLAP_SCHEDULER_SYNC_BATCH=off,
                )
            },
            "sglang.srt.model_executor.forward_batch_info": {
                "ForwardMode": SimpleNamespace(IDLE=SimpleNamespace(value=4), EXTEND=1, MIXED=3)
            },
        },
    )
    prepared = module.prepare_mlp_sync_batch_raw(
        batch("idle" if rank == 1 else "decode"),
        dp_size=world_size,
        attn_tp_size=1,
        attn_cp_size=1,
        tp_group=workers,
        get_idle_batch=lambda: batch("idle"),
        disable_cuda_graph=True,
        require_mlp_tp_gather=True,
        disable_overlap_schedule=False,
        offload_tags=set(),
    )
    return list(prepared.global_num_tokens)


BUG = Bug(
    name="sglang-25404",
    reference="sgl-project/sglang#25404",
    buggy=Release("sglang", "0.5.12.post1"),
    module="sglang/srt/managers/scheduler_dp_attn_mixin.py",
    program=program,
    fixed=Release("sglang", "0.5.13"),
    repaired_by_release="completed, all return [3, 0]",
)

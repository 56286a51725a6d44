"""trl: a generation server that does not answer rank 0 leaves the other ranks in broadcast_object_list.

Rank 0 alone asks the server for completions and broadcasts them to those whose prompts they are for. There is no
release with a repair; rslint's fix is it. accelerate's functions for objects are those of torch here, so that is
where ranks wait.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch.distributed as dist
from rslint_runtime.testing import Fault

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


class Client:
    """Stands for the client of the server: one token for every prompt."""

    def generate(self, prompts: list[list[int]], **options: Any) -> dict[str, Any]:
        return {"prompt_ids": prompts, "completion_ids": [[9]] * len(prompts), "logprobs": None}


def broadcast_object_list(objects: list[Any], from_process: int) -> None:
    dist.broadcast_object_list(objects, src=from_process)


def gather_object(objects: list[Any]) -> list[Any]:
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, objects)
    return [item for items in gathered for item in items]


def no() -> bool:
    return False


def program(rank: int, world_size: int, tree: str, folder: str) -> int:
    devices = ("mlu", "mps", "npu", "xpu")
    module = load(
        tree,
        "trl.generation.vllm_generation",
        absent=("accelerate", "transformers"),
        given={
            "accelerate.utils": {
                "broadcast_object_list": broadcast_object_list,
                "gather_object": gather_object,
            },
            "transformers": {"is_bitsandbytes_available": no},
            "transformers.utils": {f"is_torch_{device}_available": no for device in devices},
            "trl.import_utils": {"is_vllm_available": no},
        },
    )
    generation = module.VLLMGeneration.__new__(module.VLLMGeneration)
    generation.accelerator = SimpleNamespace(is_main_process=rank == 0, process_index=rank)
    generation.mode, generation.vllm_client = "server", Client()
    generation.temperature = generation.top_p = generation.top_k = generation.min_p = None
    generation.repetition_penalty, generation.max_completion_length = 1.0, 1
    generation.logprobs = generation.structured_outputs_regex = None
    generation.generation_kwargs = {}
    _, completions, *_ = generation.generate([[rank, 1, 2]], None, num_generations=1)
    return len(completions)


BUG = Bug(
    name="trl-vllm-server-generate",
    reference="huggingface/trl",
    buggy=Release("trl", "1.16.0"),
    module="trl/generation/vllm_generation.py",
    program=program,
    faults=(Fault(rank=0, target="Client.generate", raises=ConnectionError),),
    rslint_fix=("--fix",),
    sound="completed, all return 1",
    broken="deadlock in trl_vllm_server_generate.py",
    repaired_by_rslint="failed: rank 0 ConnectionError, rank 1 ConnectionError",
)

"""transformers: saving a model on the main process alone enters an all_gather that no other rank comes to.

`Trainer.save_model` calls `_save` on rank 0, and that calls `_store_flos`, which gathers a number from all ranks.
Nothing has to fail. In the repaired release the training loop stores the number on every rank before it saves.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace

import torch

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


class Model:
    """Stands for PreTrainedModel."""

    config = SimpleNamespace()

    def save_pretrained(self, folder: str) -> None:
        torch.save({}, f"{folder}/pytorch_model.bin")


def no() -> bool:
    return False


def program(rank: int, world_size: int, tree: str, folder: str) -> float:
    torch.Tensor.cuda = torch.Tensor.cpu  # type: ignore[assignment, method-assign]
    libraries = ("comet", "optuna", "ray", "tensorboard", "wandb")
    module = load(
        tree,
        "transformers.trainer",
        "transformers.trainer_utils",
        absent=("tqdm",),
        given={
            "transformers.file_utils": {
                "is_torch_available": lambda: True,
                "is_datasets_available": no,
                "is_torch_tpu_available": no,
            },
            "transformers.integrations": {f"is_{library}_available": no for library in libraries},
            "transformers.modeling_utils": {"PreTrainedModel": Model},
            "transformers.utils.logging": {"get_logger": logging.getLogger},
        },
    )
    trainer = module.Trainer.__new__(module.Trainer)
    trainer.args = SimpleNamespace(local_rank=rank, output_dir=folder)
    trainer.model, trainer.tokenizer = Model(), None
    trainer.total_flos, trainer.log_history = 1.0, []
    if hasattr(trainer, "store_flos"):
        trainer.store_flos()  # as the repaired release's training loop does
    trainer.save_model(folder)
    return float(trainer.model.config.total_flos)


BUG = Bug(
    name="transformers-7365",
    reference="huggingface/transformers#7365",
    buggy=Release("transformers", "3.2.0"),
    module="transformers/trainer_utils.py",
    program=program,
    fixed=Release("transformers", "3.3.0"),
    repaired_by_release="completed, all return 2.0",
)

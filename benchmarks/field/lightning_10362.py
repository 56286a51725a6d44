"""PyTorch Lightning: the progress bar asks for metrics from a thread that only rank 0 has.

rich's thread renders the bar ten times a second, `MetricsTextColumn.render` asks the trainer for its metrics, and
metrics are computed by all ranks together. The repaired release computes them on every rank after a batch, and
renders what it has got.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import torch
import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release

STEP = 0.5  # seconds of a training step, long enough for the bar to be rendered


class Trainer:
    """Stands for Trainer in the middle of fitting, with a metric over all ranks."""

    state = SimpleNamespace(fn="fit")
    sanity_checking, training, enable_validation, logger = False, True, False, None
    num_training_batches, val_check_batch, current_epoch = 1, 1, 0
    fit_loop = SimpleNamespace(
        epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(completed=0))),
    )

    @property
    def progress_bar_metrics(self) -> dict[str, float]:
        accuracy = torch.ones(1)
        dist.all_reduce(accuracy)
        return {"accuracy": accuracy.item() / dist.get_world_size()}


def program(rank: int, world_size: int, tree: str, folder: str) -> None:
    os.environ["FORCE_COLOR"] = "1"  # rich draws bars for terminals only
    module = load(
        tree,
        "pytorch_lightning.callbacks.progress.rich_progress",
        "pytorch_lightning.callbacks.progress.base",
        given={
            "pytorch_lightning.callbacks": {"Callback": object},
            "pytorch_lightning.utilities": {"_RICH_AVAILABLE": True},
            "pytorch_lightning.trainer.states": {"TrainerFn": SimpleNamespace(FITTING="fit")},
        },
    )
    module.Console.clear_live = lambda console: (
        None
    )  # of an empty console, which newer releases of rich refuse
    trainer, bar = Trainer(), module.RichProgressBar()
    if rank > 0:
        bar.disable()
    bar.on_init_end(trainer)
    model = SimpleNamespace(get_progress_bar_dict=dict)
    bar.on_train_start(trainer, model)
    bar.on_train_epoch_start(trainer, model)
    time.sleep(STEP)
    bar.on_train_batch_end(trainer, model, None, None, 0)
    bar.teardown(trainer, model)


BUG = Bug(
    name="lightning-10362",
    reference="Lightning-AI/pytorch-lightning#10362",
    buggy=Release("pytorch-lightning", "1.5.0"),
    module="pytorch_lightning/callbacks/progress/rich_progress.py",
    program=program,
    fixed=Release("pytorch-lightning", "1.5.1"),
    broken="deadlock in lightning_10362.py",
)

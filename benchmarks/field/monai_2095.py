"""MONAI: a handler gathers predictions after every batch, and one rank has a batch more than the others.

`ClassificationSaver` is called at the end of each iteration, and its gathering is a collective. The repaired release
keeps what it is given and gathers once, at the end of the epoch. ignite's functions are those of torch here, so that
is where ranks wait.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release

EVENTS = SimpleNamespace(
    EPOCH_STARTED="started", ITERATION_COMPLETED="batch", EPOCH_COMPLETED="ended", COMPLETED="all"
)


class Table:
    """Stands for the writer of CSV files."""

    def __init__(self, folder: str, name: str, overwrite: bool) -> None:
        self._file = os.path.join(folder, name)
        self._rows: list[float] = []

    def save_batch(self, predictions: torch.Tensor, meta_data: object) -> None:
        self._rows += predictions.tolist()

    def finalize(self) -> None:
        with open(self._file, "w") as file:
            file.writelines(f"{row}\n" for row in self._rows)


class Engine:
    """Stands for ignite's: an epoch over this rank's batches, and who is told of it."""

    logger = None

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Any]] = []
        self.state = SimpleNamespace(batch={}, output=None)

    def has_event_handler(self, handler: Any, event: str) -> bool:
        return (event, handler) in self._handlers

    def add_event_handler(self, event: str, handler: Any) -> None:
        self._handlers.append((event, handler))

    def run(self, batches: list[torch.Tensor]) -> None:
        self._tell(EVENTS.EPOCH_STARTED)
        for output in batches:
            self.state.output = output
            self._tell(EVENTS.ITERATION_COMPLETED)
        self._tell(EVENTS.EPOCH_COMPLETED)
        self._tell(EVENTS.COMPLETED)

    def _tell(self, event: str) -> None:
        for wanted, handler in self._handlers:
            if wanted == event:
                handler(self)


def all_gather(value: Any) -> Any:
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value)
    return torch.cat(gathered) if isinstance(value, torch.Tensor) else gathered


def program(rank: int, world_size: int, tree: str, folder: str) -> None:
    found = {
        "distributed": SimpleNamespace(
            get_rank=dist.get_rank, get_world_size=dist.get_world_size, all_gather=all_gather
        ),
        "Events": EVENTS,
        "Engine": Engine,
    }
    module = load(
        tree,
        "monai.handlers.classification_saver",
        "monai.handlers.utils",
        given={
            "monai.data": {"CSVSaver": Table},
            "monai.utils": {
                "optional_import": lambda package, version, check, name: (found[name], True),
                "ImageMetaKey": SimpleNamespace(FILENAME_OR_OBJ="filename"),
                "get_torch_version_tuple": lambda: (2, 0, 0),
                "issequenceiterable": lambda value: isinstance(value, (list, tuple)),
            },
        },
    )
    saver = module.ClassificationSaver(output_dir=folder)
    engine = Engine()
    saver.attach(engine)
    batches = [torch.tensor([float(batch)]) for batch in range(3 if rank == 0 else 2)]
    engine.run(batches)


BUG = Bug(
    name="monai-2095",
    reference="Project-MONAI/MONAI#2095",
    buggy=Release("monai", "0.5.1"),
    module="monai/handlers/classification_saver.py",
    program=program,
    fixed=Release("monai", "0.5.2"),
    broken="deadlock in monai_2095.py",
)

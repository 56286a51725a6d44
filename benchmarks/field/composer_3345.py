"""composer: a shard that cannot be downloaded on one rank drives the ranks into different collectives.

`DistCPObjectStoreReader.read_data` logs the failure and raises it again in front of `dist.barrier()`. torch's loader
catches it and gathers the errors of all ranks, whose peers are in the barrier meanwhile. The repaired release gathers
who has failed, and all ranks raise.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import torch
from rslint_runtime.testing import Fault
from torch.distributed.checkpoint import filesystem, state_dict_loader, state_dict_saver

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


class Bucket:
    """Stands for the object store, by a folder."""

    def download_file(self, remote_file_name: str, destination: str) -> None:
        shutil.copy(remote_file_name, destination)


def program(rank: int, world_size: int, tree: str, folder: str) -> bool:
    module = load(
        tree,
        "composer.utils.checkpoint",
        "composer.utils.dist",
        given={
            "composer.utils.device": {
                "is_xla_installed": lambda: False,
                "is_hpu_installed": lambda: False,
                "get_device": lambda name: SimpleNamespace(tensor_to_device=torch.Tensor.cpu),
            },
            "composer.utils.retrying": {"retry": lambda **_: lambda function: function},
            "composer.utils.file_helpers": {"FORMAT_NAME_WITH_DIST_AND_TIME_TABLE": ""},
        },
    )
    source, destination = Path(folder, "source"), Path(folder, "destination")
    name = f"weight of rank {rank}"
    saved = {name: torch.full((4,), float(rank))}
    state_dict_saver.save(saved, storage_writer=filesystem.FileSystemWriter(source))
    loaded = {name: torch.empty(4)}
    reader = module.DistCPObjectStoreReader(str(source), str(destination), Bucket(), None)
    state_dict_loader.load(loaded, storage_reader=reader)
    return bool((loaded[name] == rank).all())


BUG = Bug(
    name="composer-3345",
    reference="mosaicml/composer#3345",
    buggy=Release("composer", "0.22.0"),
    module="composer/utils/checkpoint.py",
    program=program,
    faults=(Fault(rank=1, target="Bucket.download_file", raises=ConnectionError),),
    fixed=Release("composer", "0.23.0"),
    sound="completed, all return True",
    broken="mismatch",
    repaired_by_release="failed: rank 0 CheckpointException, rank 1 CheckpointException",
)

"""unsloth-zoo: a callback that raises on the main rank leaves the others in broadcast_object_list.

`distributed_function` runs the callback on the main rank unguarded and broadcasts what it returned. The repaired
release broadcasts an envelope that may also hold the error.
"""

from __future__ import annotations

from rslint_runtime.testing import Fault

from benchmarks.field.bugs import Bug
from benchmarks.field.loading import load
from benchmarks.field.releases import Release


def tokenizer_files() -> list[str]:
    """Stands for what the library runs on one rank: asking a hub for files."""
    return ["tokenizer.json"]


def program(rank: int, world_size: int, tree: str, folder: str) -> list[str]:
    utils = load(tree, "unsloth_zoo.utils")
    return list(utils.distributed_function(1, tokenizer_files))


BUG = Bug(
    name="unsloth-zoo-distributed-function",
    reference="unslothai/unsloth-zoo#967",
    buggy=Release("unsloth-zoo", "2026.10.5"),
    module="unsloth_zoo/utils.py",
    program=program,
    faults=(Fault(rank=0, target="tokenizer_files", raises=ConnectionError),),
    fixed=Release("unsloth-zoo", "2026.10.7"),
    rslint_fix=("--fix", "--unsafe-fixes"),
    sound="completed, all return ['tokenizer.json']",
    repaired_by_release="failed: rank 0 ConnectionError, rank 1 RuntimeError",
    repaired_by_rslint="failed: rank 0 ConnectionError, rank 1 ConnectionError",
)

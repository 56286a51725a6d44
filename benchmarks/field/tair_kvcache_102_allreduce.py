"""tair-kvcache: a storage engine that fails on one rank leaves the others in the all_reduce of the success flag.

Every rank stores its own shard and then agrees with the others on whether all went well. The exception skips that, is
caught far above and logged. There is no release; rslint's fix is the repair.
"""

from __future__ import annotations

from rslint_runtime.testing import Fault

from benchmarks.field import tair_kvcache
from benchmarks.field.bugs import Bug


def program(rank: int, world_size: int, tree: str, folder: str) -> list[bool]:
    return tair_kvcache.batch_set(rank, world_size, tree)


BUG = Bug(
    name="tair-kvcache-102-allreduce",
    reference="alibaba/tair-kvcache#102",
    buggy=tair_kvcache.BUGGY,
    module=tair_kvcache.MODULE,
    program=program,
    faults=(
        Fault(rank=1, target="benchmarks.field.tair_kvcache.Transfer.SaveKvCaches", raises=ConnectionError),
    ),
    rslint_fix=("--fix",),
    sound="completed, all return [True, True]",
    repaired_by_rslint="completed, all return [False, False]",
)

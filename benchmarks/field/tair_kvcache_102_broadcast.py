"""tair-kvcache: a metadata service that is down on rank 0 leaves the other ranks in broadcast_object_list.

Rank 0 alone asks the manager for places and broadcasts them. The exception is caught far above and logged, so rank 0
goes on serving while its peers wait. There is no release; rslint's fix is the repair.
"""

from __future__ import annotations

from rslint_runtime.testing import Fault

from benchmarks.field import tair_kvcache
from benchmarks.field.bugs import Bug


def program(rank: int, world_size: int, tree: str, folder: str) -> list[bool]:
    return tair_kvcache.batch_set(rank, world_size, tree)


BUG = Bug(
    name="tair-kvcache-102-broadcast",
    reference="alibaba/tair-kvcache#102",
    buggy=tair_kvcache.BUGGY,
    module=tair_kvcache.MODULE,
    program=program,
    faults=(
        Fault(
            rank=0, target="benchmarks.field.tair_kvcache.Manager.start_write_cache", raises=ConnectionError
        ),
    ),
    rslint_fix=("--fix",),
    sound="completed, all return [True, True]",
    repaired_by_rslint="completed, all return [False, False]",
)

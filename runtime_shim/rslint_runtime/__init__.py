"""What a distributed program needs so that one rank's failure reaches every rank instead of hanging them, and so that
what one process writes to shared memory is read in order by another."""

from rslint_runtime.collectives import agree, broadcast_result, gather_results, rank_guard
from rslint_runtime.order import memory_fence
from rslint_runtime.peer_error import PeerError
from rslint_runtime.process_groups import use_cpu_group

__all__ = [
    "PeerError",
    "agree",
    "broadcast_result",
    "gather_results",
    "memory_fence",
    "rank_guard",
    "use_cpu_group",
]

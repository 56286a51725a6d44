"""What a distributed program needs so that one rank's failure reaches every rank instead of hanging them, and so that
what one process writes to shared memory is read in order by another."""

from rslint_runtime.collectives import PeerError, agree, broadcast_result, rank_guard
from rslint_runtime.order import memory_fence

__all__ = ["PeerError", "agree", "broadcast_result", "memory_fence", "rank_guard"]

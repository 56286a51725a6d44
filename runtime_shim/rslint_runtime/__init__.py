"""What a distributed program needs so that one failure, or one bad order of events, does not hang or corrupt the rest.

Collectives through which one rank's failure reaches every rank; shared-memory segments with one owner; fences, flags
and rings, so that what one process writes is read in order by another, and the death of a ring's member is noticed;
values that cannot be used once their lock is released, and locks between requests and updates that know of pauses.
"""

from rslint_runtime.collectives import agree, broadcast_result, gather_results, rank_guard
from rslint_runtime.locks import AsyncGuarded, Guarded, Held, ReleasedError
from rslint_runtime.order import memory_fence
from rslint_runtime.peer_error import PeerError
from rslint_runtime.peers import Peer, PeerDiedError, SlowReaderError
from rslint_runtime.process_groups import use_cpu_group
from rslint_runtime.ring_reader import RingReader
from rslint_runtime.ring_writer import RingWriter
from rslint_runtime.segment_handle import Segment
from rslint_runtime.segments import (
    attach,
    create,
    remove_orphans,
    unlink_after_peers,
    unlink_after_peers_async,
)
from rslint_runtime.shared_flag import SharedCounter, SharedFlag
from rslint_runtime.shm_ring import ShmRing
from rslint_runtime.update_locks import AsyncUpdateLock, UpdateLock

__all__ = [
    "AsyncGuarded",
    "AsyncUpdateLock",
    "Guarded",
    "Held",
    "Peer",
    "PeerDiedError",
    "PeerError",
    "ReleasedError",
    "RingReader",
    "RingWriter",
    "Segment",
    "SharedCounter",
    "SharedFlag",
    "ShmRing",
    "SlowReaderError",
    "UpdateLock",
    "agree",
    "attach",
    "broadcast_result",
    "create",
    "gather_results",
    "memory_fence",
    "rank_guard",
    "remove_orphans",
    "unlink_after_peers",
    "unlink_after_peers_async",
    "use_cpu_group",
]

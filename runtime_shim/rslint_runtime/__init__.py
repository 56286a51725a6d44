"""What a distributed program needs so that one rank's failure reaches every rank instead of hanging them, and so that
what one process writes to shared memory is read in order by another."""

from rslint_runtime.collectives import PeerError, agree, broadcast_result, rank_guard
from rslint_runtime.order import memory_fence
from rslint_runtime.peers import Peer, PeerDiedError
from rslint_runtime.ring_reader import RingReader
from rslint_runtime.ring_writer import RingWriter, SlowReaderError
from rslint_runtime.shared_flag import SharedCounter, SharedFlag
from rslint_runtime.shm_ring import ShmRing

__all__ = [
    "Peer",
    "PeerDiedError",
    "PeerError",
    "RingReader",
    "RingWriter",
    "SharedCounter",
    "SharedFlag",
    "ShmRing",
    "SlowReaderError",
    "agree",
    "broadcast_result",
    "memory_fence",
    "rank_guard",
]

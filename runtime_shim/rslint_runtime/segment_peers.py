"""Which processes a segment is shared with, and which of them have not attached yet."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rslint_runtime.segment_records import Arrival, this_process

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["absent_peers", "expected_peers", "this_rank"]


def this_rank() -> int:
    """The global rank of this process, -1 without one; torch is not imported for it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return -1
    return int(distributed.get_rank())


def expected_peers(group: ProcessGroup | None, peers: int | Iterable[int] | None) -> int | frozenset[int]:
    """How many other processes have to attach, or which ranks."""
    if peers is not None:
        if group is not None:
            raise ValueError("unlink_after_peers: either a group or peers, not both")
        if isinstance(peers, int) and peers < 0:
            raise ValueError(f"unlink_after_peers: {peers} peers cannot attach")
        return peers if isinstance(peers, int) else frozenset(peers)
    if (own := this_rank()) < 0:
        raise ValueError(
            "unlink_after_peers: there is no process group; say how many processes attach (peers=…)"
        )
    distributed = sys.modules["torch.distributed"]
    return frozenset(distributed.get_process_group_ranks(group or distributed.group.WORLD)) - {own}


def absent_peers(arrived: Iterable[Arrival], expected: int | frozenset[int]) -> str:
    """Who has not attached yet, in words; "" when nobody is missing."""
    own = this_process()
    others = [arrival for arrival in arrived if arrival.process != own]
    if isinstance(expected, int):
        absent = expected - len({arrival.process for arrival in others})
        return f"{absent} of {expected} peers" if absent > 0 else ""
    missing = sorted(expected - {arrival.rank for arrival in others})
    if not missing:
        return ""
    unknown = sorted({arrival.pid for arrival in others if arrival.rank < 0})
    beside = f" (attached without a rank: pid {', '.join(map(str, unknown))})" if unknown else ""
    return f"rank{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}{beside}"

"""Which processes a segment is shared with, and which of them have not attached yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rslint_runtime.process_groups import distributed_runs, member_group
from rslint_runtime.segment_handle import Segment
from rslint_runtime.segment_records import Arrival, this_process

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["Attendance", "absent_peers", "expected_peers", "this_rank"]


def this_rank() -> int:
    """The global rank of this process, -1 without one; torch is not imported for it."""
    if not distributed_runs():
        return -1
    import torch.distributed as dist

    return dist.get_rank()


def expected_peers(group: ProcessGroup | None, peers: int | Iterable[int] | None) -> int | frozenset[int]:
    """How many other processes have to attach, or which ranks. `group` is judged as the collectives judge it."""
    if peers is not None:
        if group is not None:
            raise ValueError("unlink_after_peers: either a group or peers, not both")
        return _named_peers(peers)
    if not distributed_runs():
        raise ValueError(
            "unlink_after_peers: there is no process group; say how many processes attach (peers=…)"
        )
    import torch.distributed as dist

    return frozenset(dist.get_process_group_ranks(member_group(group))) - {dist.get_rank()}


def _named_peers(peers: int | Iterable[int]) -> int | frozenset[int]:
    if isinstance(peers, int) and not isinstance(peers, bool):
        if peers < 0:
            raise ValueError(f"unlink_after_peers: {peers} peers cannot attach")
        return peers
    if isinstance(peers, Iterable):
        ranks = frozenset(peers)
        if all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks):
            return ranks
    raise TypeError(f"unlink_after_peers: peers is a number of processes, or their ranks, not {peers!r}")


@dataclass
class Attendance:
    """Who of the expected peers was missing when it was last looked, in words."""

    segment: Segment
    expected: int | frozenset[int]
    absent: str = ""

    def complete(self) -> bool:
        """Look again, and tell whether all have attached."""
        self.absent = absent_peers(self.segment.arrived(), self.expected)
        return not self.absent

    def late(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"segment {self.segment.name} was not attached by {self.absent} within {timeout:g} s; it is still there, "
            "and this process owns it"
        )


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

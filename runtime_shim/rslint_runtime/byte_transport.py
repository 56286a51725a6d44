"""Carries bytes between the ranks of a group, over uint8 tensors in memory that Python owns.

torch's object collectives need NumPy and have no way to say that there is no object; these need none, and what they
carry has a kind. Every message is announced by two numbers, its kind and its size, so that what another collective left
on the wire is told from an announcement instead of being taken for a size.

All functions are called with the carrier's turn held. Interrupts that come while they wait are kept until it ends.
"""

from __future__ import annotations

import io
import pickle
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rslint_runtime.peer_error import describe_failure, raise_for_peer
from rslint_runtime.process_groups import Carrier

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Message", "broadcast_message", "first_failing", "gather_messages", "pickled_bytes"]

# How a value and the description of a failure are announced. No size of anything looks like that.
_ANNOUNCED_VALUE, _ANNOUNCED_FAILURE = 0x72736C_6E740001, 0x72736C_6E740002
# Bytes for which every rank is taken to have room; for more than that, the ranks agree on it first.
_CERTAIN_ROOM = 64 << 20
# Bytes in one collective: backends that count in 32 bits (MPI) take less than 2 GiB.
_AT_ONCE = 1 << 30


@dataclass(frozen=True)
class Message:
    """Bytes, and whether they are the description of a failure instead of a value."""

    failed: bool
    data: memoryview


def pickled_bytes(value: object) -> memoryview:
    """Pickle into memory that a tensor can share, so that large values are copied once and not twice."""
    file = io.BytesIO()
    pickle.Pickler(file, protocol=5).dump(value)
    return file.getbuffer()


def first_failing(carrier: Carrier, failed: bool) -> int | None:
    """The first rank in group order with `failed`, known to all; None when there is none. One small all_reduce."""
    import torch.distributed as dist

    count = len(carrier.ranks)
    lowest = array("q", [carrier.ranks.index(carrier.rank) if failed else count])
    work = dist.all_reduce(_integers(lowest), op=dist.ReduceOp.MIN, group=carrier.group, async_op=True)
    carrier.turn.complete(work)
    return None if lowest[0] == count else carrier.ranks[lowest[0]]


def broadcast_message(carrier: Carrier, src: int, message: Message | None) -> Message:
    """Carry the source's message to every rank of the group: two broadcasts. Peers pass None.

    Messages above 64 MiB take an all_reduce in between, so that all ranks raise when one has no room.

    Raises:
        MemoryError: on a rank that has no room; PeerError of that type on the others.
        RuntimeError: when what arrives is no announcement, because the ranks are not in the same collective.
    """
    import torch.distributed as dist

    header = _header(message)
    works = [dist.broadcast(_integers(header), src=src, group=carrier.group, async_op=True)]
    if message is None or message.data.nbytes > _CERTAIN_ROOM:
        carrier.turn.complete(*works)
        failed, size = _announced(header)
        room = _agreed_room(carrier, size, size if message is None else 0)
        message = message or Message(failed, room)
        works = []
    # Where the source has not waited yet, nothing can come between the announcement and what it announces.
    for part in _tensors_over(message.data, 0, message.data.nbytes, _AT_ONCE):
        works.append(dist.broadcast(part, src=src, group=carrier.group, async_op=True))
    carrier.turn.complete(*works)
    return message


def gather_messages(carrier: Carrier, message: Message) -> list[Message]:
    """The messages of all ranks, in group order: two all_gathers, the second as long as the longest message.

    If some are descriptions of failures, all others come back empty: nobody will read them.

    Raises: as `broadcast_message`; here room is needed for all messages.
    """
    import torch.distributed as dist

    count = len(carrier.ranks)
    headers = [array("q", [0, 0]) for _ in range(count)]
    into, part = [_integers(header) for header in headers], _integers(_header(message))
    carrier.turn.complete(dist.all_gather(into, part, group=carrier.group, async_op=True))
    announced = [_announced(header) for header in headers]
    some_failed = any(failed for failed, _ in announced)
    sizes = [size if failed or not some_failed else 0 for failed, size in announced]
    longest = max(sizes)
    padded = message.data.nbytes != longest
    room = _agreed_room(carrier, count * longest, (count + padded) * longest)
    gathered, own = room[: count * longest], room[count * longest :] if padded else message.data
    if padded and (message.failed or not some_failed):
        own[: message.data.nbytes] = message.data
    at_once = max(_AT_ONCE // count, 1)
    for part, *parts in zip(
        _tensors_over(own, 0, longest, at_once),
        *(_tensors_over(gathered, position * longest, longest, at_once) for position in range(count)),
        strict=True,
    ):
        carrier.turn.complete(dist.all_gather(parts, part, group=carrier.group, async_op=True))
    starts = range(0, count * longest, longest)
    return [
        Message(failed, gathered[start : start + size])
        for start, size, (failed, _) in zip(starts, sizes, announced, strict=True)
    ]


def _header(message: Message | None) -> array[int]:
    if message is None:
        return array("q", [0, 0])
    return array("q", [_ANNOUNCED_FAILURE if message.failed else _ANNOUNCED_VALUE, message.data.nbytes])


def _integers(memory: array[int]) -> Tensor:
    """A tensor over the array: it costs a third of what torch.tensor does, and no default device moves it."""
    import torch

    return torch.frombuffer(memory, dtype=torch.int64)


def _announced(header: array[int]) -> tuple[bool, int]:
    kind, size = header
    if kind not in (_ANNOUNCED_VALUE, _ANNOUNCED_FAILURE) or size < 1:
        raise RuntimeError(
            "the ranks are out of step: what arrived belongs to another collective than the one this rank is in; "
            "every rank must call the collectives of a group in the same order, from one thread at a time"
        )
    return kind == _ANNOUNCED_FAILURE, size


def _agreed_room(carrier: Carrier, size: int, own_size: int) -> memoryview:
    """Memory of `own_size` bytes; where `size` is large, all ranks have theirs or all raise."""
    room: bytearray | None = None
    try:
        room = bytearray(own_size)
    except MemoryError:
        if size <= _CERTAIN_ROOM:
            raise
    if size > _CERTAIN_ROOM:
        failing = first_failing(carrier, room is None)
        shortage = MemoryError(f"no room for the {size:,} bytes that a collective carries")
        if room is None:
            raise shortage
        if failing is not None:
            raise_for_peer(describe_failure(shortage, failing))
    assert room is not None
    return memoryview(room)


def _tensors_over(data: memoryview, start: int, size: int, at_once: int) -> Iterator[Tensor]:
    """Tensors over `size` bytes of `data` from `start`, none longer than `at_once`."""
    import torch

    for offset in range(start, start + size, at_once):
        count = min(at_once, start + size - offset)
        yield torch.frombuffer(data, dtype=torch.uint8, offset=offset, count=count)

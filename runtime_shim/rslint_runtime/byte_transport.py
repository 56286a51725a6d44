"""Carries bytes between the ranks of a group, as uint8 tensors.

torch's object collectives need NumPy and have no way to say that there is no object; these need none, and what they
carry has a kind. Every message is announced by two numbers, its kind and its size, so that what another collective left
on the wire is told from an announcement instead of being taken for a size.

A backend is given memory of torch's own, never a tensor over memory of Python's: a thread of the backend may be the
last to let go of it, would have to wait for the interpreter's lock to do so, and would hold up the group meanwhile.

All functions are called with the carrier's turn held. Interrupts that come while they wait are kept until it ends.
"""

from __future__ import annotations

import contextlib
import io
import pickle
from array import array
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
    """The pickle, in memory that a tensor may be made over: it can be written."""
    file = io.BytesIO()
    pickle.Pickler(file, protocol=5).dump(value)
    return file.getbuffer()


def first_failing(carrier: Carrier, failed: bool) -> int | None:
    """The first rank in group order with `failed`, known to all; None when there is none. One small all_reduce."""
    import torch.distributed as dist

    count = len(carrier.ranks)
    lowest = _integers(carrier.ranks.index(carrier.rank) if failed else count)
    work = dist.all_reduce(lowest, op=dist.ReduceOp.MIN, group=carrier.group, async_op=True)
    carrier.turn.complete(work)
    found = int(lowest.item())
    return None if found == count else carrier.ranks[found]


def broadcast_message(carrier: Carrier, src: int, message: Message | None) -> Message:
    """Carry the source's message to every rank of the group: two broadcasts. Peers pass None.

    Messages above 64 MiB take an all_reduce in between, so that all ranks raise when one has no room.

    Raises:
        MemoryError: on a rank that has no room; PeerError of that type on the others.
        RuntimeError: when what arrives is no announcement, because the ranks are not in the same collective.
    """
    import torch.distributed as dist

    header = _header(message)
    works = [dist.broadcast(header, src=src, group=carrier.group, async_op=True)]
    if message is None or message.data.nbytes > _CERTAIN_ROOM:
        carrier.turn.complete(*works)
        works = []
    failed, size = _announced(header)
    room = _agreed_room(carrier, size)
    if message is not None:
        room.copy_(_over(message.data))
    # Where the source has not waited yet, no interrupt comes between the announcement and what it announces.
    for part in _parts(room, _AT_ONCE):
        works.append(dist.broadcast(part, src=src, group=carrier.group, async_op=True))
    carrier.turn.complete(*works)
    return message or Message(failed, _bytes_of(room))


def gather_messages(carrier: Carrier, message: Message) -> list[Message]:
    """The messages of all ranks, in group order: two all_gathers, the second as long as the longest message.

    If some are descriptions of failures, all others come back empty: nobody will read them.

    Raises: as `broadcast_message`; here room is needed for all messages.
    """
    import torch.distributed as dist

    headers = [_header(None) for _ in carrier.ranks]
    carrier.turn.complete(dist.all_gather(headers, _header(message), group=carrier.group, async_op=True))
    announced = [_announced(header) for header in headers]
    some_failed = any(failed for failed, _ in announced)
    sizes = [size if failed or not some_failed else 0 for failed, size in announced]
    longest = max(sizes)
    own, *places = _parts(_agreed_room(carrier, (len(sizes) + 1) * longest), longest)
    if message.failed or not some_failed:
        own[: message.data.nbytes].copy_(_over(message.data))
    at_once = max(_AT_ONCE // len(sizes), 1)
    for part, *parts in zip(*(_parts(place, at_once) for place in (own, *places)), strict=True):
        carrier.turn.complete(dist.all_gather(parts, part, group=carrier.group, async_op=True))
    return [
        Message(failed, _bytes_of(place[:size]))
        for place, size, (failed, _) in zip(places, sizes, announced, strict=True)
    ]


def _header(message: Message | None) -> Tensor:
    if message is None:
        return _integers(0, 0)
    return _integers(_ANNOUNCED_FAILURE if message.failed else _ANNOUNCED_VALUE, message.data.nbytes)


def _integers(*values: int) -> Tensor:
    """A tensor of these numbers; torch.tensor takes twice the time for it, and may put it on a default device."""
    import torch

    return torch.frombuffer(array("q", values), dtype=torch.int64).clone()


def _over(memory: memoryview | bytearray) -> Tensor:
    import torch

    return torch.frombuffer(memory, dtype=torch.uint8)


def _parts(tensor: Tensor, size: int) -> list[Tensor]:
    return [tensor[start : start + size] for start in range(0, tensor.numel(), size)]


def _bytes_of(tensor: Tensor) -> memoryview:
    copy = bytearray(tensor.numel())
    if copy:
        _over(copy).copy_(tensor)
    return memoryview(copy)


def _announced(header: Tensor) -> tuple[bool, int]:
    kind, size = header.tolist()
    if kind not in (_ANNOUNCED_VALUE, _ANNOUNCED_FAILURE) or size < 1:
        raise RuntimeError(
            "the ranks are out of step: what arrived belongs to another collective than the one this rank is in; "
            "every rank must call the collectives of a group in the same order, from one thread at a time"
        )
    return kind == _ANNOUNCED_FAILURE, size


def _agreed_room(carrier: Carrier, size: int) -> Tensor:
    """Memory of `size` bytes; where that is much, all ranks have theirs or all raise."""
    import torch

    room: Tensor | None = None
    shortage = MemoryError(f"no room for the {size:,} bytes that a collective carries")
    # torch raises RuntimeError where it cannot allocate.
    with contextlib.suppress(MemoryError, RuntimeError):
        room = torch.empty(size, dtype=torch.uint8, device="cpu")
    failing = first_failing(carrier, room is None) if size > _CERTAIN_ROOM else None
    if room is None:
        raise shortage
    if failing is not None:
        raise_for_peer(describe_failure(shortage, failing))
    return room

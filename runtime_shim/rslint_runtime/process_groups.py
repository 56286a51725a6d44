"""Which process group carries what this library sends (bytes, so tensors in the CPU's memory), and whose turn it is.

A group of a backend for devices alone, such as NCCL's, refuses CPU tensors. Serving programs keep a second group of the
same ranks for them; `use_cpu_group` names it once for the whole process.

torch is imported only when a process may have an initialised process group.
"""

from __future__ import annotations

import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup, Work

__all__ = ["Carrier", "carrier_of", "distributed_runs", "member_group", "use_cpu_group"]


@dataclass(frozen=True)
class Carrier:
    """A group that takes CPU tensors, and where the caller stands in it.

    Attributes:
        group: what the collectives run on.
        ranks: global ranks of its members, in group order.
        rank: the caller's own global rank.
        turn: to be held (`with`) while the caller takes part in collectives on this group.
    """

    group: ProcessGroup
    ranks: tuple[int, ...]
    rank: int
    turn: _GroupTurn


class _TurnTicket:
    """A caller in the queue; `ended` is released when the next one need not wait for it any longer."""

    __slots__ = ("before", "ended")

    def __init__(self) -> None:
        self.ended = threading.Lock()
        self.ended.acquire()
        self.before: _TurnTicket | None = None


class _GroupTurn:
    """Lets the threads of this process use a group one at a time, in the order in which they came.

    Two calls that interleave would pair the first collective of one with the second of another on the peers. That
    happens where a coroutine that waited for a thread is cancelled: the thread is still in its call when the coroutine
    makes the next one.
    """

    def __init__(self) -> None:
        self._entrance = threading.Lock()
        self._last: _TurnTicket | None = None
        self._holder: int | None = None
        self._ticket: _TurnTicket | None = None
        self._interrupt: BaseException | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError(
                "a collective was called inside another one on the same group, by its `produce` or by pickling or "
                "unpickling a value; not all ranks run that, so not all would be there: call it before or after"
            )
        ticket = _TurnTicket()
        with self._entrance:
            ticket.before, self._last = self._last, ticket
        try:
            while ticket.before is not None:
                with ticket.before.ended:
                    pass
                ticket.before = ticket.before.before
        except BaseException:
            # Interrupted: whoever is next waits for what this one waited for.
            ticket.ended.release()
            raise
        self._holder, self._ticket = threading.get_ident(), ticket

    def __exit__(self, *_: object) -> None:
        ticket, interrupt = self._ticket, self._interrupt
        self._holder = self._ticket = self._interrupt = None
        assert ticket is not None
        ticket.ended.release()
        if interrupt is not None:
            raise interrupt

    def complete(self, *works: Work | None) -> None:
        """Wait for collectives that have begun; an interrupt meanwhile is raised when the turn ends.

        A rank that left between two collectives of one call would leave its peers waiting in the second.
        """
        for work in works:
            while work is not None:
                try:
                    work.wait()
                    break
                except Exception:
                    raise  # the collective itself has failed
                except BaseException as interrupt:
                    self._interrupt = interrupt


# What is known of a group that takes CPU tensors: its ranks, the caller's own, whose turn it is.
_standings: weakref.WeakKeyDictionary[ProcessGroup, tuple[tuple[int, ...], int, _GroupTurn]]
_standings = weakref.WeakKeyDictionary()
_cpu_groups: weakref.WeakKeyDictionary[ProcessGroup, weakref.ref[ProcessGroup]] = weakref.WeakKeyDictionary()
_group_registration = threading.Lock()


def use_cpu_group(cpu_group: ProcessGroup, group: ProcessGroup | None = None) -> None:
    """From now on, let what this library sends on `group` travel over `cpu_group` if `group` takes no CPU tensors.

    To be called once for each such group of the process, on every member, after both groups were made::

        tp_group = dist.new_group(ranks, backend="nccl")
        use_cpu_group(dist.new_group(ranks, backend="gloo"), tp_group)

    Neither group is kept alive by it. A group that takes CPU tensors itself is used itself. Give two groups of the
    same ranks a CPU group each if different threads use them.

    Args:
        cpu_group: a group of the same ranks whose backend takes CPU tensors.
        group: the default group if None.

    Raises:
        RuntimeError: when torch.distributed is not initialised, or `cpu_group` takes no CPU tensors either.
        TypeError: when one of them is no process group.
        ValueError: when the two have different members, or the caller is not among them.
    """
    if not distributed_runs():
        raise RuntimeError("use_cpu_group: call torch.distributed.init_process_group first")
    import torch.distributed as dist

    served, carrying = member_group(group), member_group(cpu_group)
    theirs, ours = dist.get_process_group_ranks(served), dist.get_process_group_ranks(carrying)
    if theirs != ours:
        raise ValueError(
            f"use_cpu_group: the CPU group has the ranks {ours}, the group it is to serve {theirs}"
        )
    if not _takes_cpu_tensors(carrying):
        backend = dist.get_backend(carrying)
        raise RuntimeError(f"use_cpu_group: the CPU group (backend {backend}) takes no CPU tensors either")
    with _group_registration:
        _cpu_groups[served] = weakref.ref(carrying)


def carrier_of(group: ProcessGroup | None) -> Carrier | None:
    """The group that carries bytes for `group`, the default group if None; None where nothing is initialised.

    Raises:
        RuntimeError: when the backend takes no CPU tensors and no other group was named for it.
        TypeError: when `group` is no process group.
        ValueError: when the caller is no member of `group`.
    """
    if not distributed_runs():
        return None
    import torch.distributed as dist

    resolved: Any = dist.group.WORLD if group is None else group
    standing = _standings.get(resolved) if isinstance(resolved, dist.ProcessGroup) else None
    if standing is None:
        resolved = member_group(resolved)
        if not _takes_cpu_tensors(resolved):
            return carrier_of(_named_for(resolved))
        with _group_registration:
            ranks = tuple(dist.get_process_group_ranks(resolved))
            standing = _standings.setdefault(resolved, (ranks, dist.get_rank(), _GroupTurn()))
    return Carrier(resolved, *standing)


def distributed_runs() -> bool:
    """Whether torch.distributed is initialised; torch is not imported for it."""
    # A process that never imported torch.distributed cannot have initialised a group.
    if "torch.distributed" not in sys.modules:
        return False
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def member_group(group: Any) -> ProcessGroup:
    """The group itself, the default group for None, if the caller belongs to it.

    Raises:
        TypeError: when `group` is no process group.
        ValueError: when the caller is no member of it.
    """
    import torch.distributed as dist

    resolved: Any = dist.group.WORLD if group is None else group
    # What new_group returns to ranks that are no members is not a group.
    outside = resolved is dist.GroupMember.NON_GROUP_MEMBER
    if not outside and not isinstance(resolved, dist.ProcessGroup):
        raise TypeError(
            f"group must be a torch.distributed.ProcessGroup or None, not {type(resolved).__name__}; "
            "of an object that coordinates several groups, pass the CPU group it holds"
        )
    if outside or dist.get_rank(resolved) < 0:
        raise ValueError(f"rank {dist.get_rank()} is not a member of the process group it was called with")
    member: ProcessGroup = resolved
    return member


def _takes_cpu_tensors(group: ProcessGroup) -> bool:
    import torch.distributed as dist

    devices = [device.type for device in group._device_types]
    if not devices:
        # A group written in Python registers no devices; its backend may have said which it takes.
        devices = dist.Backend.backend_capability.get(dist.get_backend(group), ["cpu"])
    return "cpu" in devices


def _named_for(group: ProcessGroup) -> ProcessGroup:
    import torch.distributed as dist

    reference = _cpu_groups.get(group)
    named = None if reference is None else reference()
    if named is not None:
        try:
            dist.get_process_group_ranks(named)
        except (KeyError, ValueError):
            named = None  # destroyed, though something else still refers to it
    if named is None:
        raise RuntimeError(
            f"the process group (backend {dist.get_backend(group)}) takes no CPU tensors; pass a CPU group, for "
            'example group=torch.distributed.new_group(ranks, backend="gloo"), or name one for it once: '
            "use_cpu_group(cpu_group, group)"
        )
    return named

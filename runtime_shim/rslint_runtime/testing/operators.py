"""Reads c10d operators: which collective on which group a call is, and whom its caller has to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from rslint_runtime.testing.records import CREATION, Group

_NAMES = {
    "allreduce_": "all_reduce",
    "allreduce_coalesced_": "all_reduce_coalesced",
    "broadcast_": "broadcast",
    "reduce_": "reduce",
    "allgather_": "all_gather",
    "_allgather_base_": "all_gather_into_tensor",
    "allgather_coalesced_": "all_gather_coalesced",
    "allgather_into_tensor_coalesced_": "all_gather_into_tensor_coalesced",
    "reduce_scatter_": "reduce_scatter",
    "_reduce_scatter_base_": "reduce_scatter_tensor",
    "reduce_scatter_tensor_coalesced_": "reduce_scatter_tensor_coalesced",
    "gather_": "gather",
    "scatter_": "scatter",
    "alltoall_": "all_to_all",
    "alltoall_base_": "all_to_all_single",
    "monitored_barrier_": "monitored_barrier",
    "recv_": "recv",
    "recv_any_source_": "recv_any_source",
    "all_reduce_": "all_reduce",
    "all_reduce_coalesced_": "all_reduce_coalesced",
    "all_gather_into_tensor_out": "all_gather_into_tensor",
    "reduce_scatter_tensor_out": "reduce_scatter_tensor",
}
# Of which argument the shape has to be equal on all ranks; all_to_all and the outputs of a root may differ.
_COMPARED = {
    "all_reduce": ("tensors", "input"),
    "all_reduce_coalesced": ("tensors", "inputs"),
    "broadcast": ("tensors", "input"),
    "reduce": ("tensors",),
    "all_gather": ("input_tensors",),
    "all_gather_into_tensor": ("input_tensor", "input"),
    "all_gather_coalesced": ("input_list",),
    "all_gather_into_tensor_coalesced": ("inputs",),
    "reduce_scatter": ("output_tensors",),
    "reduce_scatter_tensor": ("output_tensor", "output"),
    "reduce_scatter_tensor_coalesced": ("outputs",),
    "gather": ("input_tensors",),
    "scatter": ("output_tensors",),
}
_NO_OPERATION = ("check_for_nan", "_wrap_tensor_autograd")
# A root that gathers waits for all; the others hand over and may go on. A root that distributes: the reverse.
_TO_ROOT = ("reduce", "gather")
_FROM_ROOT = ("broadcast", "scatter")


@dataclass(frozen=True)
class Operation:
    """A c10d call before it has its place in the rank's sequence; the fields of `records.Collective` and two
    more.

    `timeout` is the call's own timeout in seconds, None if it has none; `blocks` says that the call itself
    waits, instead of returning a Work.
    """

    name: str
    group: Group
    channel: str
    signature: tuple[str, ...]
    awaits: tuple[int, ...]
    may_await: tuple[int, ...]
    timeout: float | None
    blocks: bool


def default_group_name() -> str:
    group: Any = dist.group.WORLD
    return str(group.group_name)


def creation(name: str, members: tuple[int, ...], rank: int) -> Operation:
    """The creation of a group: its members wait for each other, all other ranks only pass through."""
    others = tuple(member for member in members if member != rank) if rank in members else ()
    return Operation("new_group", Group(name, members), CREATION, (), others, (), None, bool(others))


def describe(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any], rank: int) -> Operation | None:
    """What an operator of the c10d or functional-collective namespace does; None for mere helpers."""
    base = schema.name.split("::")[1]
    if base in _NO_OPERATION:
        return None
    values = {argument.name: value for argument, value in zip(schema.arguments, args)}  # noqa: B905 (defaults)
    values.update(kwargs)
    group = _group(values)
    if group is None:
        return None
    name = _NAMES.get(base, base)
    if name in ("send", "recv", "recv_any_source", "isend", "irecv", "batch_p2p_ops"):
        return _point_to_point(name, group, values, rank)
    root = values.get("root_rank", values.get("src"))
    awaits, may_await = _awaited(name, group, root, rank)
    timeout = values.get("timeout", -1)
    monitored = name == "monitored_barrier"
    return Operation(
        name=name,
        group=group,
        channel="",
        signature=_signature(name, values, root),
        awaits=awaits,
        may_await=may_await,
        # monitored_barrier gives up by itself, whatever it was told.
        timeout=0.0 if monitored else timeout / 1000 if timeout > 0 else None,
        blocks=monitored,
    )


def _group(values: dict[str, Any]) -> Group | None:
    process_group: Any = values.get("process_group", values.get("group_name"))
    if process_group is None:
        return None
    if isinstance(process_group, str):
        resolve: Any = torch._C._distributed_c10d._resolve_process_group
        process_group = resolve(process_group)
    elif isinstance(process_group, torch.ScriptObject):
        process_group = dist.ProcessGroup.unbox(process_group)
    return Group(str(process_group.group_name), tuple(dist.get_process_group_ranks(process_group)))


def _awaited(name: str, group: Group, root: int | None, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    others = tuple(member for member in group.ranks if member != rank)
    if root is None or not 0 <= root < len(group.ranks) or name not in _TO_ROOT + _FROM_ROOT:
        return others, ()
    at_root = group.ranks[root] == rank
    if name in _TO_ROOT:
        return (others, ()) if at_root else ((), others)
    if at_root:
        return (), others
    return (group.ranks[root],), tuple(member for member in others if member != group.ranks[root])


def _signature(name: str, values: dict[str, Any], root: int | None) -> tuple[str, ...]:
    parts: list[str] = []
    for argument in _COMPARED.get(name, ()):
        parts.extend(_shape(tensor) for tensor in _tensors(values.get(argument)))
    if root is not None:
        parts.append(f"root {root}")
    return tuple(parts)


def _shape(tensor: torch.Tensor) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    # Dimensions of 1 make no difference to what travels: () and (1,) reduce together and always did.
    return f"{dtype}[{','.join(str(size) for size in tensor.shape if size != 1)}]"


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _point_to_point(name: str, group: Group, values: dict[str, Any], rank: int) -> Operation:
    peer = values.get("dst", values.get("src"))
    tag = values.get("tag", 0)
    if peer is None:
        return Operation(name, group, f"{name} at rank {rank}", (), (), (), None, False)
    other = group.ranks[peer]
    receives = name in ("recv", "irecv")
    source, target = (other, rank) if receives else (rank, other)
    awaits, may_await = ((other,), ()) if receives else ((), (other,))
    return Operation(name, group, f"{source}>{target} tag {tag}", (), awaits, may_await, None, False)

"""The questions the analysis of publication order asks of the models: shared memory, views, accesses, fences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rslint.models import schema
from rslint.models.patterns import CallTable, Names, last_part, names, type_name


@dataclass(frozen=True)
class ViewCall:
    """A call that gives a view: of the argument `buffer` (position, keyword), or of the receiver where that is None."""

    buffer: tuple[int | None, str] | None
    offset: tuple[int | None, str] | None


@dataclass(frozen=True)
class AccessCall:
    """A call that reads or writes a view; `cell` is the argument that tells where, None for all of it."""

    how: str
    buffer: tuple[int | None, str] | None
    cell: tuple[int | None, str] | None


@dataclass(frozen=True)
class FenceCall:
    """`contexts`: `with` on the receiver orders, too. `exclusive`: it keeps other processes out meanwhile."""

    contexts: bool
    exclusive: bool


@dataclass(frozen=True)
class _Memory:
    types: Names
    names: Names
    attribute: str | None


@dataclass(frozen=True)
class OrderingModels:
    """The tables of all model files, compiled."""

    memories: tuple[_Memory, ...]
    views: CallTable[ViewCall]
    accesses: CallTable[AccessCall]
    fences: CallTable[FenceCall]


class Compile(Protocol):
    """Compiles the tables of one kind, each with a value of its own."""

    def __call__(self, tables: Iterable[Any], value: Callable[[Any], Any]) -> CallTable[Any]: ...


def ordering_models(files: Sequence[schema.ModelFile], compiled: Compile) -> OrderingModels:
    """The tables of `files` put together."""
    return OrderingModels(
        memories=tuple(
            _Memory(names(table.types), names(table.names), table.attribute)
            for file in files
            for table in file.shared_memory
        ),
        views=compiled((table for file in files for table in file.shared_view), _view),
        accesses=compiled((table for file in files for table in file.shared_access), _access),
        fences=compiled(
            (table for file in files for table in file.fence),
            lambda table: FenceCall(table.contexts, table.exclusive),
        ),
    )


def _argument(parameters: tuple[str, ...], name: str | None) -> tuple[int | None, str] | None:
    if name is None:
        return None
    return (parameters.index(name) if name in parameters else None, name)


def _view(table: schema.SharedViewTable) -> ViewCall:
    return ViewCall(_argument(table.parameters, table.buffer), _argument(table.parameters, table.offset))


def _access(table: schema.SharedAccessTable) -> AccessCall:
    return AccessCall(
        table.how, _argument(table.parameters, table.buffer), _argument(table.parameters, table.cell)
    )


def is_shared_memory(models: OrderingModels, types: tuple[str, ...]) -> bool:
    """Whether an instance of one of these types is itself memory that processes share."""
    return any(memory.attribute is None and _is_one(memory, types) for memory in models.memories)


def holds_shared_memory(models: OrderingModels, attribute: str, types: tuple[str, ...], text: str) -> bool:
    """Whether `attribute` of a value of these types, or (none known) of this text, is such memory."""
    for memory in models.memories:
        if memory.attribute == attribute and (
            _is_one(memory, types) or (not types and last_part(text) in memory.names)
        ):
            return True
    return False


def memory_attributes(models: OrderingModels) -> tuple[str, ...]:
    """The attributes under which memory is held."""
    return tuple(sorted({memory.attribute for memory in models.memories if memory.attribute}))


def _is_one(memory: _Memory, types: tuple[str, ...]) -> bool:
    return any(one in memory.types or type_name(one) in memory.types for one in types)


def view_call(models: OrderingModels, dotted: str | None, text: str) -> ViewCall | None:
    """How a call gives a view; None where it does not."""
    hit = models.views.find(dotted, text)
    return None if hit is None else hit.value


def access_call(models: OrderingModels, dotted: str | None, text: str) -> AccessCall | None:
    """How a call accesses a view; None where nothing is known."""
    hit = models.accesses.find(dotted, text)
    return None if hit is None else hit.value


def fence_call(
    models: OrderingModels, dotted: str | None, text: str, types: tuple[str, ...]
) -> FenceCall | None:
    """Whether a call orders the accesses before it and those behind it, and how."""
    hit = models.fences.find(dotted, text, types)
    return None if hit is None else hit.value


def fence_context(
    models: OrderingModels, dotted: str | None, text: str, types: tuple[str, ...]
) -> FenceCall | None:
    """Whether `with` on a value orders at both ends: one of these types, made by the call `dotted`, or named `text`."""
    every = types if dotted is None else (*types, dotted)
    found = fence_call(models, None, f"{text}.__enter__", every)
    return found if found is not None and found.contexts else None


def memory_types(models: OrderingModels) -> tuple[str, ...]:
    """The last names of the classes whose instances are memory themselves."""
    return tuple(
        sorted(
            type_name(one)
            for memory in models.memories
            if memory.attribute is None
            for one in memory.types.exact
        )
    )

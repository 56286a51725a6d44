"""The tables of a model file, as they stand in TOML; docs/models.md describes every key."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

RaisingKind = Literal[
    "network", "rpc", "storage", "timeout", "native", "process", "shm", "file", "serialisation"
]
StateKind = Literal[
    "filesystem", "clock", "future", "event", "queue", "rpc", "host-allocation", "device-allocation"
]

Exit = Literal["completed", "always", "agreed"]
"""When the collective of a context's exit runs: only where the block was left without an exception, or always; `agreed`
tells that all ranks then raise what one of them has raised."""


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all tables share: an unknown key is an error."""


class Calls(Table, frozen=True, kw_only=True):
    """Which calls a table speaks of.

    `names` are dotted names in their library, `spelled` dotted text as code writes it where its import is
    not known. `methods` are last names that count on a receiver: one of the `[[receiver]]` kinds in `on`, one
    whose last name matches `receivers`, or one of the types in `types`; all of them shell patterns.
    """

    names: tuple[str, ...] = ()
    spelled: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    except_methods: tuple[str, ...] = ()
    except_receivers: tuple[str, ...] = ()


class ReceiverTable(Table, frozen=True, kw_only=True):
    kind: str
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    except_names: tuple[str, ...] = ()


class CollectiveTable(Calls, frozen=True, kw_only=True):
    """`kind` is the operation's name in messages and sequences; by default the last name of the call."""

    kind: str | None = None
    parameters: tuple[str, ...] = ()
    group: str | None = None
    agrees: tuple[str, ...] = ()
    exit: Exit | None = None
    captures: tuple[str, ...] = ()
    receiver_is_group: bool = False
    members: str | None = None
    members_alone: str | None = None


class RankTable(Table, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    axis: str | None = None
    boolean: bool = False
    group: str | None = None
    parameters: tuple[str, ...] = ()


class NotARankTable(Table, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class AxisTable(Table, frozen=True, kw_only=True):
    name: str
    words: tuple[str, ...]


class RaisingTable(Calls, frozen=True, kw_only=True):
    kind: RaisingKind
    strength: Annotated[int, msgspec.Meta(ge=1, le=5)] | None = None
    exceptions: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


class LocalStateTable(Calls, frozen=True, kw_only=True):
    kind: StateKind


class UniformTable(Calls, frozen=True, kw_only=True):
    attributes: tuple[str, ...] = ()


class WorldSizeTable(Table, frozen=True, kw_only=True):
    sizes: tuple[str, ...] = ()
    drops_rank: tuple[str, ...] = ()
    predicates: tuple[str, ...] = ()


class AgreementTable(Table, frozen=True, kw_only=True):
    functions: tuple[str, ...] = ()
    except_functions: tuple[str, ...] = ()
    decorators: tuple[str, ...] = ()
    results: str | None = None
    collective: bool = False


class StarterTable(Calls, frozen=True, kw_only=True):
    how: Literal["thread", "task", "process"]


class EntryTable(Table, frozen=True, kw_only=True):
    functions: tuple[str, ...]


class ExceptionTable(Table, frozen=True, kw_only=True):
    names: tuple[str, ...]
    bases: tuple[str, ...]


class SwallowingTable(Table, frozen=True, kw_only=True):
    names: tuple[str, ...]


class SharedMemoryTable(Table, frozen=True, kw_only=True):
    """`types` are classes whose instances are memory of several processes, or hold it as `attribute`; `names` are
    patterns for the last name of such an instance, where its type is not known."""

    types: tuple[str, ...]
    names: tuple[str, ...] = ()
    attribute: str | None = None


class SharedViewTable(Calls, frozen=True, kw_only=True):
    """Calls that give a view of the memory in the parameter `buffer`; without it, of the receiver."""

    parameters: tuple[str, ...] = ()
    buffer: str | None = None
    offset: str | None = None


class SharedAccessTable(Calls, frozen=True, kw_only=True):
    """Calls that access the memory in the parameter `buffer` (without it, the receiver) at the place `cell`."""

    how: Literal["store", "load", "none"]
    parameters: tuple[str, ...] = ()
    buffer: str | None = None
    cell: str | None = None


class FenceTable(Calls, frozen=True, kw_only=True):
    """`contexts`: entering and leaving an instance orders, too; `exclusive`: it keeps other processes out."""

    contexts: bool = False
    exclusive: bool = False


class NamesTable(Table, frozen=True, kw_only=True):
    methods: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()


class ModelFile(Table, frozen=True, kw_only=True):
    """One file. Every key is optional and an array of tables, except `common`."""

    collective: tuple[CollectiveTable, ...] = ()
    receiver: tuple[ReceiverTable, ...] = ()
    rank_predicate: tuple[RankTable, ...] = ()
    not_a_rank: tuple[NotARankTable, ...] = ()
    axis: tuple[AxisTable, ...] = ()
    raising: tuple[RaisingTable, ...] = ()
    silent: tuple[Calls, ...] = ()
    local_state: tuple[LocalStateTable, ...] = ()
    uniform: tuple[UniformTable, ...] = ()
    world_size: tuple[WorldSizeTable, ...] = ()
    agreement: tuple[AgreementTable, ...] = ()
    terminates: tuple[Calls, ...] = ()
    starter: tuple[StarterTable, ...] = ()
    entry: tuple[EntryTable, ...] = ()
    exception: tuple[ExceptionTable, ...] = ()
    swallowing: tuple[SwallowingTable, ...] = ()
    shared_memory: tuple[SharedMemoryTable, ...] = ()
    shared_view: tuple[SharedViewTable, ...] = ()
    shared_access: tuple[SharedAccessTable, ...] = ()
    fence: tuple[FenceTable, ...] = ()
    common: NamesTable = NamesTable()

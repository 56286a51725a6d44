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


# Shared-memory segments ----------------------------------------------------------------------------------------------


class SegmentTable(Calls, frozen=True, kw_only=True):
    """Calls that open a segment; `create`, `flags` and `content` are the parameters that tell whether they make it."""

    parameters: tuple[str, ...] = ()
    name: str
    create: str | None = None
    flags: str | None = None
    content: str | None = None
    track: str | None = None
    tracked: bool = False
    removes_itself: bool = False
    handle: str | None = None
    folders: tuple[str, ...] = ()
    word: str | None = None


class SegmentRemovalTable(Calls, frozen=True, kw_only=True):
    parameters: tuple[str, ...] = ()
    name: str | None = None


class SegmentPublicationTable(Calls, frozen=True, kw_only=True):
    collective: bool = False


class SegmentAgreementTable(Calls, frozen=True, kw_only=True):
    collectives: tuple[str, ...] = ()


class SegmentOwnerTable(Table, frozen=True, kw_only=True):
    tests: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()


# Publication order ---------------------------------------------------------------------------------------------------


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


# Locks and what they guard (RS2) --------------------------------------------------------------------------------------


class LockTable(Table, frozen=True, kw_only=True):
    """`names` are constructors, `types` patterns for the project's own lock classes, `patterns` names of variables
    that count where no constructor is known."""

    kind: Literal["thread", "task"] | None = None
    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class NoLockTable(Table, frozen=True, kw_only=True):
    """Contexts that hold nothing: `nullcontext()`."""

    names: tuple[str, ...]


class OnceTable(Table, frozen=True, kw_only=True):
    """`makers`: last names of calls whose result is not to be made twice (a pool, a connection); `enders`: methods
    that such a thing is given back with, which show that it is one; `phases`: functions that start or end an object,
    and run once for it; `keys` name what belongs to one caller alone (the id of a request)."""

    makers: tuple[str, ...] = ()
    enders: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


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
    lock: tuple[LockTable, ...] = ()
    no_lock: tuple[NoLockTable, ...] = ()
    once: tuple[OnceTable, ...] = ()
    segment: tuple[SegmentTable, ...] = ()
    segment_removal: tuple[SegmentRemovalTable, ...] = ()
    segment_keeper: tuple[Calls, ...] = ()
    segment_untracked: tuple[Calls, ...] = ()
    segment_filling: tuple[Calls, ...] = ()
    segment_publication: tuple[SegmentPublicationTable, ...] = ()
    segment_agreement: tuple[SegmentAgreementTable, ...] = ()
    segment_owner: tuple[SegmentOwnerTable, ...] = ()
    shared_memory: tuple[SharedMemoryTable, ...] = ()
    shared_view: tuple[SharedViewTable, ...] = ()
    shared_access: tuple[SharedAccessTable, ...] = ()
    fence: tuple[FenceTable, ...] = ()
    common: NamesTable = NamesTable()

"""The models of one run: all model files put together, compiled for look-ups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from rslint.models import schema
from rslint.models.load import ModelError, built_in_files, read_model_file
from rslint.models.lock_knowledge import LockModels, compile_locks
from rslint.models.ordering_queries import OrderingModels, ordering_models
from rslint.models.patterns import CallTable, Entry, Names, Receivers, call_table, names
from rslint.models.segment_tables import SegmentModels, segment_models

T = TypeVar("T")
C = TypeVar("C", bound=schema.Calls)


@dataclass(frozen=True)
class Collective:
    """A call that all ranks of a group must make in the same order.

    Arguments are given as keyword and position (0-based, None where it can only be a keyword). `agrees` are
    the arguments that hold the same value on every rank afterwards, `result_agrees` whether the result does.
    `at_exit`: a context manager whose exit is the collective, and when that runs (`schema.Exit`). An error of an
    argument in `captures` does not skip the operation. `members` is the argument that lists who is in a group that is
    made; where the flag `members_alone` is true only they take part.
    """

    kind: str
    group_position: int | None
    group_keyword: str | None
    receiver_is_group: bool
    agrees: tuple[tuple[str, int | None], ...]
    result_agrees: bool
    at_exit: schema.Exit | None
    captures: tuple[str, ...]
    members: tuple[str, int | None] | None
    members_alone: tuple[str, int | None] | None


@dataclass(frozen=True)
class RankTest:
    """`axis` None: read it off the text. `group`: the argument that names the group, keyword and position."""

    axis: str | None
    boolean: bool
    group: tuple[str, int | None] | None


@dataclass(frozen=True)
class RaisingTraits:
    """`strength` counts from 1 (strongest) to 5; `keywords`: only calls with one of these are meant."""

    kind: str
    strength: int
    exceptions: tuple[str, ...]
    keywords: frozenset[str]


@dataclass(frozen=True)
class AgreementDecorator:
    """`results` is the keyword that declares agreed results (None: the decorator alone does)."""

    results: re.Pattern[str] | None
    collective: bool


@dataclass(frozen=True)
class Models:
    """What rslint knows of libraries and of naming conventions. Queries keep their answers in `memory`.

    `guessed_errors` are what calls of services raise that are known by their spelling alone, `service_errors` the
    classes that libraries for services have of their own.
    """

    collectives: CallTable[Collective]
    collective_names: frozenset[str]
    ranks: Mapping[str, RankTest]
    rank_patterns: tuple[tuple[Names, RankTest], ...]
    not_ranks: Names
    not_rank_functions: frozenset[str]
    axis_words: re.Pattern[str]
    axis_of_word: Mapping[str, str]
    raisings: CallTable[RaisingTraits]
    conditional_raisings: CallTable[RaisingTraits]
    silents: CallTable[bool]
    states: CallTable[str]
    uniforms: CallTable[bool]
    uniform_attributes: Names
    world_sizes: Names
    size_names: Names
    world_predicates: Names
    agreeing_functions: Names
    disagreeing_functions: Names
    agreement_decorators: Mapping[str, AgreementDecorator]
    terminating: CallTable[bool]
    starters: CallTable[str]
    entries: Names
    exception_bases: Mapping[str, tuple[str, ...]]
    guessed_errors: frozenset[str]
    service_errors: frozenset[str]
    swallowing: frozenset[str]
    common_method_names: frozenset[str]
    markers: tuple[str, ...]
    locks: LockModels
    segments: SegmentModels
    ordering: OrderingModels
    memory: dict[tuple[object, str, str | None], object] = field(
        default_factory=dict, compare=False, repr=False
    )


_STRENGTHS = {
    "network": 1, "rpc": 1, "storage": 1, "timeout": 1, "native": 1,
    "process": 5, "shm": 5, "file": 5, "serialisation": 5,
}  # fmt: skip
_EXCEPTIONS = {
    "network": ("ConnectionError", "TimeoutError", "OSError"),
    "rpc": ("ConnectionError", "TimeoutError", "RuntimeError"),
    "storage": ("ConnectionError", "TimeoutError", "OSError"),
    "timeout": ("TimeoutError",),
    "native": ("RuntimeError",),
    "process": ("OSError", "subprocess.SubprocessError"),
    "shm": ("OSError",),
    "file": ("OSError",),
    "serialisation": ("ValueError", "EOFError"),
}


@cache
def _built_in_models() -> Models:
    """Compiled once: a run over many projects would spend most of its time on it."""
    return compile_models(built_in_files())


def load_models(extra: tuple[Path, ...] = ()) -> Models:
    """The built-in models and those of `extra`, whose tables win. Raises `ModelError` for unusable files."""
    if not extra:
        return replace(_built_in_models(), memory={})
    built_in = built_in_files()
    added = tuple(read_model_file(path) for path in extra)
    known = {table.kind for file in (*built_in, *added) for table in file.receiver}
    for path, file in zip(extra, added, strict=True):
        _check(path, file, known)
    return compile_models((*built_in, *added))


def _check(path: Path, file: schema.ModelFile, kinds: set[str]) -> None:
    """What the schema alone cannot tell. Raises `ModelError`."""
    every: list[schema.Calls] = [
        *file.collective, *file.raising, *file.silent, *file.local_state, *file.uniform, *file.terminates,
        *file.starter, *file.segment, *file.segment_removal, *file.segment_keeper, *file.segment_untracked,
        *file.segment_filling, *file.segment_publication, *file.segment_agreement,
        *file.shared_view, *file.shared_access, *file.fence,
    ]  # fmt: skip
    for table in every:
        for kind in table.on:
            if kind not in kinds:
                raise ModelError(
                    f"{path}: unknown receiver kind `{kind}` in `on`: add a [[receiver]] of that kind"
                )
        if table.on and not table.methods:
            raise ModelError(f"{path}: `on` without `methods`: name the methods that are meant")
    for collective in file.collective:
        if not _last_names(collective):
            raise ModelError(
                f"{path}: [[collective]] without `names`, `spelled` or `methods`: name the calls"
            )
        for name in _last_names(collective):
            if not name.isidentifier():
                raise ModelError(
                    f"{path}: `{name}` in [[collective]] does not end in a plain name: spell it out"
                )


def compile_models(files: Sequence[schema.ModelFile]) -> Models:
    """Put files together; where two speak of the same name, the later one counts."""
    receivers = _receiver_kinds(files)

    def every(pick: Callable[[schema.ModelFile], Iterable[T]]) -> list[T]:
        return [table for file in files for table in pick(file)]

    def calls(tables: Iterable[C], value: Callable[[C, str], T]) -> CallTable[T]:
        entries: list[Entry[T]] = []
        for table in tables:
            for last, part in _by_last_name(table):
                entries.append(_entry(part, receivers, value(table, last)))
        return call_table(entries)

    def same(tables: Iterable[C], value: Callable[[C], T], values: bool = False) -> CallTable[T]:
        return call_table([_entry(table, receivers, value(table)) for table in tables], values)

    collectives = every(lambda f: f.collective)
    raisings = every(lambda f: f.raising)
    services = [table for table in raisings if table.kind in ("network", "rpc", "storage")]
    bases = {name: table.bases for table in every(lambda f: f.exception) for name in table.names}
    uniforms = every(lambda f: f.uniform)
    sizes = every(lambda f: f.world_size)
    agreements = every(lambda f: f.agreement)
    ranks = every(lambda f: f.rank_predicate)
    others = every(lambda f: f.not_a_rank)
    axes = {word: axis.name for axis in every(lambda f: f.axis) for word in axis.words}
    return Models(
        collectives=calls(collectives, _collective),
        collective_names=frozenset(last for table in collectives for last in _last_names(table)),
        ranks=MappingProxyType({name: _rank(table) for table in ranks for name in table.names}),
        rank_patterns=tuple(
            (names(table.patterns), _rank(table)) for table in reversed(ranks) if table.patterns
        ),
        not_ranks=names(p for table in others for p in table.patterns),
        not_rank_functions=frozenset(name for table in others for name in table.names),
        axis_words=_words(axes),
        axis_of_word=MappingProxyType(axes),
        raisings=same([t for t in raisings if not t.keywords], _raising, values=True),
        conditional_raisings=same([t for t in raisings if t.keywords], _raising, values=True),
        silents=same(every(lambda f: f.silent), lambda _: True),
        states=same(every(lambda f: f.local_state), lambda table: table.kind),
        uniforms=same(uniforms, lambda _: True),
        uniform_attributes=names(p for table in uniforms for p in table.attributes),
        world_sizes=names(p for table in sizes for p in table.sizes),
        size_names=names(p for table in sizes for p in (*table.sizes, *table.drops_rank)),
        world_predicates=names(p for table in sizes for p in table.predicates),
        agreeing_functions=names(p for table in agreements for p in table.functions),
        disagreeing_functions=names(p for table in agreements for p in table.except_functions),
        agreement_decorators=MappingProxyType(
            {name: _decorator(table) for table in agreements for name in table.decorators}
        ),
        terminating=same(every(lambda f: f.terminates), lambda _: True),
        starters=same(every(lambda f: f.starter), lambda table: table.how),
        entries=names(p for table in every(lambda f: f.entry) for p in table.functions),
        exception_bases=MappingProxyType(bases),
        guessed_errors=frozenset(_raising(table).exceptions[0] for table in services if table.methods),
        service_errors=_with_bases((name for table in services for name in table.exceptions), bases),
        swallowing=frozenset(name for table in every(lambda f: f.swallowing) for name in table.names),
        common_method_names=frozenset(name for file in files for name in file.common.methods),
        markers=tuple(sorted({marker for file in files for marker in file.common.markers})),
        locks=compile_locks(files),
        segments=segment_models(files, same),
        ordering=ordering_models(files, same),
    )


def _receiver_kinds(files: Sequence[schema.ModelFile]) -> dict[str, list[schema.ReceiverTable]]:
    kinds: dict[str, list[schema.ReceiverTable]] = {}
    for file in files:
        for table in file.receiver:
            kinds.setdefault(table.kind, []).append(table)
    return kinds


def _entry(table: schema.Calls, kinds: Mapping[str, list[schema.ReceiverTable]], value: T) -> Entry[T]:
    on = [one for kind in table.on for one in kinds.get(kind, [])]
    receivers = Receivers(
        names([*table.receivers, *(p for one in on for p in one.names)]),
        names([*table.types, *(p for one in on for p in one.types)]),
        names([*table.except_receivers, *(p for one in on for p in one.except_names)]),
        anything=not (table.receivers or table.types or table.on),
    )
    return Entry(table.names, table.spelled, table.methods, table.except_methods, receivers, value)


def _last_names(table: schema.Calls) -> list[str]:
    return sorted({*table.methods, *(name.rpartition(".")[2] for name in (*table.names, *table.spelled))})


def _by_last_name(table: C) -> list[tuple[str, C]]:
    """The table once for every last name it speaks of."""
    parts: list[tuple[str, C]] = []
    for last in _last_names(table):
        changes = {
            "names": tuple(name for name in table.names if name.rpartition(".")[2] == last),
            "spelled": tuple(name for name in table.spelled if name.rpartition(".")[2] == last),
            "methods": tuple(name for name in table.methods if name == last),
        }
        values = {key: getattr(table, key) for key in table.__struct_fields__}
        parts.append((last, type(table)(**(values | changes))))
    return parts


def _collective(table: schema.CollectiveTable, last: str) -> Collective:
    def argument(name: str | None) -> tuple[str, int | None] | None:
        if name is None:
            return None
        return name, table.parameters.index(name) if name in table.parameters else None

    group = argument(table.group)
    agrees = [argument(name) for name in table.agrees if name != "result"]
    return Collective(
        kind=table.kind or last,
        group_position=group[1] if group else None,
        group_keyword=group[0] if group else None,
        receiver_is_group=table.receiver_is_group,
        agrees=tuple(one for one in agrees if one is not None),
        result_agrees="result" in table.agrees,
        at_exit=table.exit,
        captures=table.captures,
        members=argument(table.members),
        members_alone=argument(table.members_alone),
    )


def _rank(table: schema.RankTable) -> RankTest:
    group = None
    if table.group is not None:
        position = table.parameters.index(table.group) if table.group in table.parameters else None
        group = (table.group, position)
    return RankTest(table.axis, table.boolean, group)


def _raising(table: schema.RaisingTable) -> RaisingTraits:
    strength = _STRENGTHS[table.kind] if table.strength is None else table.strength
    exceptions = table.exceptions or _EXCEPTIONS[table.kind]
    return RaisingTraits(table.kind, strength, exceptions, frozenset(table.keywords))


def _with_bases(exceptions: Iterable[str], bases: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Those of the classes that models declare, and the classes above them that models declare."""
    found: set[str] = set()
    waiting = list(exceptions)
    while waiting:
        name = waiting.pop()
        if name in bases and name not in found:
            found.add(name)
            waiting += bases[name]
    return frozenset(found)


def _decorator(table: schema.AgreementTable) -> AgreementDecorator:
    if table.results is None:
        return AgreementDecorator(None, table.collective)
    declared = re.compile(rf"\b{re.escape(table.results)}=(?!None\b|False\b)")
    return AgreementDecorator(declared, table.collective)


def _words(axes: Mapping[str, str]) -> re.Pattern[str]:
    """Matches axis words between underscores or ends of names; where one starts with another, the longer."""
    longest_first = sorted(axes, key=lambda word: (-len(word), word))
    alternatives = "|".join(re.escape(word) for word in longest_first) or r"(?!)"
    return re.compile(rf"(?<![a-z0-9])(?:{alternatives})(?![a-z0-9])")

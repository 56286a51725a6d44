"""The models of shared-memory segments, compiled for look-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rslint.models import schema
from rslint.models.patterns import CallTable, Names, names

T = TypeVar("T")
C = TypeVar("C", bound=schema.Calls)
Argument = tuple[str, int | None]


class Compile(Protocol):
    """Puts tables of calls together, one value for each."""

    def __call__(self, tables: Iterable[C], value: Callable[[C], T]) -> CallTable[T]: ...


@dataclass(frozen=True)
class Opener:
    """A call that opens a segment. Arguments are given as keyword and position (0-based, None where it can only be a
    keyword).

    It makes the segment where `create` is true, where `flags` mention O_CREAT, or where `content` is given; without
    any of the three nobody can tell. `track` is the argument that keeps the handle from the resource tracker, `tracked`
    tells that it is registered otherwise. `removes_itself` tells that the segment goes with its handle. `handle` is the
    attribute that holds the segment, where it is not the result itself. With `folders` only paths below one of them are
    meant.
    """

    name: Argument
    create: Argument | None
    flags: Argument | None
    content: Argument | None
    track: Argument | None
    tracked: bool
    removes_itself: bool
    handle: str | None
    folders: tuple[str, ...]


@dataclass(frozen=True)
class SegmentModels:
    """What rslint knows of calls on segments, and of the names by which code speaks of their owners.

    `opener_words` are the names among `opener_names` that mean something else in most modules, and the word that stands
    in those where they do not.
    """

    openers: CallTable[Opener]
    opener_names: frozenset[str]
    opener_words: Mapping[str, str]
    removals: CallTable[Argument | None]
    removal_names: frozenset[str]
    keepers: CallTable[bool]
    untracking: CallTable[bool]
    fillings: CallTable[bool]
    publications: CallTable[bool]
    publication_names: frozenset[str]
    acknowledgements: CallTable[bool]
    agreeing_operations: Names
    owner_tests: Names
    unique_names: Names


def segment_models(files: Sequence[schema.ModelFile], same: Compile) -> SegmentModels:
    """The segment tables of all files; later ones win."""

    def every(pick: Callable[[schema.ModelFile], Iterable[T]]) -> list[T]:
        return [table for file in files for table in pick(file)]

    openers = every(lambda f: f.segment)
    removals = every(lambda f: f.segment_removal)
    publications = every(lambda f: f.segment_publication)
    agreements = every(lambda f: f.segment_agreement)
    owners = every(lambda f: f.segment_owner)
    return SegmentModels(
        openers=same(openers, _opener),
        opener_names=_last_names(openers),
        opener_words={name: table.word for table in openers if table.word for name in _last_names([table])},
        removals=same(removals, lambda table: _argument(table.name, table.parameters)),
        removal_names=_last_names(removals),
        keepers=same(every(lambda f: f.segment_keeper), lambda _: True),
        untracking=same(every(lambda f: f.segment_untracked), lambda _: True),
        fillings=same(every(lambda f: f.segment_filling), lambda _: True),
        publications=same(publications, lambda table: table.collective),
        publication_names=_last_names(table for table in publications if table.collective),
        acknowledgements=same([t for t in agreements if t.methods or t.names], lambda _: True),
        agreeing_operations=names(kind for table in agreements for kind in table.collectives),
        owner_tests=names(p for table in owners for p in table.tests),
        unique_names=names(p for table in owners for p in table.unique),
    )


def _last_names(tables: Iterable[schema.Calls]) -> frozenset[str]:
    """The last names of functions, those of methods included; patterns are left out."""
    return frozenset(
        last
        for table in tables
        for last in (*table.methods, *(name.rpartition(".")[2] for name in (*table.names, *table.spelled)))
        if last.isidentifier()
    )


def _argument(name: str | None, parameters: tuple[str, ...]) -> Argument | None:
    if name is None:
        return None
    return name, parameters.index(name) if name in parameters else None


def _opener(table: schema.SegmentTable) -> Opener:
    def argument(name: str | None) -> Argument | None:
        return _argument(name, table.parameters)

    return Opener(
        name=argument(table.name) or (table.name, None),
        create=argument(table.create),
        flags=argument(table.flags),
        content=argument(table.content),
        track=argument(table.track),
        tracked=table.tracked,
        removes_itself=table.removes_itself,
        handle=table.handle,
        folders=table.folders,
    )

"""Matches dotted names and calls against many shell patterns at once: tables first, then expressions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Names:
    """A set of names, some of them shell patterns (`*`, `?`, `[…]`); case counts.

    With `values` wildcards do not go on into what a call gives: `Client.*` is `Client.get`, and not
    `Client.get().strip`.
    """

    exact: frozenset[str]
    globs: tuple[str, ...]
    values: bool = False
    memory: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def __contains__(self, name: str) -> bool:
        if not self.globs:
            return name in self.exact
        known = self.memory.get(name)
        if known is None:
            known = self.memory[name] = (
                name in self.exact or _compiled(self.globs, self.values).match(name) is not None
            )
        return known

    def __bool__(self) -> bool:
        return bool(self.exact) or bool(self.globs)


@cache
def _compiled(globs: tuple[str, ...], values: bool) -> re.Pattern[str]:
    """One expression for all, when it is first asked for: a file that is checked alone asks for few of them."""
    every = "|".join(map(fnmatch.translate, globs))
    return re.compile(every.replace(".*", "[^(]*") if values else every)


def names(patterns: Iterable[str], values: bool = False) -> Names:
    """The set of these names; those without wildcards are looked up."""
    every = sorted(set(patterns))
    return Names(
        frozenset(one for one in every if not _GLOB.search(one)),
        tuple(one for one in every if _GLOB.search(one)),
        values,
    )


def last_part(dotted: str) -> str:
    """The last name of dotted text: `self._get_tp_group()` and `self.get_tp_group` both give `get_tp_group`.

    Leading underscores, call brackets and subscripts are dropped and letters lowered, so that one pattern
    covers the spellings of one thing.
    """
    text = dotted.rpartition(".")[2]
    return text.partition("(")[0].partition("[")[0].lstrip("_").lower()


def type_name(dotted: str) -> str:
    """The class name of a ClassId (`package.module:Class`) or of an external dotted type."""
    return dotted.rpartition(":")[2].rpartition(".")[2]


@dataclass(frozen=True)
class Receivers:
    """What the receiver of a method must look like; `anything` where a table gives no condition."""

    names: Names
    types: Names
    excluded: Names
    anything: bool


@dataclass(frozen=True)
class _Method(Generic[T]):
    methods: Names
    excluded: Names
    receivers: Receivers
    value: T


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One table of a model file, ready to be matched; the words are those of `schema.Calls`."""

    names: tuple[str, ...]
    spelled: tuple[str, ...]
    methods: tuple[str, ...]
    excluded: tuple[str, ...]
    receivers: Receivers
    value: T


@dataclass(frozen=True)
class Hit(Generic[T]):
    """`certainty` is "model" where a dotted name or a type told, "name" where only the spelling did."""

    value: T
    certainty: str


@dataclass(frozen=True)
class CallTable(Generic[T]):
    """Finds the table that speaks of a call. Later files win over earlier ones, names over methods."""

    exact: dict[str, T]
    globs: tuple[tuple[Names, T], ...]
    spelled: tuple[tuple[Names, T], ...]
    by_method: dict[str, tuple[_Method[T], ...]]
    by_pattern: tuple[_Method[T], ...]
    any_glob: Names
    any_spelled: Names
    memory: dict[tuple[str | None, str, tuple[str, ...]], Hit[T] | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    def find(self, external: str | None, text: str, types: tuple[str, ...] = ()) -> Hit[T] | None:
        """The table for a call that leaves the project as `external` (None: it does not, or nobody knows)."""
        key = (external, text, types)
        try:
            return self.memory[key]
        except KeyError:
            hit = self.memory[key] = self._find(external, text, types)
            return hit

    def named(self, external: str) -> T | None:
        """The table whose `names` hold this dotted name."""
        found = self.exact.get(external)
        if found is not None or external not in self.any_glob:
            return found
        return next((value for pattern, value in self.globs if external in pattern), None)

    def _find(self, external: str | None, text: str, types: tuple[str, ...]) -> Hit[T] | None:
        if external is not None:
            value = self.named(external)
            if value is not None:
                return Hit(value, "model")
        elif text in self.any_spelled:
            for pattern, value in self.spelled:
                if text in pattern:
                    return Hit(value, "name")
        receiver, _, method = text.rpartition(".")
        if external is not None and "." in external:
            outer, _, inner = external.rpartition(".")
            method = method or inner
            types = (*types, outer)
        if not receiver and not types:
            return None
        return self._method(method, receiver, types)

    def _method(self, method: str, receiver: str, types: tuple[str, ...]) -> Hit[T] | None:
        last = last_part(receiver)
        kinds = [type_name(one) for one in types]
        for one in (*self.by_method.get(method, ()), *self.by_pattern):
            if method in one.excluded or (one.methods and method not in one.methods):
                continue
            wanted = one.receivers
            if any(
                kind in wanted.types or full in wanted.types for kind, full in zip(kinds, types, strict=True)
            ):
                return Hit(one.value, "model")
            if last in wanted.excluded or not receiver:
                continue
            if wanted.anything or last in wanted.names:
                return Hit(one.value, "name")
        return None


def call_table(entries: Sequence[Entry[T]], values: bool = False) -> CallTable[T]:
    """Build a table; of two entries for the same name the later one counts. `values` as for `Names`."""
    exact: dict[str, T] = {}
    globs: list[tuple[Names, T]] = []
    spelled: list[tuple[Names, T]] = []
    by_method: dict[str, list[_Method[T]]] = {}
    by_pattern: list[_Method[T]] = []
    for entry in reversed(entries):
        for name in entry.names:
            if _GLOB.search(name):
                globs.append((names([name], values), entry.value))
            else:
                exact.setdefault(name, entry.value)
        if entry.spelled:
            spelled.append((names(entry.spelled), entry.value))
        if not entry.methods:
            continue
        plain = [one for one in entry.methods if not _GLOB.search(one)]
        excluded = names(entry.excluded)
        for one in plain:
            by_method.setdefault(one, []).append(
                _Method(names([one]), excluded, entry.receivers, entry.value)
            )
        if len(plain) < len(entry.methods):
            patterns = names(one for one in entry.methods if _GLOB.search(one))
            by_pattern.append(_Method(patterns, excluded, entry.receivers, entry.value))
    methods = {name: tuple(found) for name, found in by_method.items()}
    return CallTable(
        exact,
        tuple(globs),
        tuple(spelled),
        methods,
        tuple(by_pattern),
        any_glob=names((name for entry in entries for name in entry.names if _GLOB.search(name)), values),
        any_spelled=names(name for entry in entries for name in entry.spelled),
    )

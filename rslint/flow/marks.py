"""The facts of the divergence analysis: names, the sources of their values, and the choices that led there."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rslint.flow.record import Source
from rslint.project import ir
from rslint.project.text import dotted

Choice = tuple[int, str]
Marked = frozenset[tuple[Source, Choice | None]]
Fact = tuple[str, Source, Choice | None]
State = frozenset[Fact]
Sources = frozenset[Source]
NONE: Sources = frozenset()

EVIDENCE = frozenset({
    "filesystem", "clock", "future", "event", "queue", "rpc", "host-allocation", "caught", "container", "thread",
})  # fmt: skip


def plain(sources: Iterable[Source]) -> Marked:
    return frozenset((source, None) for source in sources)


def bind(state: State, target: ir.Expr, sources: Marked) -> State:
    if isinstance(target, ir.Collection):
        for item in target.items:
            state = bind(state, item, frozenset(mark for mark in sources if mark[0].kind in EVIDENCE))
        return state
    if isinstance(target, ir.Starred):
        return bind(state, target.value, sources)
    if isinstance(target, ir.Subscript):
        name = dotted(target.value)
        return state | {(name, source, choice) for source, choice in sources} if name else state
    name = dotted(target)
    if name is None:
        return state
    return frozenset(fact for fact in state if fact[0] != name) | {(name, *mark) for mark in sources}


def tested(source: Source) -> Source:
    if source.kind != "rank-value":
        return source
    return msgspec.structs.replace(source, kind="rank")


def without_rank_values(sources: Sources) -> Sources:
    return frozenset(source for source in sources if source.kind != "rank-value")

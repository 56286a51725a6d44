"""How control leaves blocks: through handlers, `finally` blocks and `with` exits, to a loop, a return or a
raise.

A clean-up block is copied once for every way of leaving it (each exception type, return, break, continue), so
that paths which meet only inside a `finally` stay apart behind it, as CPython's own compiler does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rslint.flow.draft import EXIT, RAISE, Draft, End, Ends
from rslint.project import ir


@dataclass(eq=False)
class LoopScope:
    """The body of a loop: where `continue` goes, and the open ends of its `break`s."""

    outer: Scope | None
    header: int
    breaks: Ends = field(default_factory=list)


@dataclass(eq=False)
class GuardedScope:
    """The body of a `try` with handlers, as (handler, node) pairs; `caught` collects what may reach each
    node."""

    outer: Scope | None
    handlers: tuple[tuple[ir.Handler, int], ...]
    caught: dict[int, dict[str, None]] = field(default_factory=dict)
    raising: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(eq=False)
class HandlerScope:
    """The body of a handler: what a bare `raise`, or `raise name`, raises again."""

    outer: Scope | None
    name: str | None
    caught: tuple[str, ...]


@dataclass(eq=False)
class CleanupScope:
    """A block with a clean-up. `build(ends)` makes one copy and gives (its first node, its open ends);
    `swallowed` is where ends go that a context's exit stopped, None when it stops nothing."""

    outer: Scope | None
    build: Callable[[Ends], tuple[int, Ends]]
    origin: ir.Node
    swallowed: Ends | None = None
    leaving: dict[str, int] = field(default_factory=dict)
    raising: dict[str, tuple[int, ...]] = field(default_factory=dict)


Scope: TypeAlias = LoopScope | GuardedScope | HandlerScope | CleanupScope


def leave(draft: Draft, way: Literal["return", "break", "continue"], ends: Ends, scope: Scope | None) -> None:
    """Connect `ends` to where a jump out of `scope` arrives, by the clean-ups between."""
    while scope is not None:
        if isinstance(scope, LoopScope) and way == "break":
            scope.breaks += ends
            return
        if isinstance(scope, LoopScope) and way == "continue":
            draft.connect_back(ends, scope.header)
            return
        if isinstance(scope, CleanupScope):
            if way in scope.leaving:
                draft.connect(ends, scope.leaving[way])
                return
            scope.leaving[way], ends = scope.build(ends)
        scope = scope.outer
    draft.connect(ends, EXIT)


def raise_from(draft: Draft, node: int, exceptions: tuple[str, ...], scope: Scope | None) -> None:
    """Add the exceptional edges of a node that may raise `exceptions` inside `scope`."""
    for exception in exceptions:
        ends: list[End] = [(node, "exception")]
        for target in _receivers(draft, exception, scope):
            draft.connect(ends, target)


def reraised(statement: ir.Raise, scope: Scope | None) -> tuple[str, ...] | None:
    """What `raise`, or `raise name` of the handler's own name, raises again; None for any other `raise`."""
    name = statement.exception.id if isinstance(statement.exception, ir.Name) else None
    while scope is not None:
        if isinstance(scope, HandlerScope) and (statement.exception is None or (name and name == scope.name)):
            return scope.caught
        scope = scope.outer
    return None


def _receivers(draft: Draft, exception: str, scope: Scope | None) -> tuple[int, ...]:
    """The nodes that an exception raised directly in `scope` may reach first, memoised in the scope."""
    while isinstance(scope, LoopScope | HandlerScope):
        scope = scope.outer
    if scope is None:
        return (RAISE,)
    if exception not in scope.raising:
        if isinstance(scope, GuardedScope):
            scope.raising[exception] = _handlers(draft, exception, scope)
        else:
            scope.raising[exception] = _cleanup(draft, exception, scope)
    return scope.raising[exception]


def _handlers(draft: Draft, exception: str, scope: GuardedScope) -> tuple[int, ...]:
    found: list[int] = []
    for handler, node in scope.handlers:
        answer = draft.semantics.catches(handler.types, exception)
        if answer != "no":
            found.append(node)
            scope.caught.setdefault(node, {})[exception] = None
        if answer == "yes":
            return tuple(found)
    return (*found, *_receivers(draft, exception, scope.outer))


def _cleanup(draft: Draft, exception: str, scope: CleanupScope) -> tuple[int, ...]:
    first, ends = scope.build([])
    if isinstance(scope.origin, ir.Try):
        if not ends:
            return (first,)
        ends = [(draft.add("unwind", scope.origin, ends), "next")]
    if scope.swallowed is not None:
        scope.swallowed += ends
    raise_from(draft, ends[0][0], (exception,), scope.outer)
    return (first,)

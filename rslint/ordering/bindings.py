"""The names of a function and what they are bound to, who calls it, and what it yields: what views are followed by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rslint.flow.callers import called_name, near
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import render, statements, walk

_MOST_USERS = 64


@dataclass(frozen=True, order=True)
class View:
    """A part of a segment. `owner` is the class that keeps the segment, or the module whose function does; `segment`
    the attribute or variable; `area` tells views of one segment apart: a slice, an offset, "" for all of it."""

    owner: str
    segment: str
    area: str

    @property
    def start(self) -> str:
        """Where the area begins: two slices that begin at one place are of one thing, whatever their lengths."""
        return self.area.partition(":")[0]


Views = frozenset[View]
NOTHING: Views = frozenset()


@dataclass(frozen=True)
class Binding:
    """One way a name gets its value: assigned, unpacked at `position`, or (`entered`) what a `with` yields."""

    value: ir.Expr
    position: int | None = None
    entered: bool = False


@dataclass
class Buffers:
    """What is known so far of the shared memory of one project. The depth is part of every question, so that no
    answer depends on what was asked before."""

    k: Knowledge
    bindings: dict[str, dict[str, list[Binding]]] = field(default_factory=dict)
    answers: dict[tuple[str, str, str, int], Views] = field(default_factory=dict)


def text_in(b: Buffers, function: str, e: ir.Expr) -> str:
    """An expression as text, local names that are assigned once replaced by what they stand for."""
    aliases = {
        name: found[0].value
        for name, found in bindings_of(b, function).items()
        if len(found) == 1 and found[0].position is None and not found[0].entered
    }
    return render(e, aliases)


def argument(call: ir.Call, which: tuple[int | None, str] | None) -> ir.Expr | None:
    """The argument of a call that stands at a position or under a keyword."""
    if which is None:
        return None
    position, name = which
    for keyword in call.keywords:
        if keyword.name == name:
            return keyword.value
    if position is not None and position < len(call.args):
        given = call.args[position]
        return None if isinstance(given, ir.Starred) else given
    return None


def yielded_values(b: Buffers, function: str) -> tuple[ir.Expr, ...]:
    """What the `yield`s of a generator give."""
    if not b.k.links.facts(function).is_generator:
        return ()

    def values() -> tuple[ir.Expr, ...]:
        body = b.k.links.ir(function).body
        return tuple(
            part.value
            for statement in statements(body)
            if isinstance(statement, ir.ExprStmt | ir.Assign) and statement.value is not None
            for part in walk(statement.value)
            if isinstance(part, ir.Yield) and part.value is not None
        )

    return b.k.links.remember(("yielded", function), values)


def bindings_of(b: Buffers, function: str) -> dict[str, list[Binding]]:
    """The ways the local names of a function get their values."""
    known = b.bindings.get(function)
    if known is not None:
        return known
    table: dict[str, list[Binding]] = {}
    for statement in statements(b.k.links.ir(function).body):
        for name, binding in _bound(statement):
            table.setdefault(name, []).append(binding)
    b.bindings[function] = table
    return table


def _bound(statement: ir.Stmt) -> Iterator[tuple[str, Binding]]:
    if isinstance(statement, ir.Assign) and statement.value is not None and statement.operator is None:
        for target in statement.targets:
            yield from _targets(target, statement.value, entered=False)
    elif isinstance(statement, ir.With):
        for item in statement.items:
            if item.target is not None:
                yield from _targets(item.target, item.context, entered=True)


def _targets(target: ir.Expr, value: ir.Expr, *, entered: bool) -> Iterator[tuple[str, Binding]]:
    if isinstance(target, ir.Name):
        yield target.id, Binding(value, None, entered)
    elif isinstance(target, ir.Collection):
        for position, item in enumerate(target.items):
            if not isinstance(item, ir.Name):
                continue
            if isinstance(value, ir.Collection) and len(value.items) == len(target.items):
                yield item.id, Binding(value.items[position], None, entered)
            else:
                yield item.id, Binding(value, position, entered)


def around(b: Buffers, function: str) -> str | None:
    """The function or module a function is defined in."""
    module, _, path = function.partition(":")
    if not path:
        return None
    outer = path.rpartition(".")[0]
    identity = f"{module}:{outer}"
    if outer and b.k.links.store.function(identity) is None:
        identity = f"{module}:"
    return identity


def calls_of(b: Buffers, function: str) -> tuple[tuple[str, ir.Call], ...]:
    """The calls that reach a function, with the functions they stand in; tests and the like left out."""

    def found() -> tuple[tuple[str, ir.Call], ...]:
        links = b.k.links
        name = called_name(function)
        users = [one for one in links.calling(name) if not outside_production(one.partition(":")[0])]
        return tuple(
            (caller, call)
            for caller in near(b.k, users, name, (function,))[:_MOST_USERS]
            for call in calls_named(b.k, caller, name)
            if function in links.resolve(caller, call).functions
        )

    return b.k.links.remember(("calls of", function), found)

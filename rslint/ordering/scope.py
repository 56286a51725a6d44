"""Which functions of a project may touch shared memory: found backwards from the names that lead to it."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.models.ordering_queries import memory_attributes, memory_types
from rslint.ordering.bindings import Buffers, calls_of, yielded_values
from rslint.ordering.views import views_of
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import expressions, statements, walk

_ROUNDS = 4
_CALLERS = 2


def functions_in_scope(b: Buffers) -> tuple[str, ...]:
    """The functions that name shared memory, those they pass it to or get it from, and their callers, sorted.

    Tests, examples, benchmarks and tools are left out: what they do to the memory does not run in production.
    """
    found: dict[str, int] = {}
    fresh = dict.fromkeys(_first(b), _CALLERS)
    for _ in range(_ROUNDS):
        fresh = {
            one: up
            for one, up in sorted(fresh.items())
            if found.get(one, -1) < up and not outside_production(one.partition(":")[0])
        }
        found.update(fresh)
        following: dict[str, int] = {}
        for function, up in fresh.items():
            for other in _beside(b, function):
                following[other] = _CALLERS
            for other, _ in calls_of(b, function) if up else ():
                following[other] = max(following.get(other, 0), up - 1)
        fresh = following
    return tuple(sorted(found))


def _first(b: Buffers) -> Iterator[str]:
    links = b.k.links
    for attribute in memory_attributes(b.k.models.ordering):
        yield from (function for function in links.mentioning(attribute) if _names(b, function, attribute))
    for name in memory_types(b.k.models.ordering):
        yield from links.calling(name)


def _names(b: Buffers, function: str, attribute: str) -> bool:
    """Whether shared memory is meant where a function names this attribute."""
    if outside_production(function.partition(":")[0]):
        return False
    return any(
        isinstance(part, ir.Attribute) and part.attr == attribute and bool(views_of(b, function, part))
        for statement in statements(b.k.links.ir(function).body)
        for expression in expressions(statement)
        for part in walk(expression)
    )


def _kept_as(b: Buffers, function: str) -> Iterator[str]:
    """The attributes under which a function keeps shared memory."""
    for statement in statements(b.k.links.ir(function).body):
        if not isinstance(statement, ir.Assign) or statement.value is None:
            continue
        for target in statement.targets:
            if isinstance(target, ir.Attribute) and (
                views_of(b, function, statement.value) or views_of(b, function, target)
            ):
                yield target.attr


def _beside(b: Buffers, function: str) -> Iterator[str]:
    """The functions that share memory with this one: around it, inside it, by an attribute, as an argument."""
    links = b.k.links
    facts = links.facts(function)
    prefix = f"{function}."
    yield from (other for other in links.functions_of(function.partition(":")[0]) if other.startswith(prefix))
    outer = function.rpartition(".")[0]
    if outer and ":" in outer and links.store.function(outer) is not None:
        yield outer
    named = set(_kept_as(b, function))
    if facts.is_property and _gives(b, function):
        named.add(facts.name)
    for attribute in sorted(named):
        yield from (other for other in links.mentioning(attribute) if _names(b, other, attribute))
    yield from _receivers(b, function)


def _gives(b: Buffers, function: str) -> bool:
    values = yielded_values(b, function) or b.k.links.returned_values(function)
    return any(
        views_of(b, function, item)
        for value in values
        for item in (value.items if isinstance(value, ir.Collection) else (value,))
    )


def _receivers(b: Buffers, function: str) -> Iterator[str]:
    """The functions that are given shared memory."""
    for statement in statements(b.k.links.ir(function).body):
        for expression in expressions(statement):
            for part in walk(expression):
                if isinstance(part, ir.Call):
                    given = (*part.args, *(keyword.value for keyword in part.keywords))
                    if any(views_of(b, function, one) for one in given):
                        yield from b.k.links.resolve(function, part).functions

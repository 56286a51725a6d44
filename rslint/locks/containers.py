"""What kinds of containers a state is given, by the displays and calls that are stored to it."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge
from rslint.locks.sharing import users_storing
from rslint.locks.state import Names, names_of, state_of
from rslint.project import ir
from rslint.project.text import last_name, statements


def container_kinds(k: Knowledge, names: Names, state: str) -> tuple[str, ...]:
    """`dict` and `set` for displays and comprehensions, else the last name of the call."""
    key = ("container kinds", names.owner if state.startswith(".") else names.module, state)
    return k.links.remember(key, lambda: tuple(dict.fromkeys(_kinds(k, names, state))))


def _kinds(k: Knowledge, names: Names, state: str) -> Iterator[str]:
    for identity in users_storing(k, names, state):
        function = k.links.ir(identity)
        inner = names_of(k, function)
        for statement in statements(function.body):
            if (
                isinstance(statement, ir.Assign)
                and statement.value is not None
                and any(_is_state(inner, target, state) for target in statement.targets)
            ):
                yield from _kind(statement.value)


def _is_state(names: Names, target: ir.Expr, state: str) -> bool:
    """At the top level of a module, and in the body of a class, states are plain names."""
    return state_of(names, target) == state or (
        isinstance(target, ir.Name) and target.id == state.lstrip(".") and target.id in names.hidden
    )


def _kind(value: ir.Expr) -> Iterator[str]:
    if isinstance(value, ir.Collection | ir.Comprehension):
        yield value.kind
    elif isinstance(value, ir.Call) and (name := last_name(value.func)) is not None:
        yield name

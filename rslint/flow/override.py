"""Values that a collective made equal everywhere and that some ranks then overwrite with a constant (RS106)."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.answers import divergence_of
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.record import place_of
from rslint.flow.suspects import Suspect
from rslint.project import ir
from rslint.project.text import dotted, expressions, render, statements, walk

_SCALAR = frozenset({"bool", "int"})


def overrides_of(k: Knowledge, identity: str) -> Iterator[Suspect]:
    """Assignments of a constant, on some ranks only, to a name that holds an agreed value and is used afterwards."""
    function = k.links.ir(identity)
    order = list(statements(function.body))
    agreed: dict[str, ir.Call] = {}
    for position, statement in enumerate(order):
        if isinstance(statement, ir.Assign) and statement.value is not None:
            name = dotted(statement.targets[0]) if len(statement.targets) == 1 else None
            if name is not None and name in agreed and _constant(statement.value):
                suspect = _suspect(k, identity, statement, name, agreed[name], order[position + 1 :])
                if suspect is not None:
                    yield suspect
                    continue
            elif name is not None:
                origin = _origin(k, identity, statement.value, agreed)
                agreed.pop(name, None)
                if origin is not None:
                    agreed[name] = origin
        for names in _agreeing(k, identity, statement):
            agreed.update(names)


def _agreeing(k: Knowledge, identity: str, statement: ir.Stmt) -> Iterator[dict[str, ir.Call]]:
    """The names that collectives of a statement make equal everywhere, each with its collective."""
    for part in expressions(statement):
        for call in walk(part):
            if isinstance(call, ir.Call):
                for argument in meaning_of(k, identity, call).agrees:
                    items = argument.items if isinstance(argument, ir.Collection) else (argument,)
                    yield {name: call for item in items if (name := dotted(item)) is not None}


def _constant(value: ir.Expr) -> bool:
    return isinstance(value, ir.Constant) and value.kind in _SCALAR


def _origin(k: Knowledge, identity: str, value: ir.Expr, agreed: dict[str, ir.Call]) -> ir.Call | None:
    """The collective behind a value: read from an agreed name, or returned by a collective."""
    for part in walk(value):
        if isinstance(part, ir.Call):
            meaning = meaning_of(k, identity, part)
            if meaning.result_agrees or any(
                _returns_agreed(k, f) for f in meaning.target.functions if f in k.effects
            ):
                return part
        name = dotted(part) if isinstance(part, ir.Name | ir.Attribute) else None
        if name is not None and name in agreed:
            return agreed[name]
    return None


def _returns_agreed(k: Knowledge, identity: str) -> bool:
    """Whether the function returns what a collective of its own made equal everywhere."""
    agreed: dict[str, ir.Call] = {}
    for statement in statements(k.links.ir(identity).body):
        if isinstance(statement, ir.Return) and statement.value is not None:
            for part in walk(statement.value):
                if isinstance(part, ir.Call) and meaning_of(k, identity, part).result_agrees:
                    return True
                if isinstance(part, ir.Name | ir.Attribute) and dotted(part) in agreed:
                    return True
        for names in _agreeing(k, identity, statement):
            agreed.update(names)
    return False


def _suspect(
    k: Knowledge, identity: str, statement: ir.Assign, name: str, collective: ir.Call, later: list[ir.Stmt]
) -> Suspect | None:
    controls = divergence_of(k, identity).controls.get(id(statement), frozenset())
    sources = sorted(
        (s for s in controls if s.kind in ("rank", "caught")), key=lambda s: (s.kind, place_of(s))
    )
    if not sources or not _used(k, identity, name, later):
        return None
    meaning = meaning_of(k, identity, collective)
    return Suspect(
        kind="override",
        function=identity,
        site=site_of(identity, statement),
        statement=site_of(identity, statement),
        text=f"{name} = {render(statement.value)}",
        here=(),
        others=(),
        collective=None,
        sources=tuple(sources[:2]),
        sibling=site_of(identity, collective) if meaning.operation else None,
    )


def _used(k: Knowledge, identity: str, name: str, later: list[ir.Stmt]) -> bool:
    """Whether the value decides something: it is tested or returned before the name is bound anew."""
    for statement in later:
        if isinstance(statement, ir.Assign) and any(dotted(target) == name for target in statement.targets):
            return False
        if any(name in names for names in _agreeing(k, identity, statement)):
            return False
        parts: tuple[ir.Expr, ...] = ()
        if isinstance(statement, ir.If | ir.While):
            parts = (statement.test,)
        elif isinstance(statement, ir.Return) and statement.value is not None:
            parts = (statement.value,)
        if any(
            dotted(e) == name for part in parts for e in walk(part) if isinstance(e, ir.Name | ir.Attribute)
        ):
            return True
    return False

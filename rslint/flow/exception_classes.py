"""Which class the name of an exception stands for in its scope, and what handlers there make of it.

The label of a project's class is its ClassId ("package.module:Class"), the same in every scope; that of any other
class is its dotted name.
"""

from __future__ import annotations

from rslint.flow.exceptions import Answer, alternatives, is_one_of, stops
from rslint.flow.knowledge import Knowledge
from rslint.project import hierarchy, ir
from rslint.project.annotations import parsed_text
from rslint.project.entities import LINKS, Entity
from rslint.project.text import dotted, last_name, statements

_UNRESOLVED = "?"


def handler_catches(k: Knowledge, identity: str, types: ir.Expr | None, exception: str) -> Answer:
    """Whether `except types` in the function `identity` stops what the label `exception` stands for."""
    if types is None:
        return "yes"
    classes = tuple(None if name is None else _caught(k, identity, name) for name in alternatives(types))
    known = k.catching.get((classes, exception))
    if known is None:
        bases = {**k.models.exception_bases, **_bases(k, (*classes, exception))}
        known = stops(classes, exception, bases)
        if known == "no" and exception in k.models.guessed_errors and _of_a_service(k, classes):
            known = "maybe"
        k.catching[classes, exception] = known
    return known


def _of_a_service(k: Knowledge, classes: tuple[str | None, ...]) -> bool:
    """Whether one of the classes is the error of a library for services.

    What `client.start()` raises is a guess where nobody knows the client's class; a handler for such an error is
    the word of the author, who does.
    """
    kinds, bases = k.models.service_errors, k.models.exception_bases
    return any(name is not None and is_one_of(name, kinds, bases) for name in classes)


def raised_class(k: Knowledge, identity: str, raised: ir.Expr) -> str:
    """The label of what `raise raised` raises; where its class is not known, the last name as written."""
    name = dotted(raised.func if isinstance(raised, ir.Call) else raised)
    written = last_name(raised) or "Exception"
    if name is None:
        return written
    kinds = (
        ("class", "external") if isinstance(raised, ir.Call) else ("class", "external", "instance", "object")
    )
    entities = _entities(k, identity, name)
    sure = len(entities) == 1 and entities[0].kind in kinds
    return entities[0].name.removeprefix("builtins.") if sure else written


def passed_on(k: Knowledge, identity: str, handler: ir.Handler, exception: str) -> str | None:
    """What comes out of a handler that an exception enters: its own exception, the same again, or None for none."""
    labels = {
        exception
        if statement.exception is None or _is_caught(handler, statement.exception)
        else raised_class(k, identity, statement.exception)
        for statement in statements(handler.body)
        if isinstance(statement, ir.Raise)
    }
    if not labels:
        return None
    if exception in labels or handler_catches(k, identity, handler.types, exception) != "yes":
        return exception
    return labels.pop() if len(labels) == 1 else "Exception"


def _is_caught(handler: ir.Handler, raised: ir.Expr) -> bool:
    """The handler's own name, as in `raise error` and `raise error.with_traceback(None)`."""
    name = dotted(raised.func if isinstance(raised, ir.Call) else raised)
    return name is not None and name.partition(".")[0] == handler.name


def _caught(k: Knowledge, identity: str, name: str) -> str:
    """The one class that a handler names; what is computed, or one of several, stays as written."""
    entities = _entities(k, identity, name)
    sure = len(entities) == 1 and entities[0].kind in ("class", "external") and entities[0].exact
    return entities[0].name if sure else name


def _entities(k: Knowledge, identity: str, name: str) -> tuple[Entity, ...]:
    def evaluated() -> tuple[Entity, ...]:
        expression = parsed_text(name)
        return () if expression is None else k.links.evaluate(identity, expression, LINKS)

    return k.links.remember(("exception named", identity, name), evaluated)


def _bases(k: Knowledge, classes: tuple[str | None, ...]) -> dict[str, tuple[str, ...]]:
    """The direct bases of those of the classes that are the project's, and of the project's classes above them."""
    found: dict[str, tuple[str, ...]] = {}
    for name in classes:
        for above in k.links.mro(name) if name is not None and ":" in name else ():
            if ":" in above:
                known = hierarchy.bases(k.links, above)
                written = k.links.class_facts(above).bases
                found[above] = known if len(known) == len(written) else (*known, _UNRESOLVED)
    return found

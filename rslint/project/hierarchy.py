"""Classes: resolved bases, method resolution order, subclasses, and which function a method name means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rslint.project.annotations import parsed_text
from rslint.project.entities import LINKS
from rslint.project.facts import ClassFacts

if TYPE_CHECKING:
    from rslint.project.links import Links


def bases(links: Links, class_id: str) -> tuple[str, ...]:
    """The bases of a project class, as ClassIds and external dotted names; unresolvable ones are left out, and those
    that cannot be told without knowing the bases of this class."""
    key = ("bases", class_id)
    if key in links.pending:
        return ()
    links.pending.add(key)
    try:
        return links.remember(key, lambda: _bases(links, class_id))
    finally:
        links.pending.discard(key)


def _bases(links: Links, class_id: str) -> tuple[str, ...]:
    facts = links.store.class_facts(class_id)
    found: list[str] = []
    for text in facts.bases if facts else ():
        expression = parsed_text(text)
        if expression is None or facts is None:
            continue
        for entity in links.evaluate(facts.function, expression, LINKS):
            if entity.kind in ("class", "external") and entity.name != class_id:
                found.append(entity.name)
                break
    return tuple(dict.fromkeys(found))


def mro(links: Links, class_id: str) -> tuple[str, ...]:
    """The class and its ancestors in C3 order (depth first where C3 has no answer); `builtins.object` left
    out."""
    return links.remember(("mro", class_id), lambda: tuple(_linear(links, class_id, ())))


def _linear(links: Links, class_id: str, below: tuple[str, ...]) -> list[str]:
    if ":" not in class_id or class_id in below:
        return [class_id] if ":" not in class_id and class_id != "builtins.object" else []
    parents = bases(links, class_id)
    orders = [_linear(links, parent, (*below, class_id)) for parent in parents]
    return [class_id, *_merge([*orders, list(parents)])]


def _merge(orders: list[list[str]]) -> list[str]:
    merged: list[str] = []
    pending = [order for order in orders if order]
    while pending:
        tails = {name for order in pending for name in order[1:]}
        chosen = next((order[0] for order in pending if order[0] not in tails), pending[0][0])
        merged.append(chosen)
        pending = [rest for order in pending if (rest := [name for name in order if name != chosen])]
    return merged


def direct_subclasses(links: Links, class_id: str) -> tuple[str, ...]:
    """The project classes that name this one as a base, sorted."""
    return links.remember(("direct", class_id), lambda: _direct_subclasses(links, class_id))


def _direct_subclasses(links: Links, class_id: str) -> tuple[str, ...]:
    facts = links.store.class_facts(class_id)
    if facts is None:
        return ()
    found = []
    for module in links.store.modules_deriving(facts.name):
        file = links.store.facts(module)
        renamed = (
            {bound for bound, target in file.imports if target.endswith("." + facts.name)} if file else set()
        )
        renamed |= {binding.name for binding in file.globals} if file else set()
        for candidate in file.classes if file else ():
            if _may_name(candidate, facts.name, renamed) and class_id in bases(links, candidate.identity):
                found.append(candidate.identity)
    return tuple(sorted(found))


def _may_name(candidate: ClassFacts, name: str, renamed: set[str]) -> bool:
    return any(base.rpartition(".")[2] == name or base in renamed for base in candidate.bases)


def subclasses(links: Links, class_id: str) -> tuple[str, ...]:
    """All project classes below this one, transitively, sorted."""
    return links.remember(("subclasses", class_id), lambda: _subclasses(links, class_id))


def _subclasses(links: Links, class_id: str) -> tuple[str, ...]:
    found: set[str] = set()
    pending = [class_id]
    while pending:
        for child in direct_subclasses(links, pending.pop()):
            if child not in found and child != class_id:
                found.add(child)
                pending.append(child)
    return tuple(sorted(found))


def own_methods(links: Links, class_id: str, name: str) -> tuple[str, ...]:
    """The functions a class itself defines under this name (alternatives of a branch; setters left out)."""
    facts = links.store.class_facts(class_id)
    return tuple(
        method
        for method_name, method in (facts.methods if facts else ())
        if method_name == name and not _is_accessor(links, method)
    )


def _is_accessor(links: Links, method: str) -> bool:
    facts = links.store.function(method)
    return facts is not None and any(d.rpartition(".")[2] in ("setter", "deleter") for d in facts.decorators)


def inherited_methods(links: Links, order: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The functions the first class of `order` that defines `name` defines under it."""
    return next((found for class_id in order if (found := own_methods(links, class_id, name))), ())


def overriding_methods(links: Links, class_id: str, name: str) -> tuple[str, ...]:
    """What subclasses define under this name, and inherit from classes beside `class_id` (mixins), sorted."""
    return links.remember(("overriding", class_id, name), lambda: _overriding_methods(links, class_id, name))


def _overriding_methods(links: Links, class_id: str, name: str) -> tuple[str, ...]:
    found: set[str] = set()
    for child in subclasses(links, class_id):
        found.update(inherited_methods(links, mro(links, child), name))
    return tuple(sorted(found))

"""Segments that nothing in the project ever removes (RS303).

Python's resource tracker removes them when the process tree has ended; a server that is killed leaves them, and while
it lives each new one is added to those before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.reasons import calls_of
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import statements
from rslint.segments.arguments import ATTACH, CREATE
from rslint.segments.charges import name_texts
from rslint.segments.handling import (
    NO_TEXTS,
    aliases,
    bare_mentions,
    class_removes,
    function_removes,
    hands_on,
)
from rslint.segments.openings import Opening, Openings


@dataclass(frozen=True)
class Forgotten:
    """`holder` is what keeps the handle: an attribute, or the container it is put into."""

    function: str
    site: Site
    statement: Site
    holder: str


def forgotten_of(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[Forgotten]:
    """The segments of a project that stay for good, in order of place; none where somebody removes by name what others
    have made."""
    if any(_removes_others(k, identity, openings) for identity in openings):
        return
    for identity in concerned:
        for opening in openings.get(identity, ()):
            if opening.kind != CREATE or opening.by_name or opening.helper is not None or not opening.holders:
                continue
            if any(k.links.modules_naming(name) and _names(k, identity, name) for name in _REMOVING):
                continue
            holder = _keeper(k, identity, opening)
            if holder is not None:
                site, statement = site_of(identity, opening.call), site_of(identity, opening.statement)
                yield Forgotten(identity, site, statement, holder)


_REMOVING = ("unlink", "shm_unlink")


def _names(k: Knowledge, identity: str, word: str) -> bool:
    return identity.partition(":")[0] in k.links.modules_naming(word)


def _removes_others(k: Knowledge, identity: str, openings: Openings) -> bool:
    """A function that attaches and removes, for production: it may be meant for what others leave."""
    if outside_production(identity.partition(":")[0]):
        return False
    return any(
        opening.kind == ATTACH
        and opening.holders
        and function_removes(
            k, identity, aliases(k.links.ir(identity), opening.holders), name_texts(opening.name)
        )
        for opening in openings[identity]
    )


def _keeper(k: Knowledge, identity: str, opening: Opening) -> str | None:
    """The attribute that holds the handle, or "" for a container; None where it leaves the module or is removed."""
    function = k.links.ir(identity)
    texts = aliases(function, opening.holders)
    owner = k.links.owner_of(identity)
    if owner is None or function_removes(k, identity, texts, NO_TEXTS):
        return None
    for s in statements(function.body):
        if (
            isinstance(s, ir.Return)
            and s.value is not None
            and any(True for _ in bare_mentions(s.value, texts))
        ):
            return None
    attributes = sorted(text.removeprefix("self.") for text in texts if text.startswith("self."))
    if attributes:
        return None if any(class_removes(k, owner, name) for name in attributes) else attributes[0]
    return "" if any(hands_on(k, identity, call, texts) for call, _ in calls_of(k, identity)) else None

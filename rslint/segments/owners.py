"""Removals by a process that does not own the segment, or at a moment when it cannot (RS304).

The owner is who made it. A class, or a function, of which some processes make the segment and others attach it has to
ask which of the two it is before it removes. Who only attaches removes nothing where the maker does so itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.reasons import calls_of
from rslint.models.segment_queries import unique_name
from rslint.project import ir
from rslint.project.text import dotted, last_name, statements, walk
from rslint.segments.arguments import ATTACH, CREATE, EITHER
from rslint.segments.destructors import armed, half_built
from rslint.segments.handles import Handle, Removal, handles_of, removal_in
from rslint.segments.handling import NO_TEXTS, Texts, aliases, removes
from rslint.segments.openings import Opening, Openings
from rslint.segments.surroundings import asks_for_owner, in_another_arm, stopped_here, tests_of

_REMOVERS = frozenset({"unlink", "destroy", "delete", "remove"})
"""Methods of these names remove because their caller says so."""
_STALE = ("stale", "unlink", "remove", "delete", "destroy", "cleanup", "clean_up", "purge", "sweep", "reap")


def removals_of(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[Removal]:
    """The wrong removals of a project, in order of function and place."""
    owners = sorted({owner for f in concerned if (owner := k.links.owner_of(f)) is not None})
    for owner in owners:
        yield from _of_class(k, owner, openings)
    for identity in concerned:
        if k.links.owner_of(identity) is None and identity in openings:
            yield from _of_function(k, identity, openings)


# Classes -------------------------------------------------------------------------------------------------------------


def _of_class(k: Knowledge, class_id: str, openings: Openings) -> Iterator[Removal]:
    for handle in handles_of(k, class_id, openings):
        anybody = handle.kinds not in ({ATTACH}, {CREATE}) and not _is_unique(k, handle)
        attached = handle.kinds == {ATTACH} and _maker_removes(k, class_id, openings)
        # What travels in a pickle is removed by who takes it out; not by the destructor of every copy.
        handed = any(method.endswith(".__setstate__") for method, _ in handle.opened)
        for _, method in k.links.class_facts(class_id).methods:
            function = k.links.ir(method)
            if (anybody or attached) and not (handed and function.name != "__del__"):
                found = _unasked_removal(k, function, handle.holder)
                if found is not None:
                    yield removal_in("anybody" if anybody else "attached", k, method, found, handle)
            if function.name == "__del__":
                yield from half_built(k, class_id, function, handle)
            yield from armed(k, class_id, function, handle)


def _unasked_removal(k: Knowledge, function: ir.Function, holder: str) -> ir.Call | None:
    """The first removal of the handle that no test of the owner guards; None in methods that do as they are told."""
    name = function.name.strip("_")
    if name in _REMOVERS or any(word in name for word in _STALE if word != "cleanup"):
        return None
    texts = aliases(function, [holder])
    for call, _ in calls_of(k, function.identity):
        direct = removes(k, function.identity, call, texts, NO_TEXTS, 0)
        told = last_name(call.func) in _REMOVERS and removes(k, function.identity, call, texts, NO_TEXTS, 1)
        if not direct and not told:
            continue
        asked = asks_for_owner(k, tests_of(function, call)) or _is_agreed_and_tolerant(k, function, call)
        if not asked and not _makes_again(k, function, call):
            return call
    return None


def _is_agreed_and_tolerant(k: Knowledge, function: ir.Function, call: ir.Call) -> bool:
    """After a barrier everybody may remove who does not mind that another one was first."""
    return stopped_here(k, function.identity, call, "FileNotFoundError") and any(
        "barrier" in (last_name(other.func) or "").lower() and other.span.row < call.span.row
        for other, _ in calls_of(k, function.identity)
    )


def _makes_again(k: Knowledge, function: ir.Function, call: ir.Call) -> bool:
    """A removal that clears the way for the same function to make the segment is the maker's."""
    models, module = k.models.segments, function.identity.partition(":")[0]
    names = {
        name
        for name in models.opener_names
        if (word := models.opener_words.get(name)) is None or module in k.links.modules_naming(word)
    }
    return any(
        isinstance(s, ir.Assign) and s.span.row > call.span.row and last_name(e) in names and _is_making(e)
        for s in statements(function.body)
        if isinstance(s, ir.Assign) and s.value is not None
        for e in walk(s.value)
        if isinstance(e, ir.Call)
    )


def _is_making(call: ir.Call) -> bool:
    return any(word.name == "create" for word in call.keywords) or len(call.args) > 1


def _is_unique(k: Knowledge, handle: Handle) -> bool:
    """Whether the segment's name is one of its own, so that nobody can have made it before."""
    return any(is_unique_name(k, method, opening.name) for method, opening in handle.opened)


def is_unique_name(k: Knowledge, identity: str, name: ir.Expr | None) -> bool:
    """Whether a name is made of a UUID, a process id or the like, in the call or where the function assigns it."""
    if name is None:
        return False
    values = [name]
    text = dotted(name)
    if text is not None:
        values += [
            s.value
            for s in statements(k.links.ir(identity).body)
            if isinstance(s, ir.Assign) and s.value is not None and any(dotted(t) == text for t in s.targets)
        ]
    return any(
        unique_name(k.models, spelled)
        for value in values
        for part in walk(value)
        if isinstance(part, ir.Name | ir.Attribute) and (spelled := dotted(part)) is not None
    )


def _maker_removes(k: Knowledge, class_id: str, openings: Openings) -> bool:
    """Whether another class of the module makes a segment and removes it itself, sure that it is still there."""
    module = class_id.partition(":")[0]
    facts = k.links.store.facts(module)
    for other in facts.classes if facts else ():
        if other.identity == class_id:
            continue
        for handle in handles_of(k, other.identity, openings):
            if handle.kinds != {CREATE}:
                continue
            for _, method in other.methods:
                if _sure_removal(k, method, aliases(k.links.ir(method), [handle.holder])):
                    return True
    return False


def _sure_removal(k: Knowledge, identity: str, holders: Texts) -> bool:
    return any(
        removes(k, identity, call, holders, NO_TEXTS, 0)
        and not stopped_here(k, identity, call, "FileNotFoundError")
        for call, _ in calls_of(k, identity)
    )


# Functions -----------------------------------------------------------------------------------------------------------


def _of_function(k: Knowledge, identity: str, openings: Openings) -> Iterator[Removal]:
    function = k.links.ir(identity)
    if any(word in function.name for word in _STALE):
        return
    opened = [o for o in openings[identity] if o.holders and not o.by_name]
    by_holder: dict[str, list[Opening]] = {}
    for opening in opened:
        by_holder.setdefault(opening.holders[0], []).append(opening)
    for holder, found in sorted(by_holder.items()):
        kinds = {opening.kind for opening in found}
        if any(is_unique_name(k, identity, opening.name) for opening in found) or kinds == {CREATE}:
            continue
        call = _unasked_removal(k, function, holder)
        if call is None:
            continue
        attached = next((o for o in found if o.kind != CREATE), found[0])
        if all(in_another_arm(function.body, o.call, call) for o in found if o.kind != CREATE):
            continue
        kind = "anybody" if kinds == {CREATE, ATTACH} else "attached"
        if kinds == {EITHER} or (kind == "attached" and not _started_by_maker(k, identity, openings)):
            continue
        yield Removal(kind, identity, site_of(identity, call), holder, site_of(identity, attached.call))


def _started_by_maker(k: Knowledge, identity: str, openings: Openings) -> bool:
    """Whether a function that makes a segment, and removes it itself, hands this one to another process."""
    name = identity.rpartition(":")[2].rpartition(".")[2]
    for maker in k.links.mentioning(name):
        made = [o for o in openings.get(maker, ()) if o.kind == CREATE and o.holders]
        for opening in made:
            if _sure_removal(k, maker, aliases(k.links.ir(maker), opening.holders)):
                return True
    return False

"""Removals by a process that does not own the segment, or at a moment when it cannot (RS304).

The owner is who made it. A class, or a function, of which some processes make the segment and others attach it has to
ask which of the two it is before it removes. Who only attaches removes nothing where the maker does so itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.reasons import calls_named, calls_of
from rslint.models.segment_queries import keeps, unique_name
from rslint.project import ir
from rslint.project.text import dotted, last_name, statements, walk
from rslint.segments.arguments import ATTACH, CREATE, EITHER
from rslint.segments.handling import NO_TEXTS, Texts, aliases, handle_text, removes
from rslint.segments.openings import Opening, Openings
from rslint.segments.surroundings import asks_for_owner, stopped_here, tests_of

_REMOVERS = frozenset({"unlink", "destroy", "delete", "remove"})
"""Methods of these names remove because their caller says so."""
_STALE = ("stale", "unlink", "remove", "delete", "destroy", "cleanup", "clean_up", "purge", "sweep", "reap")


@dataclass(frozen=True)
class Removal:
    """One removal that is not its process's to make.

    `kind`: "anybody" (whoever runs this removes, the maker and those that attach), "attached" (only attached, and the
    maker removes as well), "half-built" (a destructor uses what a failed constructor never set) or "armed" (it may
    raise before the second removal at exit is called off). `opened` is where the segment is attached or made.
    """

    kind: str
    function: str
    site: Site
    text: str
    opened: Site


def removals_of(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[Removal]:
    """The wrong removals of a project, in order of function and place."""
    owners = sorted({owner for f in concerned if (owner := k.links.owner_of(f)) is not None})
    for owner in owners:
        yield from _of_class(k, owner, openings)
    for identity in concerned:
        if k.links.owner_of(identity) is None and identity in openings:
            yield from _of_function(k, identity, openings)


# Classes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Handle:
    """An attribute that holds segments, with the methods and calls that open them."""

    holder: str
    opened: tuple[tuple[str, Opening], ...]

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(opening.kind for _, opening in self.opened)


def _handles(k: Knowledge, class_id: str, openings: Openings) -> list[_Handle]:
    found: dict[str, list[tuple[str, Opening]]] = {}
    for _, method in k.links.class_facts(class_id).methods:
        function = k.links.ir(method)
        for opening in openings.get(method, ()):
            if opening.by_name or not opening.holders:
                continue
            for holder in sorted(aliases(function, opening.holders)):
                if holder.startswith("self.") and holder.count(".") == 1:
                    found.setdefault(holder, []).append((method, opening))
    return [_Handle(holder, tuple(opened)) for holder, opened in sorted(found.items())]


def _of_class(k: Knowledge, class_id: str, openings: Openings) -> Iterator[Removal]:
    for handle in _handles(k, class_id, openings):
        anybody = handle.kinds not in ({ATTACH}, {CREATE}) and not _is_unique(k, handle)
        attached = handle.kinds == {ATTACH} and _maker_removes(k, class_id, openings)
        # What travels in a pickle is removed by who takes it out; not by the destructor of every copy.
        handed = any(method.endswith(".__setstate__") for method, _ in handle.opened)
        for _, method in k.links.class_facts(class_id).methods:
            function = k.links.ir(method)
            if (anybody or attached) and not (handed and function.name != "__del__"):
                found = _unasked_removal(k, function, handle.holder)
                if found is not None:
                    yield _removal("anybody" if anybody else "attached", k, method, found, handle)
            if function.name == "__del__":
                yield from _half_built(k, class_id, function, handle)
            yield from _armed(k, class_id, function, handle)


def _removal(kind: str, k: Knowledge, method: str, call: ir.Node, handle: _Handle) -> Removal:
    where, opening = next((one for one in handle.opened if one[1].kind != CREATE), handle.opened[0])
    return Removal(kind, method, site_of(method, call), handle.holder, site_of(where, opening.call))


def _unasked_removal(k: Knowledge, function: ir.Function, holder: str) -> ir.Call | None:
    """The first removal of the handle that no test of the owner guards; None in methods that do as they are told."""
    name = function.name.strip("_")
    if name in _REMOVERS or any(word in name for word in _STALE if word != "cleanup"):
        return None
    texts = aliases(function, [holder])
    for call, _ in calls_of(k, function.identity):
        direct = removes(k, function.identity, call, texts, NO_TEXTS, 0)
        told = last_name(call.func) in _REMOVERS and removes(k, function.identity, call, texts, NO_TEXTS, 1)
        asked = asks_for_owner(k, tests_of(function, call))
        if (direct or told) and not asked and not _makes_again(k, function, call):
            return call
    return None


def _makes_again(k: Knowledge, function: ir.Function, call: ir.Call) -> bool:
    """A removal that clears the way for the same function to make the segment is the maker's."""
    names = k.models.segments.opener_names
    return any(
        isinstance(s, ir.Assign) and s.span.row > call.span.row and last_name(e) in names and _is_making(e)
        for s in statements(function.body)
        if isinstance(s, ir.Assign) and s.value is not None
        for e in walk(s.value)
        if isinstance(e, ir.Call)
    )


def _is_making(call: ir.Call) -> bool:
    return any(word.name == "create" for word in call.keywords) or len(call.args) > 1


def _is_unique(k: Knowledge, handle: _Handle) -> bool:
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
        for handle in _handles(k, other.identity, openings):
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


# Destructors and exits -----------------------------------------------------------------------------------------------


def _half_built(k: Knowledge, class_id: str, function: ir.Function, handle: _Handle) -> Iterator[Removal]:
    """A destructor runs for an object whose constructor raised: what it uses may never have been set."""
    attribute = handle.holder.removeprefix("self.")
    in_constructor = [(m, o) for m, o in handle.opened if m.rpartition(".")[2] == "__init__"]
    if not in_constructor or _has_default(k, class_id, attribute):
        return
    for call, _ in calls_of(k, function.identity):
        if not isinstance(call.func, ir.Attribute) or dotted(call.func.value) != handle.holder:
            continue
        method, opening = in_constructor[0]
        tested = [part for test in tests_of(function, call) for part in walk(test)]
        asked = any(_asks_for(part, handle.holder) for part in tested)
        if _is_set_before(k.links.ir(method), handle.holder, opening):
            asked = asked or any(handle_text(part) == handle.holder for part in tested)
        if not asked and not stopped_here(k, function.identity, call, "AttributeError"):
            site = site_of(function.identity, call)
            yield Removal("half-built", function.identity, site, handle.holder, site_of(method, opening.call))
        return


def _is_set_before(constructor: ir.Function, holder: str, opening: Opening) -> bool:
    """Whether the attribute has a value, None for one, before the segment is opened."""
    return any(
        s.span.row < opening.call.span.row and any(dotted(target) == holder for target in s.targets)
        for s in statements(constructor.body)
        if isinstance(s, ir.Assign) and s.value is not None and s is not opening.statement
    )


def _asks_for(e: ir.Expr, holder: str) -> bool:
    """`hasattr(self, "x")`, `getattr(self, "x", None)`, or a look into `self.__dict__`."""
    if isinstance(e, ir.Call) and dotted(e.func) == "hasattr" and len(e.args) == 2:
        attribute = e.args[1]
        return isinstance(attribute, ir.Constant) and f"{dotted(e.args[0])}.{attribute.value}" == holder
    if isinstance(e, ir.Call):
        return handle_text(e) == holder
    return isinstance(e, ir.Attribute) and e.attr == "__dict__"


def _has_default(k: Knowledge, class_id: str, attribute: str) -> bool:
    return any(
        not binding.function
        for one in k.links.mro(class_id)
        if ":" in one
        for binding in k.links.attribute_bindings(one, attribute)
        if binding.value
    )


def _armed(k: Knowledge, class_id: str, function: ir.Function, handle: _Handle) -> Iterator[Removal]:
    """A removal that may raise, while the one that is registered for the exit is called off only afterwards."""
    texts = aliases(function, [handle.holder])
    called_off = calls_named(k, function.identity, "unregister")
    if not called_off or not _is_registered(k, class_id, handle.holder):
        return
    for call, _ in calls_of(k, function.identity):
        if not removes(k, function.identity, call, texts, NO_TEXTS, 0):
            continue
        later = [c for c in called_off if c.span.row > call.span.row]
        if later and not stopped_here(k, function.identity, call, "FileNotFoundError"):
            yield _removal("armed", k, function.identity, call, handle)
        return


def _is_registered(k: Knowledge, class_id: str, holder: str) -> bool:
    for _, method in k.links.class_facts(class_id).methods:
        for call in calls_named(k, method, "register"):
            target = k.links.resolve(method, call)
            if keeps(k.models, target.external, target.text) and any(
                handle_text(part) == holder
                for argument in call.args
                for part in walk(argument.body if isinstance(argument, ir.Lambda) else argument)
            ):
                return True
    return False

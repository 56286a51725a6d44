"""Removals at a moment when they cannot be made: of a half-built object, or with the fallback at exit still armed."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.reasons import calls_named, calls_of
from rslint.models.segment_queries import keeps
from rslint.project import ir
from rslint.project.text import dotted, statements, walk
from rslint.segments.handles import Handle, Removal, removal_in
from rslint.segments.handling import NO_TEXTS, aliases, handle_text, removes
from rslint.segments.openings import Opening
from rslint.segments.surroundings import stopped_here, tests_of


def half_built(k: Knowledge, class_id: str, function: ir.Function, handle: Handle) -> Iterator[Removal]:
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


def armed(k: Knowledge, class_id: str, function: ir.Function, handle: Handle) -> Iterator[Removal]:
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
            yield removal_in("armed", k, function.identity, call, handle)
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

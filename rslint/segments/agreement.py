"""Segments unlinked before every peer has opened them (RS301).

The source of a broadcast comes back when it has sent; its peers unpickle, and so open, afterwards. Between the
publication and the removal an agreement has to stand on every path: a barrier, a reduction, a gathering on the peers'
group, or the answer of the peer. A broadcast is none for its source.

What happens on the paths of a function is an effect tree (`rslint.segments.events`), walked by `rslint.segments.paths`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import meaning_of
from rslint.models.queries import starter_of
from rslint.models.segment_queries import publishes
from rslint.project import ir
from rslint.project.text import statements, walk
from rslint.segments.arguments import ATTACH, CREATE
from rslint.segments.charges import name_texts
from rslint.segments.events import PUBLISH, UNLINK, Events, callers_of, calls_in
from rslint.segments.handling import NO_TEXTS, Texts, aliases, handle_text, removes
from rslint.segments.openings import Openings
from rslint.segments.paths import State, does, unagreed_unlinks
from rslint.segments.unpickling import rebuildings

_UP = 4
_DOWN = 4


@dataclass(frozen=True)
class EarlyUnlink:
    """A path on which a segment is unlinked before its peers have agreed that they have it.

    `function` is where the agreement is missing, `site` the call there that leads to the removal at `unlink`.
    `published` are the publications that nobody waited for; `test` is the condition because of which the agreement is
    left out on that path, and its outcome. `owner` is the class whose instances carry the segment, where they do.
    """

    function: str
    site: Site
    unlink: Site
    published: tuple[Site, ...]
    test: tuple[str, bool] | None = None
    owner: str | None = None


def early_unlinks(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[EarlyUnlink]:
    """The early removals of a project: of segments that travel inside pickled objects, and of those sent by name."""
    yield from _of_pickled(k, openings)
    for identity in concerned:
        yield from _of_named(k, identity, openings)


# Segments inside objects ---------------------------------------------------------------------------------------------


def _of_pickled(k: Knowledge, openings: Openings) -> Iterator[EarlyUnlink]:
    owners = {one.owner for one in rebuildings(k, openings)}
    unlinks: set[int] = set()
    reached: set[str] = set()
    for owner in sorted(owners):
        for identity, call in _removals(k, owner, openings):
            unlinks.add(id(call))
            reached.add(identity)
    if not unlinks:
        return
    events = Events(k, frozenset(unlinks))
    seen = set(reached)
    found: dict[Site, EarlyUnlink] = {}
    for _ in range(_UP):
        reached = callers_of(k, frozenset(reached))
        reached -= seen
        seen |= reached
        both = set()
        for identity in sorted(reached):
            tree = events.tree(identity, _DOWN)
            if does(events.forest, tree, PUBLISH) and does(events.forest, tree, UNLINK):
                both.add(identity)
                for state, site in unagreed_unlinks(events.forest, tree):
                    early = _early(state, site)
                    carrier = k.links.owner_of(early.unlink.function)
                    found.setdefault(early.site, replace(early, owner=carrier))
        reached -= both  # whoever calls these sees the same again
    yield from sorted(found.values(), key=lambda early: early.site)


def _removals(k: Knowledge, owner: str, openings: Openings) -> Iterator[tuple[str, ir.Call]]:
    """The calls in methods of a class that remove a segment it has opened, other than for an error of its own."""
    holders = {
        holder
        for _, method in k.links.class_facts(owner).methods
        for opening in openings.get(method, ())
        for holder in opening.holders
        if holder.startswith("self.")
    }
    for _, method in k.links.class_facts(owner).methods:
        function = k.links.ir(method)
        local = [h for o in openings.get(method, ()) if o.kind == ATTACH for h in o.holders]
        texts = aliases(function, {*holders, *local})
        for call in calls_in(k, method):
            if removes(k, method, call, texts, NO_TEXTS, 0):
                yield method, call


# Segments sent by name -----------------------------------------------------------------------------------------------


def _of_named(k: Knowledge, identity: str, openings: Openings) -> Iterator[EarlyUnlink]:
    function = k.links.ir(identity)
    for opening in openings.get(identity, ()):
        if opening.kind != CREATE or not opening.holders or opening.by_name:
            continue
        holders = aliases(function, opening.holders)
        names = name_texts(opening.name)
        calls = calls_in(k, identity)
        unlinks = frozenset(id(c) for c in calls if removes(k, identity, c, holders, names, 0))
        sent = _carriers(function, frozenset({*names, *(f"{holder}.name" for holder in holders)}))
        published = frozenset(id(c) for c in calls if unlinks and _hands_out(k, identity, c, holders, sent))
        if published:
            events = Events(k, unlinks, published)
            for state, site in unagreed_unlinks(events.forest, events.tree(identity, _DOWN - 1)):
                yield _early(state, site)


def _carriers(function: ir.Function, names: Texts) -> Texts:
    """The locals that hold the name, in a list or dictionary too: `box = [shm.name]`, `box[0] = shm.name`."""
    found = set(names)
    while True:
        before = len(found)
        for s in statements(function.body):
            if isinstance(s, ir.Assign) and s.value is not None and _holds(s.value, found):
                for target in s.targets:
                    held = target.value if isinstance(target, ir.Subscript) else target
                    if isinstance(held, ir.Name):
                        found.add(held.id)
        if len(found) == before:
            return frozenset(found)


def _holds(e: ir.Expr, names: set[str]) -> bool:
    """Whether one of the names is the value, or an item or alternative of it; what a call makes of one is no name."""
    match e:
        case ir.Name() | ir.Attribute():
            return handle_text(e) in names
        case ir.Collection():
            return any(_holds(item, names) for item in e.items)
        case ir.IfExp():
            return _holds(e.body, names) or _holds(e.orelse, names)
        case ir.NamedExpr() | ir.Starred():
            return _holds(e.value, names)
        case _:
            return False


def _hands_out(k: Knowledge, identity: str, call: ir.Call, holders: Texts, names: Texts) -> bool:
    target = meaning_of(k, identity, call).target
    started = starter_of(k.models, target.external, target.text) == "process"
    if not started and publishes(k.models, target.external, target.text, target.receiver_types) is None:
        return False
    return any(
        handle_text(part) in holders
        or (isinstance(part, ir.Name | ir.Attribute) and handle_text(part) in names)
        for argument in (*call.args, *[word.value for word in call.keywords])
        for part in walk(argument)
    )


def _early(state: State, unlink: Site) -> EarlyUnlink:
    calls = [site for kind, _, site in state.frames if kind == "call" and site is not None]
    depth = state.left_out[0] if state.left_out is not None else 0
    site = calls[depth] if depth < len(calls) else unlink
    published = tuple(sorted(site for _, site in state.pending))
    test = (state.left_out[1], state.left_out[2]) if state.left_out is not None else None
    return EarlyUnlink(site.function, site, unlink, published, test)

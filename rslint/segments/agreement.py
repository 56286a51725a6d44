"""Segments unlinked before every peer has opened them (RS301).

The source of a broadcast comes back when it has sent; its peers unpickle, and so open, afterwards. Between the
publication and the removal an agreement has to stand on every path: a barrier, a reduction, a gathering on the peers'
group, or the answer of the peer. A broadcast is none for its source.

Paths are walked over effect trees (`rslint.segments.events`), each with the outcomes of the conditions on it. A
condition that decides about the agreement alone is the author's word that nothing was published otherwise
(`if has_features(requests): barrier()`), and believed. One that had been asked before the publication, and came out
there as it must not for the agreement, is not: that path publishes, and unlinks without agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rslint.flow.forest import Forest, Site, child
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import meaning_of
from rslint.models.queries import refines, starter_of
from rslint.models.segment_queries import publishes
from rslint.project import ir
from rslint.project.text import walk
from rslint.segments.arguments import ATTACH, CREATE
from rslint.segments.charges import name_texts
from rslint.segments.events import AGREE, PUBLISH, UNLINK, Events, callers_of, calls_in
from rslint.segments.handling import NO_TEXTS, Texts, aliases, handle_text, removes
from rslint.segments.openings import Openings
from rslint.segments.unpickling import rebuildings

_UP = 4
_DOWN = 4
_MOST_STATES = 20_000

Frame = tuple[str, int, Site | None]
Assumed = frozenset[tuple[str, bool]]


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
            if _has(events.forest, tree, PUBLISH) and _has(events.forest, tree, UNLINK):
                both.add(identity)
                for early in _paths(events.forest, identity, tree):
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
        published = frozenset(id(c) for c in calls if unlinks and _hands_out(k, identity, c, holders, names))
        if published:
            events = Events(k, unlinks, published)
            yield from _paths(events.forest, identity, events.tree(identity, _DOWN - 1))


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


# Paths ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """A point of one path: the tree ahead, the calls and loops it stands in, what was published and not agreed, the
    outcomes of conditions, and where an agreement was left out although one was due."""

    tree: int
    frames: tuple[Frame, ...]
    pending: frozenset[tuple[str, Site]]
    assumed: Assumed
    left_out: tuple[int, str, bool] | None = None


def _paths(forest: Forest, root: str, tree: int) -> Iterator[EarlyUnlink]:
    """The removals that a path reaches with something published and not agreed."""
    agreeing: dict[int, bool] = {}
    stack = [_State(tree, (), frozenset(), frozenset())]
    seen: set[_State] = set()
    while stack and len(seen) < _MOST_STATES:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        node = forest.node(state.tree)
        kind = node[0]
        if kind == "collective" and node[1] == UNLINK and state.pending:
            yield _early(root, state, node[3])
            continue
        if kind == "if":
            stack += _choices(forest, agreeing, state)
            continue
        following = _following(forest, state)
        if following is not None:
            stack.append(following)


def _following(forest: Forest, state: _State) -> _State | None:
    """One step along a node that leaves no choice; None where the path ends."""
    node = forest.node(state.tree)
    match node[0]:
        case "collective":
            return _State(child(node, 4), state.frames, _after(state, node), state.assumed, state.left_out)
        case "call":
            site = node[3] if isinstance(node[3], Site) else None
            frame: Frame = ("call", child(node, 4), site)
            return _State(
                child(node, 2), (*state.frames, frame), state.pending, state.assumed, state.left_out
            )
        case "loop":
            loop: Frame = ("loop", child(node, 3), None)
            return _State(child(node, 2), (*state.frames, loop), state.pending, state.assumed, state.left_out)
        case "yield":
            return _State(child(node, 2), state.frames, state.pending, state.assumed, state.left_out)
        case "return" | "again" | "leave":
            wanted = "call" if node[0] == "return" else "loop"
            frames = list(state.frames)
            while frames:
                kind, after, _ = frames.pop()
                if kind == wanted:
                    return _State(after, tuple(frames), state.pending, state.assumed, state.left_out)
    return None


def _after(state: _State, node: tuple[object, ...]) -> frozenset[tuple[str, Site]]:
    operation, axis, site = str(node[1]), str(node[2]), node[3]
    assert isinstance(site, Site)
    if operation == PUBLISH:
        return state.pending | {(axis, site)}
    if operation == AGREE and any(covers(axis, published) for published, _ in state.pending):
        return frozenset()
    return state.pending


def covers(agreed: str, published: str) -> bool:
    """Whether an agreement on one group speaks for the peers of another: the same, a part of it, or nobody can tell."""
    return agreed in ("?", "world", published) or published == "?" or refines(published, agreed)


def _choices(forest: Forest, agreeing: dict[int, bool], state: _State) -> Iterator[_State]:
    node = forest.node(state.tree)
    key = str(node[1])
    arms = {True: child(node, 2), False: child(node, 3)}
    known = next((value for name, value in state.assumed if name == key), None)
    agrees = {value: _agrees_first(forest, arm, agreeing) for value, arm in arms.items()}
    for value, arm in arms.items():
        left_out = state.left_out
        if known is not None:
            if value != known:
                continue
            if state.pending and agrees[not value] and not agrees[value]:
                left_out = left_out or (len([f for f in state.frames if f[0] == "call"]), key, value)
        elif state.pending and agrees[not value] and not agrees[value]:
            continue  # the author asks whether there is something to agree on
        yield _State(arm, state.frames, state.pending, state.assumed | {(key, value)}, left_out)


def _agrees_first(forest: Forest, tree: int, known: dict[int, bool]) -> bool:
    """Whether some path of a tree comes to an agreement before it unlinks."""
    stack = [(tree, False)]
    while stack:
        current, done = stack.pop()
        if current in known and not done:
            continue
        node = forest.node(current)
        if node[0] == "collective" and node[1] in (AGREE, UNLINK):
            known[current] = node[1] == AGREE
            continue
        parts = _parts(node)
        if done:
            known[current] = any(known.get(part, False) for part in parts)
        elif parts:
            stack.append((current, True))
            stack += [(part, False) for part in parts]
        else:
            known[current] = False
    return known[tree]


def _parts(node: tuple[object, ...]) -> tuple[int, ...]:
    places = {"collective": (4,), "call": (2, 4), "if": (2, 3), "loop": (2, 3), "yield": (2,)}.get(
        str(node[0]), ()
    )
    return tuple(part for place in places if isinstance(part := node[place], int))


def _has(forest: Forest, tree: int, operation: str) -> bool:
    stack, seen = [tree], {tree}
    while stack:
        node = forest.node(stack.pop())
        if node[0] == "collective" and node[1] == operation:
            return True
        fresh = [part for part in _parts(node) if part not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def _early(root: str, state: _State, unlink: object) -> EarlyUnlink:
    assert isinstance(unlink, Site)
    calls = [site for kind, _, site in state.frames if kind == "call" and site is not None]
    depth = state.left_out[0] if state.left_out is not None else 0
    site = calls[depth] if depth < len(calls) else unlink
    published = tuple(sorted(site for _, site in state.pending))
    test = (state.left_out[1], state.left_out[2]) if state.left_out is not None else None
    return EarlyUnlink(site.function, site, unlink, published, test)

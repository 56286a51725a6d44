"""Paths over effect trees on which something published is unlinked with no agreement in between.

Each path carries the outcomes of the conditions on it, as far as they are asked again. A condition that decides about
the agreement alone is the author's word that nothing was published otherwise (`if has_features(requests): barrier()`),
and believed. One that had been asked before the publication, and came out there as it must not for the agreement, is
not: that path publishes, and unlinks without agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rslint.flow.forest import Forest, Site, child
from rslint.models.queries import refines
from rslint.segments.events import AGREE, PUBLISH, UNLINK

_MOST_STATES = 20_000

Frame = tuple[str, int, Site | None]
Assumed = frozenset[tuple[str, bool]]


@dataclass(frozen=True)
class State:
    """A point of one path: the tree ahead, the calls and loops it stands in, what was published and not agreed, the
    outcomes of conditions, and where an agreement was left out although one was due (calls deep, condition, outcome).
    """

    tree: int
    frames: tuple[Frame, ...] = ()
    pending: frozenset[tuple[str, Site]] = frozenset()
    assumed: Assumed = frozenset()
    left_out: tuple[int, str, bool] | None = None


@dataclass(frozen=True)
class _Known:
    """What has been found out about trees: whether an agreement comes first, and which conditions lie ahead."""

    forest: Forest
    agreeing: tuple[dict[int, bool], ...] = field(default_factory=lambda: ({}, {}))
    asked: dict[int, frozenset[str]] = field(default_factory=dict)


def unagreed_unlinks(forest: Forest, tree: int) -> Iterator[tuple[State, Site]]:
    """The removals that a path of a function reaches with something published and not agreed."""
    known = _Known(forest)
    stack = [State(tree)]
    seen: set[State] = set()
    while stack and len(seen) < _MOST_STATES:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        node = forest.node(state.tree)
        if node[0] == "collective" and node[1] == UNLINK and state.pending and isinstance(node[3], Site):
            yield state, node[3]
            continue
        if node[0] == "if":
            stack += _choices(known, state)
            continue
        following = _following(forest, state)
        if following is not None:
            stack.append(following)


def _following(forest: Forest, state: State) -> State | None:
    """One step along a node that leaves no choice; None where the path ends."""
    node = forest.node(state.tree)
    match node[0]:
        case "collective":
            return State(child(node, 4), state.frames, _after(state, node), state.assumed, state.left_out)
        case "call":
            site = node[3] if isinstance(node[3], Site) else None
            frame: Frame = ("call", child(node, 4), site)
            return State(child(node, 2), (*state.frames, frame), state.pending, state.assumed, state.left_out)
        case "loop":
            loop: Frame = ("loop", child(node, 3), None)
            return State(child(node, 2), (*state.frames, loop), state.pending, state.assumed, state.left_out)
        case "yield":
            return State(child(node, 2), state.frames, state.pending, state.assumed, state.left_out)
        case "return" | "again" | "leave":
            wanted = "call" if node[0] == "return" else "loop"
            frames = list(state.frames)
            while frames:
                kind, after, _ = frames.pop()
                if kind == wanted:
                    return State(after, tuple(frames), state.pending, state.assumed, state.left_out)
    return None


def _after(state: State, node: tuple[object, ...]) -> frozenset[tuple[str, Site]]:
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


def _choices(known: _Known, state: State) -> Iterator[State]:
    node = known.forest.node(state.tree)
    key = str(node[1])
    arms = {True: child(node, 2), False: child(node, 3)}
    came_out = next((value for name, value in state.assumed if name == key), None)
    agrees = dict.fromkeys(arms, False)
    if state.pending:
        agrees = {
            value: _agrees_first(known, _under(known.forest, arm, state.assumed | {(key, value)}))
            for value, arm in arms.items()
        }
    for value, arm in arms.items():
        left_out = state.left_out
        missing = agrees[not value] and not agrees[value]
        if came_out is None and missing:
            continue  # the author asks whether there is something to agree on
        if came_out is not None:
            if value != came_out:
                continue
            if missing and left_out is None:
                left_out = (sum(frame[0] == "call" for frame in state.frames), key, value)
        yield State(arm, state.frames, state.pending, _remembered(known, state, arm, key, value), left_out)


def _remembered(known: _Known, state: State, arm: int, key: str, value: bool) -> Assumed:
    """The outcomes that still matter: of conditions that are asked again ahead."""
    ahead = _asked(known, arm).union(*(_asked(known, after) for _, after, _ in state.frames))
    return frozenset(pair for pair in (*state.assumed, (key, value)) if pair[0] in ahead)


def _asked(known: _Known, tree: int) -> frozenset[str]:
    """The conditions in a tree."""
    if tree not in known.asked:
        found: set[str] = set()
        stack, seen = [tree], {tree}
        while stack:
            node = known.forest.node(stack.pop())
            if node[0] == "if":
                found.add(str(node[1]))
            fresh = [part for part in _parts(node) if part not in seen]
            seen.update(fresh)
            stack += fresh
        known.asked[tree] = frozenset(found)
    return known.asked[tree]


def _under(forest: Forest, tree: int, assumed: Assumed) -> int:
    """The tree as it is where the conditions have these outcomes."""
    for key, value in sorted(assumed):
        tree = forest.assume(tree, key, value)
    return tree


def _agrees_first(known: _Known, tree: int, calls: int = 1) -> bool:
    """Whether some path of a tree comes to an agreement before it unlinks, at most so many calls away: a condition
    around one that is farther away is about something else."""
    table = known.agreeing[calls]
    stack = [(tree, False)]
    while stack:
        current, done = stack.pop()
        if current in table and not done:
            continue
        node = known.forest.node(current)
        if node[0] == "collective" and node[1] in (AGREE, UNLINK):
            table[current] = node[1] == AGREE
            continue
        parts = _parts(node)
        if node[0] == "call":
            if calls > 0 and _agrees_first(known, parts[0], calls - 1):
                table[current] = True
                continue
            parts = parts[1:]
        if done:
            table[current] = any(table.get(part, False) for part in parts)
        elif parts:
            stack.append((current, True))
            stack += [(part, False) for part in parts]
        else:
            table[current] = False
    return table[tree]


def _parts(node: tuple[object, ...]) -> tuple[int, ...]:
    places = {"collective": (4,), "call": (2, 4), "if": (2, 3), "loop": (2, 3), "yield": (2,)}.get(
        str(node[0]), ()
    )
    return tuple(part for place in places if isinstance(part := node[place], int))


def does(forest: Forest, tree: int, operation: str) -> bool:
    """Whether an operation is anywhere in a tree."""
    stack, seen = [tree], {tree}
    while stack:
        node = forest.node(stack.pop())
        if node[0] == "collective" and node[1] == operation:
            return True
        fresh = [part for part in _parts(node) if part not in seen]
        seen.update(fresh)
        stack += fresh
    return False

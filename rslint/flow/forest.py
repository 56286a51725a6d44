"""Interned effect trees: everything a function may still do to process groups, from one point to its end.

The tree is computed backwards (see `rslint.flow.effects`) and kept structural, after PARCOACH's collective lists
(Huchant et al., "PARCOACH extension for static MPI nonblocking and persistent communication validation", 2020),
which it extends by choices, loops and exceptions. Nodes are tuples in one table, a tree is the index of its root, so
two trees are equal exactly when their indices are. Kinds of nodes:

    ("return",)                              the function ends normally
    ("raise",)                               the function ends with an exception
    ("nil",)                                 nothing on any group until the function ends (only in compared form)
    ("again", loop) ("leave", loop)          back to the loop's header; out of the loop by `break`
    ("collective", operation, axis, site, next)
    ("call", target, tree, site, next)       the callee's tree, not spliced
    ("if", key, true, false)                 `key` names the condition; equal keys are equal conditions
    ("loop", loop, body, next)
    ("yield", site, next, raised)            where a generator hands control out: afterwards, or if that raised
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from rslint.flow.order import in_order

RETURN, RAISE, NIL = 0, 1, 2


class Site(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A place in a function: rows from 1, columns in UTF-8 bytes from 0."""

    function: str
    row: int
    column: int
    end_row: int
    end_column: int


Node = tuple[str | int | Site | None, ...]


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One collective on the way: what, on which group axis, where, behind how many calls, on every path or not.
    `entry` is the call through which the function that looks ahead reaches it."""

    name: str
    axis: str
    site: Site
    hops: int
    certain: bool
    entry: Site


class Forest:
    """The table of interned nodes. Only ever grows; indices stay valid for its life."""

    def __init__(self) -> None:
        self._nodes: list[Node] = [("return",), ("raise",), ("nil",)]
        self._index: dict[Node, int] = {node: tree for tree, node in enumerate(self._nodes)}
        self._operational: list[bool] = [False, False, False]
        self._spliced: dict[tuple[int, int], dict[int, int]] = {}
        self._assumed: dict[tuple[str, bool], dict[int, int]] = {}

    def node(self, tree: int) -> Node:
        return self._nodes[tree]

    def make(self, node: Node) -> int:
        """The tree with this root; a choice between equal trees is that tree."""
        if node[0] == "if" and node[2] == node[3]:
            return child(node, 2)
        found = self._index.get(node)
        if found is None:
            found = self._index[node] = len(self._nodes)
            self._nodes.append(node)
            ahead = any(self._operational[following] for following in all_children(node))
            self._operational.append(ahead or node[0] in ("collective", "again"))
        return found

    def operational(self, tree: int) -> bool:
        """Whether any collective, or a jump back into a loop that has one, lies ahead."""
        return self._operational[tree]

    def splice(self, tree: int, after: int, raised: int) -> int:
        """The tree with `after` in place of its normal ends and `raised` in place of its exceptional ones."""
        if after == RETURN and raised == RAISE:
            return tree
        known = self._spliced.setdefault((after, raised), {RETURN: after, RAISE: raised})
        return self._rebuilt(tree, known)

    def assume(self, tree: int, key: str, value: bool) -> int:
        """The tree when the condition `key` is known to hold, or not to hold."""
        known = self._assumed.setdefault((key, value), {})
        position = 2 if value else 3

        def arms(current: int) -> tuple[int, ...]:
            node = self._nodes[current]
            return (child(node, position),) if _chooses(node, key) else children(node)

        def under(current: int) -> int:
            node = self._nodes[current]
            return known[child(node, position)] if _chooses(node, key) else self._remade(node, known)

        return in_order(tree, known, arms, under)

    def at_yield(self, tree: int, body: Callable[[int, int], int], after: int, raised: int) -> int:
        """A `with` around a generator's context: the tree with `body(next, raised)` in place of every yield, and with
        `after` and `raised` in place of the ends that it comes to before any."""
        known = {RETURN: after, RAISE: raised}
        stack = [tree]
        seen = set[int]()
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            node = self._nodes[current]
            if node[0] == "yield":
                known[current] = body(child(node, 2), child(node, 3))
            else:
                stack.extend(reversed(children(node)))
        return self._rebuilt(tree, known)

    def _rebuilt(self, tree: int, known: dict[int, int]) -> int:
        """The tree with what `known` has in place of its parts; what is rebuilt is noted there."""
        return in_order(
            tree,
            known,
            lambda current: children(self._nodes[current]),
            lambda current: self._remade(self._nodes[current], known),
        )

    def _remade(self, node: Node, known: dict[int, int]) -> int:
        following = children(node)
        return self.make((*node[: len(node) - len(following)], *[known[tree] for tree in following]))

    def encode(self, tree: int) -> list[Node]:
        """The nodes of one tree, children first, child indices local to the list; the root is the last."""
        order: list[int] = []
        seen: set[int] = set()
        stack: list[tuple[int, bool]] = [(tree, False)]
        while stack:
            current, done = stack.pop()
            if done:
                order.append(current)
            elif current not in seen:
                seen.add(current)
                stack.append((current, True))
                stack.extend((child, False) for child in reversed(all_children(self._nodes[current])))
        local = {current: position for position, current in enumerate(order)}
        return [_renumber(self._nodes[current], lambda child: local[child]) for current in order]

    def decode(self, nodes: list[Node]) -> int:
        """Intern an encoded tree; the inverse of `encode`."""
        trees: list[int] = []
        for node in nodes:
            trees.append(self.make(_renumber(node, lambda child: trees[child])))
        return trees[-1]


def _chooses(node: Node, key: str) -> bool:
    return node[0] == "if" and node[1] == key


def child(node: Node, position: int) -> int:
    """The tree that stands at this position of a node."""
    child = node[position]
    assert isinstance(child, int)
    return child


# Where the trees that follow stand: last in every node.
_CHILDREN = {
    "if": (2, 3),
    "loop": (2, 3),
    "yield": (2, 3),
    "collective": (4,),
    "call": (4,),
}


def children(node: Node) -> tuple[int, ...]:
    """What follows a node within its own function."""
    places = _CHILDREN.get(str(node[0]))
    return () if places is None else cast("tuple[int, ...]", node[places[0] :])


def all_children(node: Node) -> tuple[int, ...]:
    """What follows a node, and for a call also the callee's tree."""
    if node[0] == "call":
        return (child(node, 2), child(node, 4))
    return children(node)


def _renumber(node: Node, number: Callable[[int], int]) -> Node:
    positions = _CHILDREN.get(str(node[0]), ())
    if node[0] == "call":
        positions = (2, 4)
    return tuple(number(child(node, i)) if i in positions else part for i, part in enumerate(node))

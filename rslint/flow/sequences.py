"""Effect trees in the form in which two of them are compared, and as the sequence of operations a message shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rslint.flow.forest import NIL, Forest, Node, Operation, Site, all_children, child, children
from rslint.flow.order import in_order

Visible = Callable[[str], bool]


def everything(_: str) -> bool:
    """The view that sees the collectives of every axis."""
    return True


@dataclass
class Comparison:
    """Canonical forms under one view: collectives whose group axis is not `visible` are left out, sites and effect-free
    tails are forgotten, linear callees are spliced. Equal indices mean that the ranks stay in step."""

    forest: Forest
    visible: Visible
    _memo: dict[int, int] = field(default_factory=dict)

    def canonical(self, tree: int) -> int:
        return in_order(tree, self._memo, self._needed, self._canonical)

    def equal(self, left: int, right: int) -> bool:
        return self.canonical(left) == self.canonical(right)

    def _needed(self, tree: int) -> tuple[int, ...]:
        node = self.forest.node(tree)
        return (child(node, 2),) if node[0] == "yield" else all_children(node)

    def _canonical(self, tree: int) -> int:
        node = self.forest.node(tree)
        kind = node[0]
        if kind in ("return", "raise", "nil"):
            return NIL
        if kind in ("again", "leave"):
            return tree
        if kind == "yield":
            return self._memo[child(node, 2)]
        after = self._memo[child(node, -1)]
        if kind == "collective":
            if not self.visible(str(node[2])):
                return after
            return self.forest.make(("collective", node[1], node[2], None, after))
        first = self._memo[child(node, 2)]
        if kind == "call":
            return self._called(first, after)
        if kind == "loop" and not self._has_collective(first):
            return after
        return self.forest.make((kind, node[1], first, after))

    def _called(self, callee: int, after: int) -> int:
        """A callee that only runs collectives in a row is spliced: inlining it by hand changes nothing."""
        row: list[Node] = []
        current = callee
        while (node := self.forest.node(current))[0] == "collective":
            row.append(node)
            current = child(node, 4)
        if current != NIL:
            return self.forest.make(("call", None, callee, None, after))
        for node in reversed(row):
            after = self.forest.make((*node[:4], after))
        return after

    def _has_collective(self, tree: int) -> bool:
        stack, seen = [tree], set[int]()
        while stack:
            current = stack.pop()
            if current in seen:
                continue
            seen.add(current)
            node = self.forest.node(current)
            if node[0] in ("collective", "call"):
                return True
            stack.extend(children(node))
        return False


@dataclass
class Sequences:
    """What a rank executes from a point on, as a message shows it: at most `limit` operations. Where a choice lies
    ahead the arm with more operations is taken and marked uncertain; a jump back into a loop shows the loop's body
    once. Computed once per tree, so a long chain of choices costs its length."""

    forest: Forest
    visible: Visible
    loops: Mapping[str, tuple[int, int]]
    limit: int = 6
    _memo: dict[tuple[int, bool], tuple[Operation, ...]] = field(default_factory=dict)

    def of(self, tree: int, expand: bool = True) -> tuple[Operation, ...]:
        return in_order((tree, expand), self._memo, self._needed, lambda part: self._of(part)[: self.limit])

    def _needed(self, part: tuple[int, bool]) -> tuple[tuple[int, bool], ...]:
        """The parts of a tree, in order; within loops and callees a jump back is not followed."""
        tree, expand = part
        node = self.forest.node(tree)
        match node[0]:
            case "again":
                around = self.loops.get(str(node[1])) if expand else None
                return () if around is None else ((around[0], False), (around[1], False))
            case "if":
                return (child(node, 2), expand), (child(node, 3), expand)
            case "yield":
                return ((child(node, 2), expand),)
            case "loop" | "call":
                return (child(node, 2), False), (child(node, -1), expand)
            case "collective":
                return ((child(node, 4), expand),)
        return ()

    def _of(self, part: tuple[int, bool]) -> tuple[Operation, ...]:
        node = self.forest.node(part[0])
        kind, site = node[0], node[3] if len(node) > 3 else None
        parts = [self._memo[key] for key in self._needed(part)]
        if not parts:
            return ()
        if kind == "if":
            return self._choice(*parts)
        if kind in ("loop", "again"):
            return (*map(_uncertain, parts[0]), *parts[1])
        if kind == "call":
            assert isinstance(site, Site)
            return (
                *(Operation(o.name, o.axis, o.site, o.hops + 1, o.certain, site) for o in parts[0]),
                *parts[1],
            )
        if kind == "collective" and isinstance(site, Site) and self.visible(str(node[2])):
            return (Operation(str(node[1]), str(node[2]), site, 0, True, site), *parts[0])
        return parts[0]

    def _choice(self, true: tuple[Operation, ...], false: tuple[Operation, ...]) -> tuple[Operation, ...]:
        longer, shorter = (true, false) if len(true) >= len(false) else (false, true)
        shared = {operation.site for operation in shorter}
        return tuple(o if o.site in shared else _uncertain(o) for o in longer)


def _uncertain(o: Operation) -> Operation:
    return Operation(o.name, o.axis, o.site, o.hops, False, o.entry)

"""Effect trees in the form in which two of them are compared, and as the sequence of operations a message shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rslint.flow.forest import NIL, Forest, Operation, Site, child, children

Visible = Callable[[str], bool]


@dataclass
class Comparison:
    """Canonical forms under one view: collectives whose group axis is not `visible` are left out, sites and effect-free
    tails are forgotten, linear callees are spliced. Equal indices mean that the ranks stay in step."""

    forest: Forest
    visible: Visible
    _memo: dict[int, int] = field(default_factory=dict)
    _linear: dict[int, bool] = field(default_factory=dict)

    def canonical(self, tree: int) -> int:
        known = self._memo.get(tree)
        if known is None:
            known = self._memo[tree] = self._canonical(tree)
        return known

    def equal(self, left: int, right: int) -> bool:
        return self.canonical(left) == self.canonical(right)

    def _canonical(self, tree: int) -> int:
        node = self.forest.node(tree)
        kind = node[0]
        if kind in ("return", "raise", "nil"):
            return NIL
        if kind in ("again", "leave"):
            return tree
        after = self.canonical(child(node, -1))
        if kind == "collective":
            if not self.visible(str(node[2])):
                return after
            return self.forest.make(("collective", node[1], node[2], None, after))
        if kind == "call":
            callee = self.canonical(child(node, 2))
            if callee == NIL:
                return after
            if self._is_linear(callee):
                return self._append(callee, after)
            return self.forest.make(("call", None, callee, None, after))
        if kind == "yield":
            return self.canonical(child(node, 2))
        first = self.canonical(child(node, 2))
        if kind == "loop":
            return (
                after
                if not self._has_collective(first)
                else self.forest.make(("loop", node[1], first, after))
            )
        return self.forest.make(("if", node[1], first, after))

    def _is_linear(self, tree: int) -> bool:
        known = self._linear.get(tree)
        if known is None:
            node = self.forest.node(tree)
            known = tree == NIL or (node[0] == "collective" and self._is_linear(child(node, 4)))
            self._linear[tree] = known
        return known

    def _append(self, linear: int, after: int) -> int:
        if linear == NIL:
            return after
        node = self.forest.node(linear)
        return self.forest.make((*node[:4], self._append(child(node, 4), after)))

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
        key = (tree, expand)
        known = self._memo.get(key)
        if known is None:
            known = self._memo[key] = self._of(tree, expand)[: self.limit]
        return known

    def _of(self, tree: int, expand: bool) -> tuple[Operation, ...]:
        node = self.forest.node(tree)
        kind = node[0]
        if kind in ("return", "raise", "nil", "leave"):
            return ()
        if kind == "again":
            around = self.loops.get(str(node[1]))
            if around is None or not expand:
                return ()
            return (*(_uncertain(o) for o in self.of(around[0], False)), *self.of(around[1], False))
        if kind == "if":
            return self._choice(self.of(child(node, 2), expand), self.of(child(node, 3), expand))
        if kind == "yield":
            return self.of(child(node, 2), expand)
        if kind == "loop":
            turn = tuple(_uncertain(o) for o in self.of(child(node, 2), False))
            return (*turn, *self.of(child(node, 3), expand))
        following = self.of(child(node, 4), expand)
        if kind == "call":
            entry = node[3]
            assert isinstance(entry, Site)
            callee = tuple(
                Operation(o.name, o.axis, o.site, o.hops + 1, o.certain, entry)
                for o in self.of(child(node, 2), False)
            )
            return (*callee, *following)
        site = node[3]
        if not self.visible(str(node[2])) or not isinstance(site, Site):
            return following
        return (Operation(str(node[1]), str(node[2]), site, 0, True, site), *following)

    def _choice(self, true: tuple[Operation, ...], false: tuple[Operation, ...]) -> tuple[Operation, ...]:
        longer, shorter = (true, false) if len(true) >= len(false) else (false, true)
        shared = {operation.site for operation in shorter}
        return tuple(o if o.site in shared else _uncertain(o) for o in longer)


def _uncertain(o: Operation) -> Operation:
    return Operation(o.name, o.axis, o.site, o.hops, False, o.entry)

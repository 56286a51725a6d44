"""What one value of a rank means for every test of it against constants: `rank == 0` and `rank not in [-1, 0]`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rslint.flow.forest import Forest, all_children

_COMPARED = re.compile(r"(.+?) (==|<=|>=|<|>|in) (-?\d+|[\[({]-?\d+(?:, -?\d+)*,?[\])}])")
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_MOST = 16


@dataclass(frozen=True)
class _Case:
    """A condition key: an expression, an operator, constants."""

    key: str
    left: str
    operator: str
    constants: tuple[int, ...]

    def holds(self, value: int) -> bool:
        if self.operator == "in":
            return value in self.constants
        return COMPARE[self.operator](value, self.constants[0])


def by_rank(forest: Forest, tree: int, key: str) -> list[int]:
    """The trees for each value that a rank may have as far as the conditions of the tree tell values apart: every
    condition that compares the same expression with constants comes out as it does for that value. For another
    condition than such a comparison the two trees of its outcomes."""
    asked = _parsed(key)
    if asked is None:
        return [forest.assume(tree, key, outcome) for outcome in (True, False)]
    cases = [case for case in map(_parsed, _keys(forest, tree)) if case and case.left == asked.left]
    beyond = min(max(constant for case in (asked, *cases) for constant in case.constants) + 1, _MOST)
    trees = []
    for value in range(max(beyond, 1) + 1):
        supposed = forest.assume(tree, key, asked.holds(value))
        for case in cases:
            supposed = forest.assume(supposed, case.key, case.holds(value))
        trees.append(supposed)
    return trees


def _parsed(key: str) -> _Case | None:
    match = _COMPARED.fullmatch(key)
    if match is None:
        return None
    return _Case(key, match[1], match[2], tuple(map(int, re.findall(r"-?\d+", match[3]))))


def _keys(forest: Forest, tree: int) -> Iterable[str]:
    """The keys of all conditions in a tree, callees left out, in an order that the tree decides."""
    found: dict[str, None] = {}
    stack, seen = [tree], {tree}
    while stack:
        node = forest.node(stack.pop())
        if node[0] == "if":
            found.setdefault(str(node[1]))
        for child in all_children(node):
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return found

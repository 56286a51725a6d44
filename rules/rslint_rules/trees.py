"""The tree of a text that is to be repaired, where that may be walked safely: for the repairs of all families."""

from __future__ import annotations

import ast
import warnings

DEEPEST = 150
"""Expressions nested deeper than this are left alone: libcst overflows its stack on very deep ones."""


def parsed(text: str) -> ast.Module | None:
    """The module, or None if it cannot be parsed or nests deeper than `DEEPEST`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST:
            return None
        stack.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return tree

"""Values that rest on one another, computed without recursion: what lies ahead is as long as functions are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def in_order(
    wanted: K, known: dict[K, V], needed: Callable[[K], Iterable[K]], compute: Callable[[K], V]
) -> V:
    """The value of `wanted`: `compute` is asked once per key, when `known` holds all that the key needs.

    What is needed first is computed first, as recursion would. Keys must not need one another in a circle.
    """
    if wanted in known:
        return known[wanted]
    stack = [wanted]
    while stack:
        key = stack[-1]
        if key in known:
            stack.pop()
            continue
        missing = [other for other in needed(key) if other not in known]
        if missing:
            stack.extend(reversed(missing))
        else:
            stack.pop()
            known[key] = compute(key)
    return known[wanted]

"""The one solver of all data flow analyses over a control flow graph.

An analysis is a set of facts, a direction, a way to join (may: union; must: intersection) and a transfer
function. The result is the least solution above (must: the greatest below) the boundary when the transfer is
monotone. States only ever grow (must: shrink), so that over finitely many facts it ends even with a transfer
that is not monotone; the result is then sound for the order in which the nodes are numbered, and the same in
every run.

**Exceptions.** A statement that raises may have done all of its work or none: along an edge of kind
"exception" the states on both sides of the node are joined. The exit of a context and the end of a `finally`
have done their work.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rslint.flow.graph import Cfg, CfgNode, Edge, predecessors, successors

T = TypeVar("T")
Transfer = Callable[[CfgNode, frozenset[T]], frozenset[T]]
EdgeTransfer = Callable[[CfgNode, Edge, frozenset[T]], frozenset[T]]

_DONE_BEFORE_RAISING = ("with-exit", "unwind")


@dataclass(frozen=True)
class Solution(Generic[T]):
    """The facts in program order, by node: `before` it is executed and `after`, whatever the direction."""

    before: tuple[frozenset[T], ...]
    after: tuple[frozenset[T], ...]


def solve(
    cfg: Cfg,
    *,
    forward: bool,
    must: bool,
    boundary: frozenset[T],
    transfer: Transfer[T],
    edge_transfer: EdgeTransfer[T] | None = None,
    universe: frozenset[T] | None = None,
) -> Solution[T]:
    """Solve one analysis; `boundary` holds at the entry (backward: at both exits).

    `edge_transfer(node, edge, state)` refines the state that flows along an edge of `node` (on "true" and
    "false", say). Where no path of the analysis arrives (an exit that nothing reaches; going backward, an
    endless loop) a must analysis answers `universe`, or nothing if that is not given.
    """
    problem = _Problem(cfg, forward, must, boundary, transfer, edge_transfer)
    states = _iterate(problem, universe if must else frozenset())
    nothing = universe if must and universe is not None else frozenset[T]()
    arriving = tuple(nothing if state is None else state for state, _ in states)
    leaving = tuple(nothing if state is None else state for _, state in states)
    return Solution(arriving, leaving) if forward else Solution(leaving, arriving)


def solve_gen_kill(
    cfg: Cfg,
    *,
    forward: bool,
    must: bool,
    boundary: frozenset[T],
    gen_kill: Callable[[CfgNode], tuple[frozenset[T], frozenset[T]]],
    universe: frozenset[T] | None = None,
) -> Solution[T]:
    """`solve` for nodes that add the facts `gen` and remove `kill`, in that order of precedence."""
    effects = [gen_kill(node) for node in cfg.nodes]

    def transfer(node: CfgNode, state: frozenset[T]) -> frozenset[T]:
        gen, kill = effects[node.index]
        return (state - kill) | gen

    return solve(cfg, forward=forward, must=must, boundary=boundary, transfer=transfer, universe=universe)


@dataclass(frozen=True)
class _Problem(Generic[T]):
    cfg: Cfg
    forward: bool
    must: bool
    boundary: frozenset[T]
    transfer: Transfer[T]
    edge_transfer: EdgeTransfer[T] | None

    def join(self, left: frozenset[T] | None, right: frozenset[T] | None) -> frozenset[T] | None:
        """None stands for "no path yet", the neutral element."""
        if left is None or right is None:
            return right if left is None else left
        return left & right if self.must else left | right

    def refine(self, node: CfgNode, edge: Edge, state: frozenset[T] | None) -> frozenset[T] | None:
        if state is None or self.edge_transfer is None:
            return state
        return self.edge_transfer(node, edge, state)


_Pair = tuple[
    frozenset[T] | None, frozenset[T] | None
]  # arriving at and leaving a node, in the direction of solving


def _iterate(problem: _Problem[T], start: frozenset[T] | None) -> list[_Pair[T]]:
    """A work list that always takes the node that comes first in the direction of the analysis."""
    cfg = problem.cfg
    incoming = predecessors(successors(cfg))
    step = _forward if problem.forward else _backward
    states: list[_Pair[T]] = [(start, start) for _ in cfg.nodes]
    sign = 1 if problem.forward else -1
    queue = sorted(sign * node.index for node in cfg.nodes)
    waiting = set(queue)
    while queue:
        position = heapq.heappop(queue)
        waiting.discard(position)
        node = cfg.nodes[sign * position]
        state = step(problem, node, incoming[node.index], states)
        if state == states[node.index]:
            continue
        states[node.index] = state
        if problem.forward:
            following = [edge.target for edge in node.successors]
        else:
            following = [source for source, _ in incoming[node.index]]
        for index in following:
            if sign * index not in waiting:
                waiting.add(sign * index)
                heapq.heappush(queue, sign * index)
    return states


def _forward(
    problem: _Problem[T], node: CfgNode, incoming: tuple[tuple[int, Edge], ...], states: list[_Pair[T]]
) -> _Pair[T]:
    before, after = states[node.index]
    arriving = problem.boundary if node.index == problem.cfg.entry else before
    for index, edge in incoming:
        source = problem.cfg.nodes[index]
        flowing = states[index][1]
        if edge.kind == "exception" and source.kind not in _DONE_BEFORE_RAISING:
            flowing = problem.join(flowing, states[index][0])
        arriving = problem.join(arriving, problem.refine(source, edge, flowing))
    if arriving is None:
        return None, None
    return arriving, problem.join(after, problem.transfer(node, arriving))


def _backward(
    problem: _Problem[T], node: CfgNode, incoming: tuple[tuple[int, Edge], ...], states: list[_Pair[T]]
) -> _Pair[T]:
    after, before = states[node.index]
    ends = (problem.cfg.exit, problem.cfg.raise_exit)
    arriving = problem.boundary if node.index in ends else after
    interrupted: frozenset[T] | None = None
    for edge in node.successors:
        flowing = problem.refine(node, edge, states[edge.target][1])
        arriving = problem.join(arriving, flowing)
        if edge.kind == "exception" and node.kind not in _DONE_BEFORE_RAISING:
            interrupted = problem.join(interrupted, flowing)
    if arriving is None:
        return None, None
    leaving = problem.join(problem.transfer(node, arriving), interrupted)
    return arriving, problem.join(before, leaving)

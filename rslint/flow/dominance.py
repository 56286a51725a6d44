"""Dominance, post-dominance and control dependence of a control flow graph.

Sources: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm" (Rice University, 2001) for the trees;
Ferrante, Ottenstein, Warren, "The Program Dependence Graph and Its Use in Optimization" (TOPLAS 9(3), 1987)
for control dependence. With `exceptional=False` the edges to handlers and to the exceptional exit are left
out of nodes that can also go on normally (`rslint.flow.graph.successors`): otherwise everything behind a call
that may raise depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rslint.flow.graph import Cfg, EdgeKind, successors

Dependence = frozenset[tuple[int, EdgeKind]]


def dominators(cfg: Cfg, exceptional: bool = True) -> tuple[int | None, ...]:
    """The immediate dominator of every node; None for the entry and for what cannot be reached."""
    edges = [[edge.target for edge in outgoing] for outgoing in successors(cfg, exceptional)]
    return tuple(_immediate_dominators(edges, cfg.entry))


def post_dominators(cfg: Cfg, exceptional: bool = True) -> tuple[int | None, ...]:
    """The immediate post-dominator of every node; None where only the end of the function is.

    The end is a virtual node behind both exits. An infinite loop is connected to it too, by an edge from the
    first node of each loop that nothing leaves: the loop then counts as a way to end the function.
    """
    end = len(cfg.nodes)
    found = _immediate_dominators(_reversed(_ending(cfg, exceptional)), end)
    return tuple(None if index == end else index for index in found[:end])


def control_dependence(cfg: Cfg, exceptional: bool = True) -> tuple[Dependence, ...]:
    """For every node the (branch node, edge kind) pairs that decide directly whether it is executed.

    What stands in a loop that nothing leaves depends on the only edge of the loop's first node, by which it
    depends on what leads to the loop.
    """
    parents = post_dominators(cfg, exceptional)
    found: list[set[tuple[int, EdgeKind]]] = [set() for _ in cfg.nodes]
    for branch, outgoing in enumerate(successors(cfg, exceptional)):
        for edge in outgoing:
            node: int | None = edge.target
            while node is not None and node != parents[branch]:
                found[node].add((branch, edge.kind))
                node = parents[node]
    return tuple(frozenset(pairs) for pairs in found)


def controlling(cfg: Cfg, exceptional: bool = True) -> tuple[Dependence, ...]:
    """The transitive closure of `control_dependence`: all decisions that lead to a node."""
    direct = control_dependence(cfg, exceptional)
    closed: list[Dependence] = list(direct)
    changed = True
    while changed:
        changed = False
        for node, pairs in enumerate(direct):
            grown = closed[node].union(*(closed[branch] for branch, _ in pairs))
            if len(grown) > len(closed[node]):
                closed[node], changed = grown, True
    return tuple(closed)


def dominates(immediate: Sequence[int | None], above: int, below: int) -> bool:
    """Is `above` on the chain of (post-)dominators of `below`? Every node is on its own."""
    node: int | None = below
    while node is not None and node != above:
        node = immediate[node]
    return node is not None


def _ending(cfg: Cfg, exceptional: bool) -> list[list[int]]:
    """The successors with a virtual end behind them, which every node reaches."""
    end = len(cfg.nodes)
    edges = [[edge.target for edge in outgoing] for outgoing in successors(cfg, exceptional)]
    edges[cfg.exit], edges[cfg.raise_exit] = [end], [end]
    backwards = _reversed([*edges, []])
    ending = set(_post_order(backwards, end))
    endless = [node for node in range(end) if node not in ending]
    # Kosaraju: against the edges, what finishes last lies in a component that no edge leaves.
    finished = _post_order_of(backwards, endless, ending)
    for last in reversed(finished):
        if last not in ending:
            component = set(_post_order(edges, last)) & set(_post_order(backwards, last))
            edges[min(component)].append(end)
            ending |= set(_post_order(backwards, last))
    return [*edges, []]


def _immediate_dominators(edges: Sequence[Sequence[int]], root: int) -> list[int | None]:
    order = _post_order(edges, root)[::-1]
    rank = {node: position for position, node in enumerate(order)}
    backwards = _reversed(edges)
    found: list[int | None] = [None] * len(edges)
    found[root] = root
    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            known = [source for source in backwards[node] if found[source] is not None]
            best = known[0]
            for other in known[1:]:
                best = _meet(found, rank, best, other)
            if found[node] != best:
                found[node], changed = best, True
    found[root] = None
    return found


def _meet(found: Sequence[int | None], rank: dict[int, int], left: int, right: int) -> int:
    while left != right:
        if rank[left] < rank[right]:
            left, right = right, left
        above = found[left]
        assert above is not None
        left = above
    return left


def _reversed(edges: Sequence[Sequence[int]]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in edges]
    for source, targets in enumerate(edges):
        for target in targets:
            found[target].append(source)
    return found


def _post_order(edges: Sequence[Sequence[int]], root: int) -> list[int]:
    return _post_order_of(edges, [root], set())


def _post_order_of(edges: Sequence[Sequence[int]], roots: Sequence[int], excluded: set[int]) -> list[int]:
    """Depth first from each root in turn, `excluded` nodes left alone; children before their parents."""
    seen, finished = set(excluded), []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(edges[root]))]
        while stack:
            node, remaining = stack[-1]
            following = next((target for target in remaining if target not in seen), None)
            if following is None:
                finished.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(edges[following])))
    return finished


def raising_only(cfg: Cfg) -> frozenset[int]:
    """The nodes from which every path leaves the function by an exception."""
    edges = successors(cfg, exceptional=False)
    incoming = _reversed([[edge.target for edge in out] for out in edges])
    left = [len(out) for out in edges]
    found, pending = {cfg.raise_exit}, [cfg.raise_exit]
    while pending:
        for source in incoming[pending.pop()]:
            left[source] -= 1
            if left[source] == 0 and source not in found:
                found.add(source)
                pending.append(source)
    return frozenset(found)

"""A control flow graph under construction: nodes are added, open ends connected, unreachable nodes dropped at
last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rslint.flow.graph import Cfg, CfgNode, Clause, Edge, EdgeKind, NodeKind
from rslint.project import ir

End = tuple[int, EdgeKind]
Ends = list[End]  # edges whose target is not known yet; empty where control cannot arrive

ENTRY, EXIT, RAISE = 0, 1, 2


@dataclass(frozen=True)
class Semantics:
    """What the builder asks about the program (see `rslint.flow.cfg.build_cfg`)."""

    is_generator: bool
    raises: Callable[[ir.Node], tuple[str, ...]]
    swallows: Callable[[ir.WithItem], bool]
    catches: Callable[[ir.Expr | None, str], str]


@dataclass
class Draft:
    """The nodes made so far, as (kind, origin, clause), and their outgoing edges in order of creation."""

    semantics: Semantics
    nodes: list[tuple[NodeKind, ir.Node | None, Clause | None]] = field(
        default_factory=lambda: [("entry", None, None), ("exit", None, None), ("raise", None, None)]
    )
    edges: list[dict[Edge, None]] = field(default_factory=lambda: [{}, {}, {}])

    def add(
        self, kind: NodeKind, origin: ir.Node | None, ends: Iterable[End], clause: Clause | None = None
    ) -> int:
        self.nodes.append((kind, origin, clause))
        self.edges.append({})
        index = len(self.nodes) - 1
        self.connect(ends, index)
        return index

    def connect(self, ends: Iterable[End], target: int) -> None:
        for source, kind in ends:
            self.edges[source][Edge(target, kind)] = None

    def connect_back(self, ends: Iterable[End], header: int) -> None:
        self.connect([(source, "back" if kind == "next" else kind) for source, kind in ends], header)

    def freeze(self) -> Cfg:
        """Normal edges come before exceptional ones; the order of nodes is reverse post-order, the exits
        last."""
        outgoing = [sorted(edges, key=lambda edge: edge.kind == "exception") for edges in self.edges]
        order = [index for index in reverse_post_order(outgoing, ENTRY) if index not in (EXIT, RAISE)]
        order += [EXIT, RAISE]
        number = {old: new for new, old in enumerate(order)}
        nodes = []
        for new, old in enumerate(order):
            kind, origin, clause = self.nodes[old]
            edges = tuple(Edge(number[edge.target], edge.kind) for edge in outgoing[old])
            nodes.append(CfgNode(new, kind, origin, edges, clause))
        return Cfg(tuple(nodes), number[ENTRY], number[EXIT], number[RAISE])


def reverse_post_order(edges: Sequence[Sequence[Edge]], root: int) -> list[int]:
    """The nodes reachable from `root`; the first successor comes before the later ones where the graph
    allows."""
    seen, finished = {root}, []
    stack = [(root, iter(edges[root][::-1]))]
    while stack:
        node, remaining = stack[-1]
        for edge in remaining:
            if edge.target not in seen:
                seen.add(edge.target)
                stack.append((edge.target, iter(edges[edge.target][::-1])))
                break
        else:
            finished.append(node)
            stack.pop()
    return finished[::-1]

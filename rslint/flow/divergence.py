"""Which values of one function may differ between ranks, and why: a forward analysis over its control flow graph.

A fact is a name, a source and perhaps a choice. Assignments pass on the sources of their value; an assignment that
only some ranks execute adds the sources of the branches that control it, each with the choice (branch, edge) that led
there: where the same choice has been taken the ranks agree on the value, elsewhere it may differ (the φ of SSA form).
A collective that leaves the same value everywhere removes them. Sources are evidence: a call that is known to answer
per rank, a rank test, a container that is shown to be filled on some ranks only. Without evidence a value is uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.cfg import Cfg, CfgNode, Edge
from rslint.flow.changes import changes_of
from rslint.flow.choices import agreed_names, agreements, handler_sources, indifferent
from rslint.flow.marks import EVIDENCE, NONE, Choice, Sources, State, tested
from rslint.flow.reading import Answers, Reader
from rslint.flow.record import Evidence, Source, place_of
from rslint.flow.solver import solve
from rslint.project import ir


@dataclass(frozen=True)
class FunctionDivergence:
    """The result: sources of tests (by `id` of the expression), of statements that only some ranks execute (by `id`
    of the statement), of the value returned, and the evidence for attributes and globals that the function changes."""

    tests: dict[int, Sources]
    controls: dict[int, Sources]
    returns: Sources
    evidence: tuple[Evidence, ...]


def function_divergence(
    function: ir.Function,
    cfg: Cfg,
    control: tuple[frozenset[Choice], ...],
    answers: Answers,
    wanted: frozenset[str] | None = None,
    returns: bool = True,
) -> FunctionDivergence:
    """Solve until the sources of branches no longer change (at most four rounds; sources only grow).

    `control` are the choices that lead to each node. With `wanted`, only these names are followed, only tests that
    read them are answered, and evidence is not; without `returns` the value returned is not either.
    """
    agreed, alike = agreed_names(function, answers), indifferent(cfg, function)
    agreeing = agreements(cfg, answers)
    followed: dict[int, bool] = {}
    handlers = handler_sources(function, answers)
    branches: dict[int, Sources] = {}
    before: tuple[State, ...] = ()

    def reading(known: dict[int, Sources]) -> Reader:
        return Reader(function, answers, control, known, handlers, wanted, agreed, agreeing, alike, followed)

    def possible(node: CfgNode, edge: Edge, state: State) -> State:
        """A single rank has nobody to part from: what it alone does is not followed."""
        known = None if node.kind != "branch" else several.get(node.index)
        return frozenset() if known is not None and edge.kind == ("false" if known else "true") else state

    several = {
        node.index: answers.several(node.origin)
        for node in cfg.nodes
        if node.kind == "branch" and isinstance(node.origin, ir.Expr)
    }
    for _ in range(4):
        reader = reading(branches)
        before = solve(
            cfg,
            forward=True,
            must=False,
            boundary=frozenset(),
            transfer=reader.transfer,
            edge_transfer=possible,
        ).before
        found = {
            node.index: reader.tests(node.origin, reader.seen_from(node, before[node.index]))
            for node in cfg.nodes
            if node.kind in ("branch", "loop", "case") and node.origin is not None
        }
        if found == branches:
            break
        branches = found
    return _collect(cfg, before, reading(branches), returns)


def _collect(cfg: Cfg, before: tuple[State, ...], reader: Reader, with_returns: bool) -> FunctionDivergence:
    tests: dict[int, set[Source]] = {}
    controls: dict[int, set[Source]] = {}
    returns: set[Source] = set()
    evidence: dict[Evidence, None] = {}
    for node in cfg.nodes:
        if node.origin is None:
            continue
        state, control = reader.seen_from(node, before[node.index]), reader.controls(node)
        if node.kind in ("branch", "loop", "case"):
            tests.setdefault(id(node.origin), set()).update(reader.tests(node.origin, state))
        controls.setdefault(id(node.origin), set()).update(control)
        if isinstance(node.origin, ir.Return) and with_returns:
            returns |= _returned(reader, node.origin, state, control)
        if reader.wanted is not None:
            continue
        for item in changes_of(reader, node, state, control):
            evidence.setdefault(item)
    return FunctionDivergence(
        {key: frozenset(value) for key, value in tests.items()},
        {key: frozenset(value) for key, value in controls.items()},
        frozenset(returns),
        tuple(
            sorted(
                evidence,
                key=lambda item: (item.site, item.name, item.part, item.source.kind, place_of(item.source)),
            )
        ),
    )


def _returned(reader: Reader, s: ir.Return, state: State, control: Sources) -> Sources:
    if s.value is None:
        return NONE
    values = reader.values(s.value, state)
    simple = isinstance(s.value, ir.Constant | ir.Compare | ir.BoolOp | ir.UnaryOp)
    if simple:
        return frozenset(tested(source) for source in values) | control
    # An object built where the rank is known is not a predicate of the rank.
    return frozenset(s for s in values if s.kind != "rank") | frozenset(
        s for s in control if s.kind in EVIDENCE
    )

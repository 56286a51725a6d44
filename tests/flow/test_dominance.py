"""Dominance and control dependence of small programs, printed; and by their definitions on random ones."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given

from rslint.flow.cfg import Cfg, label, successors
from rslint.flow.dominance import control_dependence, controlling, dominates, dominators, post_dominators
from tests.flow.programs import graph, numbered, programs


def reached(edges: Sequence[Sequence[int]], start: int, without: int | None) -> set[int]:
    """The nodes on paths from `start` that avoid `without`."""
    found: set[int] = set()
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node != without and node not in found:
            found.add(node)
            waiting += edges[node]
    return found


def targets(cfg: Cfg, exceptional: bool = True) -> list[list[int]]:
    return [[edge.target for edge in outgoing] for outgoing in successors(cfg, exceptional)]


def decisions(cfg: Cfg, text: str, transitive: bool = False) -> list[str]:
    """What the node with this label depends on, without exceptional edges, as text."""
    pairs = (controlling if transitive else control_dependence)(cfg, exceptional=False)[numbered(cfg, text)]
    return [f"{label(cfg.nodes[branch])}: {kind}" for branch, kind in sorted(pairs)]


def test_dominators_of_a_diamond() -> None:
    cfg = graph("if a:\n    x = 1\nelse:\n    x = 2\ny = x")
    # 0 entry, 1 branch a, 2 x = 1, 3 x = 2, 4 y = x, 5 exit, 6 raise (unreachable)
    assert dominators(cfg) == (None, 0, 1, 1, 1, 4, None)
    assert post_dominators(cfg) == (1, 4, 4, 4, 5, None, None)
    assert [sorted(pairs) for pairs in control_dependence(cfg)] == [
        [],
        [],
        [(1, "true")],
        [(1, "false")],
        [],
        [],
        [],
    ]


def test_an_early_return_decides_what_follows() -> None:
    cfg = graph("if a:\n    return\nif b:\n    x = 1\ny = 2")
    assert decisions(cfg, "statement y = 2") == ["branch a: false"]
    assert decisions(cfg, "statement x = 1") == ["branch b: true"]
    assert decisions(cfg, "statement x = 1", transitive=True) == ["branch a: false", "branch b: true"]


def test_a_raise_decides_what_follows_and_a_call_that_may_raise_only_if_asked() -> None:
    cfg = graph("if a:\n    raise OSError\nio()\ny = 2")
    # 1 branch a, 2 raise OSError, 3 io(), 4 y = 2
    assert decisions(cfg, "statement y = 2") == ["branch a: false"]
    assert control_dependence(cfg)[4] == {(3, "next")}
    assert controlling(cfg)[4] == {(1, "false"), (3, "next")}


def test_each_operand_of_a_conjunction_decides() -> None:
    cfg = graph("if a and not b:\n    x = 1")
    assert decisions(cfg, "statement x = 1") == ["branch b: false"]
    assert decisions(cfg, "statement x = 1", transitive=True) == ["branch a: true", "branch b: false"]


def test_a_loop_decides_whether_it_goes_on() -> None:
    cfg = graph("for i in rows:\n    if i:\n        break\n    x = 1\ny = 2")
    assert decisions(cfg, "statement x = 1") == ["branch i: false"]
    assert decisions(cfg, "loop i in rows") == ["branch i: false"]
    assert decisions(cfg, "statement y = 2", transitive=True) == []


def test_finally_runs_whatever_the_body_decided() -> None:
    cfg = graph("try:\n    if a:\n        x = 1\nfinally:\n    y = 2")
    assert decisions(cfg, "statement y = 2") == []


def test_an_endless_loop_counts_as_an_end() -> None:
    cfg = graph("if a:\n    while True:\n        if b:\n            x = 1\ny = 2")
    # 0 entry, 1 branch a, 2 loop, 3 branch b, 4 x = 1, 5 y = 2, 6 exit, 7 raise
    assert post_dominators(cfg) == (1, None, None, 2, 2, 6, None, None)
    assert decisions(cfg, "statement y = 2") == ["branch a: false"]
    assert decisions(cfg, "statement x = 1") == ["branch b: true"]
    # The header stands for the choice to go round once more: without it `a` would not decide about the body.
    everything = ["branch a: true", "loop while True: next", "branch b: true"]
    assert decisions(cfg, "statement x = 1", transitive=True) == everything


@given(programs())
def test_dominators_agree_with_the_definition(body: str) -> None:
    """A dominates B when every path from the entry to B goes through A."""
    cfg = graph(body)
    edges, immediate = targets(cfg), dominators(cfg)
    reachable = reached(edges, cfg.entry, None)
    for above in reachable:
        others = reached(edges, cfg.entry, above)
        for below in reachable:
            assert dominates(immediate, above, below) == (below not in others)


@given(programs(loops=False))
def test_post_dominators_agree_with_the_definition(body: str) -> None:
    """A post-dominates B when every path from B to an exit goes through A."""
    cfg = graph(body)
    for exceptional in (True, False):
        edges, immediate = targets(cfg, exceptional), post_dominators(cfg, exceptional)
        exits = {cfg.exit, cfg.raise_exit}
        for above in range(len(cfg.nodes)):
            for below in range(len(cfg.nodes)):
                avoiding = reached(edges, below, above) & exits
                assert dominates(immediate, above, below) == (not avoiding)


@given(programs())
def test_the_end_of_an_endless_loop_leaves_other_post_dominators_alone(body: str) -> None:
    """Where an exit can be reached from every node, loops change nothing in the definition."""
    cfg = graph(body)
    edges, immediate = targets(cfg), post_dominators(cfg)
    exits = {cfg.exit, cfg.raise_exit}
    assume(all(reached(edges, node, None) & exits for node in range(len(cfg.nodes))))
    for above in range(len(cfg.nodes)):
        for below in range(len(cfg.nodes)):
            assert dominates(immediate, above, below) == (not reached(edges, below, above) & exits)


@given(programs())
def test_control_dependence_agrees_with_the_definition(body: str) -> None:
    """What depends on an edge post-dominates its target, and does not strictly post-dominate its source."""
    cfg = graph(body)
    immediate, found = post_dominators(cfg), control_dependence(cfg)
    for branch in cfg.nodes:
        for edge in branch.successors:
            for node in range(len(cfg.nodes)):
                strictly = node != branch.index and dominates(immediate, node, branch.index)
                expected = dominates(immediate, node, edge.target) and not strictly
                assert ((branch.index, edge.kind) in found[node]) >= expected
                if expected != ((branch.index, edge.kind) in found[node]):
                    # Two edges of one kind ("exception") share their pair.
                    assert sum(other.kind == edge.kind for other in branch.successors) > 1


@given(programs())
def test_the_closure_follows_decisions_to_their_own(body: str) -> None:
    cfg = graph(body)
    direct = control_dependence(cfg, exceptional=False)
    for node, closed in enumerate(controlling(cfg, exceptional=False)):
        expected, waiting = set(), list(direct[node])
        while waiting:
            pair = waiting.pop()
            if pair not in expected:
                expected.add(pair)
                waiting += direct[pair[0]]
        assert closed == expected

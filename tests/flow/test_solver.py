"""Data flow solutions of small programs, the sets beside the code, and by all paths of random ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import assume, given

from rslint.flow.cfg import Cfg, CfgNode, Edge, label
from rslint.flow.solver import Solution, solve, solve_gen_kill
from rslint.project import ir
from rslint.project.text import expressions, walk
from tests.flow.programs import graph, programs

NONE: frozenset[str] = frozenset()
NAMES = frozenset("xyz")


def assigned(node: CfgNode) -> tuple[frozenset[str], frozenset[str]]:
    """Gen and kill of "this name is assigned"."""
    origin = node.origin
    if node.kind == "statement" and isinstance(origin, ir.Assign | ir.Delete):
        names = frozenset(target.id for target in origin.targets if isinstance(target, ir.Name))
        return (names, NONE) if isinstance(origin, ir.Assign) else (NONE, names)
    return NONE, NONE


def live(node: CfgNode) -> tuple[frozenset[str], frozenset[str]]:
    """Gen and kill, backward, of "this name is read later"."""
    parts = expressions(node.origin) if node.kind == "statement" else ()  # type: ignore[arg-type]
    if node.kind == "branch":
        parts = (node.origin,)  # type: ignore[assignment]
    read = frozenset(inner.id for part in parts for inner in walk(part) if isinstance(inner, ir.Name))
    return read & NAMES, assigned(node)[0]


def table(cfg: Cfg, solution: Solution[str]) -> str:
    """One line for each statement: its text, the sets before and after it."""
    lines = []
    for node in cfg.nodes:
        if node.kind == "statement":
            before, after = (
                "{" + " ".join(sorted(s[node.index])) + "}" for s in (solution.before, solution.after)
            )
            lines.append(f"{label(node).removeprefix('statement ')}  {before} {after}")
    return "\n".join(lines)


def test_assigned_on_some_path_and_on_every_path() -> None:
    cfg = graph("if a:\n    x = 1\nelse:\n    y = 1\nz = 1")
    may = solve_gen_kill(cfg, forward=True, must=False, boundary=NONE, gen_kill=assigned)
    must = solve_gen_kill(cfg, forward=True, must=True, boundary=NONE, gen_kill=assigned)
    assert table(cfg, may) == "x = 1  {} {x}\ny = 1  {} {y}\nz = 1  {x y} {x y z}"
    assert table(cfg, must) == "x = 1  {} {x}\ny = 1  {} {y}\nz = 1  {} {z}"


def test_a_loop_may_run_never_and_its_facts_come_round() -> None:
    cfg = graph("while a:\n    y = 1\n    x = 1\nz = 1")
    may = solve_gen_kill(cfg, forward=True, must=False, boundary=NONE, gen_kill=assigned)
    must = solve_gen_kill(cfg, forward=True, must=True, boundary=NONE, gen_kill=assigned)
    assert table(cfg, may) == "y = 1  {x y} {x y}\nx = 1  {x y} {x y}\nz = 1  {x y} {x y z}"
    assert table(cfg, must) == "y = 1  {} {y}\nx = 1  {y} {x y}\nz = 1  {} {z}"


def test_backward_names_read_later() -> None:
    cfg = graph("x = 1\nif x:\n    return y\nx = 2\nz = x")
    solution = solve_gen_kill(cfg, forward=False, must=False, boundary=NONE, gen_kill=live)
    # before the first statement y is live (it may be returned), x is not
    assert table(cfg, solution) == "x = 1  {y} {x y}\nreturn y  {y} {}\nx = 2  {} {x}\nz = x  {x} {}"


def test_a_statement_that_raises_may_have_done_its_work_or_not() -> None:
    cfg = graph("try:\n    x = io()\nexcept OSError:\n    y = 1\nz = 1")
    may = solve_gen_kill(cfg, forward=True, must=False, boundary=NONE, gen_kill=assigned)
    must = solve_gen_kill(cfg, forward=True, must=True, boundary=NONE, gen_kill=assigned)
    assert table(cfg, may) == "x = io()  {} {x}\ny = 1  {x} {x y}\nz = 1  {x y} {x y z}"
    assert table(cfg, must) == "x = io()  {} {x}\ny = 1  {} {y}\nz = 1  {} {z}"


def held(node: CfgNode) -> tuple[frozenset[str], frozenset[str]]:
    lock = frozenset({"lock"})
    return (lock if node.kind == "with" else NONE), (lock if node.kind == "with-exit" else NONE)


@pytest.mark.parametrize("must", [True, False])
def test_a_lock_is_held_in_the_body_and_on_no_way_out(must: bool) -> None:
    cfg = graph("try:\n    with lock:\n        x = io()\nexcept OSError:\n    y = 1\nz = 1")
    solution = solve_gen_kill(cfg, forward=True, must=must, boundary=NONE, gen_kill=held)
    assert table(cfg, solution) == "x = io()  {lock} {lock}\ny = 1  {} {}\nz = 1  {} {}"


def test_an_edge_may_refine_the_state() -> None:
    def refine(node: CfgNode, edge: Edge, state: frozenset[str]) -> frozenset[str]:
        return state | {label(node) + "=" + edge.kind} if node.kind == "branch" else state

    cfg = graph("if a:\n    x = 1\nelse:\n    x = 2\ny = 1")
    solution = solve(
        cfg, forward=True, must=False, boundary=NONE, transfer=lambda node, state: state, edge_transfer=refine
    )
    assert [sorted(solution.before[i]) for i in (2, 3, 4)] == [
        ["branch a=true"],
        ["branch a=false"],
        ["branch a=false", "branch a=true"],
    ]


def test_where_no_path_arrives_a_must_analysis_gives_the_universe_or_nothing() -> None:
    cfg = graph("while True:\n    x = 1")
    for universe, expected in ((NAMES, NAMES), (None, NONE)):
        solution = solve_gen_kill(
            cfg, forward=True, must=True, boundary=NONE, gen_kill=assigned, universe=universe
        )
        assert solution.before[cfg.exit] == expected
        assert table(cfg, solution) == "x = 1  {} {x}"


def test_it_ends_with_a_transfer_that_is_not_monotone() -> None:
    def toggle(node: CfgNode, state: frozenset[str]) -> frozenset[str]:
        return state ^ {"x"} if node.kind == "statement" else state

    cfg = graph("while a:\n    x = 1")
    assert (
        table(cfg, solve(cfg, forward=True, must=False, boundary=NONE, transfer=toggle)) == "x = 1  {x} {x}"
    )


def paths(cfg: Cfg, start: int) -> Iterator[list[tuple[int, Edge | None]]]:
    """All paths from a node to an exit, as (node, edge taken) pairs."""
    if not cfg.nodes[start].successors:
        yield [(start, None)]
    for edge in cfg.nodes[start].successors:
        for rest in paths(cfg, edge.target):
            yield [(start, edge), *rest]


def along(cfg: Cfg, path: list[tuple[int, Edge | None]]) -> Iterator[tuple[int, frozenset[str]]]:
    """The states before the nodes of one path; both states of a statement that raises are followed."""
    states = {NONE}
    for index, edge in path:
        for state in states:
            yield index, state
        gen, kill = assigned(cfg.nodes[index])
        after = {(state - kill) | gen for state in states}
        interrupted = edge is not None and edge.kind == "exception" and cfg.nodes[index].kind == "statement"
        states = after | states if interrupted else after


@given(programs(loops=False))
def test_the_solution_is_the_join_over_all_paths(body: str) -> None:
    cfg = graph(body)
    every = list(islice(paths(cfg, cfg.entry), 2000))
    assume(len(every) < 2000)
    seen: dict[int, set[frozenset[str]]] = {}
    for path in every:
        for index, state in along(cfg, path):
            seen.setdefault(index, set()).add(state)
    may = solve_gen_kill(cfg, forward=True, must=False, boundary=NONE, gen_kill=assigned)
    must = solve_gen_kill(cfg, forward=True, must=True, boundary=NONE, gen_kill=assigned)
    for index, states in seen.items():
        assert may.before[index] == frozenset.union(*states)
        assert must.before[index] == frozenset.intersection(*states)


@given(programs(loops=False))
def test_backward_is_forward_on_the_paths_reversed(body: str) -> None:
    """A name is live before a node when some path reads it before it surely assigns it."""
    cfg = graph(body)
    solution = solve_gen_kill(cfg, forward=False, must=False, boundary=NONE, gen_kill=live)
    for start in range(len(cfg.nodes)):
        found: set[str] = set()
        for count, path in enumerate(paths(cfg, start)):
            assume(count < 500)
            overwritten: set[str] = set()
            for index, edge in path:
                gen, kill = live(cfg.nodes[index])
                found |= gen - overwritten
                if edge is None or edge.kind != "exception":
                    overwritten |= kill
        assert solution.before[start] == found

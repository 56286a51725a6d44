"""Control flow graphs of small programs, printed; and what holds for the graph of every program.

The text of an expectation has one line for each node: number, kind, source, edges (plain numbers: "next").
"""

from __future__ import annotations

import re
import textwrap

import msgspec
import pytest
from hypothesis import given

from rslint.flow.cfg import Cfg, build_cfg, label, successors
from rslint.flow.draft import reverse_post_order
from rslint.project import ir
from tests.flow.programs import function, graph, programs, raises, rendered


def assert_graph(body: str, expected: str) -> None:
    assert textwrap.dedent(rendered(body)).strip() == textwrap.dedent(expected).strip()


def test_every_operand_of_a_test_is_a_branch_and_not_swaps_its_edges() -> None:
    assert_graph(
        """
        if a and not b:
            x = 1
        elif c or d:
            x = 2
        else:
            x = 3
        return x
        """,
        """
        0: entry -> 1
        1: branch a -> true 2, false 4
        2: branch b -> false 3, true 4
        3: statement x = 1 -> 8
        4: branch c -> false 5, true 7
        5: branch d -> true 7, false 6
        6: statement x = 3 -> 8
        7: statement x = 2 -> 8
        8: statement return x -> 9
        9: exit
        10: raise
        """,
    )


def test_conditional_parts_of_expressions_are_nodes_only_where_they_do_something() -> None:
    assert_graph(
        """
        x = a and b
        y = a and f()
        z = g() if a else 0
        w = f() or b
        """,
        """
        0: entry -> 1
        1: statement x = a and b -> 2
        2: branch a -> true 3, false 4
        3: expression f() -> 4
        4: statement y = a and f() -> 5
        5: branch a -> true 6, false 7
        6: expression g() -> 7
        7: statement z = g() if a else 0 -> 8
        8: statement w = f() or b -> 9
        9: exit
        10: raise
        """,
    )


def test_a_comprehension_with_calls_is_a_loop() -> None:
    assert_graph(
        """
        x = [f(i) for row in rows for i in row if i]
        y = [i.name for i in rows]
        """,
        """
        0: entry -> 1
        1: iterate row in rows -> 2
        2: loop row in rows -> true 3, false 7
        3: iterate i in row -> 4
        4: loop i in row -> false 2, true 5
        5: branch i -> false 4, true 6
        6: expression f(i) -> back 4
        7: statement x = <comprehension 2:8> -> 8
        8: statement y = <comprehension 3:8> -> 9
        9: exit
        10: raise
        """,
    )


def test_break_leaves_a_loop_past_its_else() -> None:
    assert_graph(
        """
        for i in rows():
            if i:
                continue
            break
        else:
            x = 1
        while x:
            x = 2
        """,
        """
        0: entry -> 1
        1: iterate i in rows() -> 2
        2: loop i in rows() -> true 3, false 6
        3: branch i -> true 4, false 5
        4: statement continue -> back 2
        5: statement break -> 7
        6: statement x = 1 -> 7
        7: loop while x -> 8
        8: branch x -> true 9, false 10
        9: statement x = 2 -> back 7
        10: exit
        11: raise
        """,
    )


def test_a_literal_test_has_one_way_on_and_an_endless_loop_reaches_no_exit() -> None:
    assert_graph(
        """
        if 0:
            f()
        while not None:
            if a and True:
                wait()
        return x
        """,
        """
        0: entry -> 1
        1: loop while not None -> 2
        2: branch a -> true 3, false 1
        3: statement wait() -> back 1
        4: exit
        5: raise
        """,
    )


def test_an_exception_reaches_the_first_handler_that_surely_stops_it() -> None:
    assert_graph(
        """
        try:
            rpc()
            lookup()
        except queue.Empty:
            x = 0
        except OSError:
            x = 1
        except KeyError:
            x = 2
        else:
            x = 3
        """,
        # `except queue.Empty` stops neither and is not reached.
        """
        0: entry -> 1
        1: statement rpc() -> 2, exception 6
        2: statement lookup() -> 3, exception 4
        3: statement x = 3 -> 8
        4: handler KeyError -> 5
        5: statement x = 2 -> 8
        6: handler OSError -> 7
        7: statement x = 1 -> 8
        8: exit
        9: raise
        """,
    )


def test_an_exception_of_unknown_type_may_pass_a_narrow_handler() -> None:
    assert_graph(
        """
        try:
            anything()
        except OSError:
            x = 1
        """,
        """
        0: entry -> 1
        1: statement anything() -> 4, exception 2, exception 5
        2: handler OSError -> 3
        3: statement x = 1 -> 4
        4: exit
        5: raise
        """,
    )


def test_finally_is_copied_for_every_way_of_leaving() -> None:
    assert_graph(
        """
        for i in rows:
            try:
                if i:
                    break
                if b:
                    continue
                if c:
                    return i
                io()
            finally:
                close()
        return 0
        """,
        """
        0: entry -> 1
        1: iterate i in rows -> 2
        2: loop i in rows -> true 3, false 21
        3: branch i -> true 4, false 7
        4: statement break -> 5
        5: finally -> 6
        6: statement close() -> 21
        7: branch b -> true 8, false 11
        8: statement continue -> 9
        9: finally -> 10
        10: statement close() -> back 2
        11: branch c -> true 12, false 15
        12: statement return i -> 13
        13: finally -> 14
        14: statement close() -> 22
        15: statement io() -> 16, exception 18
        16: finally -> 17
        17: statement close() -> back 2
        18: finally -> 19
        19: statement close() -> 20
        20: unwind -> exception 23
        21: statement return 0 -> 22
        22: exit
        23: raise
        """,
    )


def test_a_return_in_finally_ends_the_exception() -> None:
    assert_graph(
        """
        try:
            io()
        finally:
            return 1
        """,
        """
        0: entry -> 1
        1: statement io() -> 2, exception 4
        2: finally -> 3
        3: statement return 1 -> 6
        4: finally -> 5
        5: statement return 1 -> 6
        6: exit
        7: raise
        """,
    )


def test_an_exception_in_a_handler_passes_finally_and_not_the_handlers_beside_it() -> None:
    assert_graph(
        """
        try:
            io()
        except OSError:
            lookup()
        except KeyError:
            x = 1
        finally:
            close()
        """,
        """
        0: entry -> 1
        1: statement io() -> 4, exception 2
        2: handler OSError -> 3
        3: statement lookup() -> 4, exception 6
        4: finally -> 5
        5: statement close() -> 9
        6: finally -> 7
        7: statement close() -> 8
        8: unwind -> exception 10
        9: exit
        10: raise
        """,
    )


def test_contexts_are_left_in_reverse_order_and_may_swallow() -> None:
    assert_graph(
        """
        with lock, suppress(OSError):
            rpc()
        return 1
        """,
        """
        0: entry -> 1
        1: with lock -> 2
        2: with suppress(OSError) -> 3
        3: statement rpc() -> 4, exception 5
        4: with-exit suppress(OSError) -> 6
        5: with-exit suppress(OSError) -> 6, exception 8
        6: with-exit lock -> 7
        7: statement return 1 -> 9
        8: with-exit lock -> exception 10
        9: exit
        10: raise
        """,
    )


def test_entering_a_context_may_raise_before_it_is_entered() -> None:
    assert_graph(
        """
        with io() as f:
            return 1
        """,
        """
        0: entry -> 1
        1: with io() -> 2, exception 5
        2: statement return 1 -> 3
        3: with-exit io() -> 4
        4: exit
        5: raise
        """,
    )


def test_a_bare_raise_raises_what_reached_its_handler() -> None:
    assert_graph(
        """
        try:
            try:
                either()
            except (KeyError, OSError) as error:
                if a:
                    raise
                raise error
        except KeyError:
            x = 1
        """,
        # Both raise KeyError or OSError again: the outer handler stops one of them.
        """
        0: entry -> 1
        1: statement either() -> 8, exception 2
        2: handler (KeyError, OSError) -> 3
        3: branch a -> true 4, false 5
        4: statement raise -> exception 6, exception 9
        5: statement raise error -> exception 6, exception 9
        6: handler KeyError -> 7
        7: statement x = 1 -> 8
        8: exit
        9: raise
        """,
    )


def test_cases_are_tried_in_turn() -> None:
    assert_graph(
        """
        match kind():
            case 1 if a:
                x = 1
            case "b" | "c":
                x = 2
            case other:
                x = 3
        """,
        """
        0: entry -> 1
        1: statement match kind() -> 2
        2: case 1 -> true 3, false 5
        3: branch a -> true 4, false 5
        4: statement x = 1 -> 9
        5: case 'b', 'c' -> true 6, false 7
        6: statement x = 2 -> 9
        7: case other -> true 8
        8: statement x = 3 -> 9
        9: exit
        10: raise
        """,
    )


def test_nested_functions_and_lambdas_are_not_entered() -> None:
    assert_graph(
        """
        def g():
            io()
        h = lambda: io()
        """,
        """
        0: entry -> 1
        1: statement def g -> 2
        2: statement h = lambda : io() -> 3
        3: exit
        4: raise
        """,
    )


def test_what_is_thrown_into_a_generator_is_raised_at_its_yield() -> None:
    def thrown(node: ir.Node) -> tuple[str, ...]:
        return ("OSError",) if isinstance(node, ir.Yield) else ()

    body = "try:\n    x = yield 1\nfinally:\n    close()\n"
    cfg = graph(body, thrown)
    exceptional = [label(node) for node in cfg.nodes if any(e.kind == "exception" for e in node.successors)]
    assert exceptional == ["statement x = <yield 3:12>", "unwind"]


def test_origins_are_the_very_nodes_of_the_function() -> None:
    f = function("if a and f():\n    x = 1\n")
    assert isinstance(f.body[0], ir.If)
    assert isinstance(f.body[0].test, ir.BoolOp)
    cfg = _graph_of(f)
    branches = [node.origin for node in cfg.nodes if node.kind == "branch"]
    assert all(one is other for one, other in zip(branches, f.body[0].test.values, strict=True))
    assert cfg.nodes[3].origin is f.body[0].body[0]


def test_a_chain_of_elif_longer_than_the_recursion_limit() -> None:
    tail: tuple[ir.Stmt, ...] = ()
    (statement,) = function("if a:\n    x = 1\n").body
    assert isinstance(statement, ir.If)
    for _ in range(5000):
        tail = (ir.If(statement.span, statement.test, statement.body, tail),)
    cfg = _graph_of(msgspec.structs.replace(function("pass"), body=tail))
    assert sum(node.kind == "branch" for node in cfg.nodes) == 5000


def _graph_of(f: ir.Function) -> Cfg:
    return build_cfg(f, raises, lambda item: False, lambda types, exception: "no")


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("io()", []),  # may go on normally
        ("if a:\n    raise OSError", ["statement raise OSError"]),
        ("try:\n    io()\nfinally:\n    x = 1", ["unwind"]),
    ],
)
def test_without_exceptional_edges_only_what_always_raises_keeps_them(body: str, kept: list[str]) -> None:
    cfg = graph(body)
    edges = successors(cfg, exceptional=False)
    assert [label(n) for n in cfg.nodes if any(e.kind == "exception" for e in edges[n.index])] == kept


@given(programs())
def test_every_graph_is_well_formed(body: str) -> None:
    cfg = graph(body)
    reachable = set(reverse_post_order([node.successors for node in cfg.nodes], cfg.entry))
    assert [node.index for node in cfg.nodes] == list(range(len(cfg.nodes)))
    assert {cfg.exit, cfg.raise_exit} == {len(cfg.nodes) - 2, len(cfg.nodes) - 1}
    for node in cfg.nodes:
        is_end = node.index in (cfg.exit, cfg.raise_exit)
        assert is_end or node.index in reachable
        assert is_end == (not node.successors)
        kinds = [edge.kind for edge in node.successors if edge.kind != "exception"]
        if node.kind == "branch":
            assert sorted(kinds) in (["false", "true"], ["true"], ["false"])
        elif node.kind not in ("loop", "case", "with-exit"):
            assert len(kinds) <= 1


@given(programs())
def test_building_twice_gives_the_same_graph(body: str) -> None:
    assert rendered(body) == rendered(body)


@given(programs(loops=False))
def test_without_loops_all_edges_lead_forward(body: str) -> None:
    cfg = graph(body)
    exits = (cfg.exit, cfg.raise_exit)
    for node in cfg.nodes:
        assert all(edge.target > node.index for edge in node.successors if edge.target not in exits)
    assert not re.search(r"\bback\b", rendered(body))

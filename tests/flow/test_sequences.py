"""When two trees keep ranks in step, seen by the groups concerned; and the operations that a message shows."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings

from rslint.flow.forest import NIL, Forest, Operation, Site
from rslint.flow.knowledge import Knowledge
from rslint.flow.sequences import Comparison, Sequences
from tests.flow.trees import Tree, assert_under, interned, known, random_trees, shown


def everything(_: str) -> bool:
    return True


def tensor_groups(axis: str) -> bool:
    return axis in ("tp", "world")


def compared(k: Knowledge, left: str, right: str, visible: object = everything) -> bool:
    assert callable(visible)
    return Comparison(k.forest, visible).equal(k.effects.get(f"m:{left}", 0), k.effects.get(f"m:{right}", 0))


def text_of(operations: tuple[Operation, ...]) -> str:
    """`*` marks what runs on some paths only, `+n` what lies behind n calls."""
    return ", ".join(
        f"{o.name}:{o.site.row}{'' if o.certain else '*'}{f'+{o.hops}' if o.hops else ''}" for o in operations
    )


def ahead(k: Knowledge, identity: str) -> str:
    return text_of(Sequences(k.forest, everything, k.loops).of(k.effects[identity])) or "nothing"


def test_places_calls_and_ends_do_not_matter_but_operations_groups_and_order_do(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        def two(x):
            dist.all_reduce(x)
            dist.barrier()

        def raising(x):
            dist.all_reduce(x)
            dist.barrier()
            raise ValueError

        def helped(x):
            reduced(x)
            dist.barrier()

        def reduced(x):
            dist.all_reduce(x)

        def swapped(x):
            dist.barrier()
            dist.all_reduce(x)

        def longer(x):
            dist.all_reduce(x)
            dist.barrier()
            dist.barrier()

        def grouped(x, tp_group):
            dist.all_reduce(x, group=tp_group)
            dist.barrier()

        def nothing(x):
            return x
        """,
    )
    for same in ("two", "raising", "helped"):
        assert compared(k, "two", same), same
    for other in ("swapped", "longer", "grouped", "nothing"):
        assert not compared(k, "two", other), other


def test_choices_are_equal_if_their_conditions_and_arms_are(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        def guarded(x, a):
            if a:
                dist.barrier()

        def negated(x, a):
            if not a:
                return
            dist.barrier()

        def inverted(x, a):
            if not a:
                dist.barrier()

        def another(x, b):
            if b:
                dist.barrier()
        """,
    )
    assert compared(k, "guarded", "negated")
    assert not compared(k, "guarded", "inverted")
    assert not compared(k, "guarded", "another")


def test_collectives_of_groups_that_are_not_concerned_are_left_out(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        def both(x, tp_group, pp_group):
            dist.all_reduce(x, group=tp_group)
            dist.broadcast(x, 0, group=pp_group)

        def tensor(x, tp_group):
            dist.all_reduce(x, group=tp_group)

        def pipeline(x, pp_group):
            for item in x:
                dist.broadcast(item, 0, group=pp_group)

        def guarded(x, a, pp_group, tp_group):
            if a:
                dist.broadcast(x, 0, group=pp_group)
            dist.all_reduce(x, group=tp_group)

        def nothing(x):
            return x
        """,
    )
    assert not compared(k, "both", "tensor")
    assert compared(k, "both", "tensor", tensor_groups)
    assert compared(k, "guarded", "tensor", tensor_groups)
    assert compared(k, "pipeline", "nothing", tensor_groups)
    assert not compared(k, "tensor", "nothing", tensor_groups)


def test_the_sequence_is_in_order_and_counts_the_calls_in_between(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def deepest(x):
            #| all_reduce:5
            dist.all_reduce(x)

        def deeper(x):
            #| all_reduce:5+1, barrier:10
            deepest(x)
            dist.barrier()

        def top(x):
            #| broadcast:14, all_reduce:5+2, barrier:10+1
            dist.broadcast(x, 0)
            deeper(x)
        """,
        ahead,
    )


def test_operations_on_some_paths_only_are_uncertain(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def optional(x, a):
            #| barrier:6*, all_reduce:7
            if a:
                dist.barrier()
            dist.all_reduce(x)

        def either(x, a):
            #| all_reduce:14*, broadcast:15*, barrier:16
            if a:
                dist.barrier()
            else:
                dist.all_reduce(x)
                dist.broadcast(x, 0)
            dist.barrier()

        def maybe_later(x, a):
            #| barrier:6*+1, all_reduce:7+1
            optional(x, a)

        def repeated(items):
            #| all_reduce:25*, barrier:26
            for item in items:
                dist.all_reduce(item)
            dist.barrier()
        """,
        ahead,
    )


def test_a_sequence_is_at_most_six_operations_long(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def long(x):
            #| barrier:5, barrier:6, barrier:7, barrier:8, barrier:9, barrier:10
            dist.barrier()
            dist.barrier()
            dist.barrier()
            dist.barrier()
            dist.barrier()
            dist.barrier()
            dist.barrier()
            dist.barrier()
        """,
        ahead,
    )


def test_the_entry_is_the_call_in_the_function_that_looks_ahead(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        def helper(x):
            dist.all_reduce(x)

        def outer(x):
            helper(x)
        """,
    )
    (operation,) = Sequences(k.forest, everything, k.loops).of(k.effects["m:outer"])
    assert operation.site == Site("m:helper", 4, 4, 4, 22)
    assert operation.entry == Site("m:outer", 7, 4, 7, 13)


def test_going_round_a_loop_shows_its_body_once() -> None:
    forest = Forest()
    again = ("again", "m:f:1:0")
    body = interned(forest, ("collective", "barrier", "world", Site("m:f", 2, 0, 2, 9), again))
    sequences = Sequences(forest, everything, {"m:f:1:0": (body, NIL)})
    assert text_of(sequences.of(interned(forest, again))) == "barrier:2*"
    assert text_of(sequences.of(interned(forest, again), expand=False)) == ""


def test_a_chain_of_choices_costs_its_length() -> None:
    forest = Forest()
    tree = 0
    for row in range(60, 0, -1):
        arm = forest.make(("collective", "barrier", "world", Site("m:f", row, 0, row, 9), tree))
        tree = forest.make(("if", f"a{row}", arm, tree))
    assert text_of(Sequences(forest, everything, {}).of(tree)) == ", ".join(
        f"barrier:{row}*" for row in range(1, 7)
    )


@given(random_trees())
@settings(max_examples=25, deadline=None)
def test_the_compared_form_is_its_own_form_and_has_no_places(tree: Tree) -> None:
    forest = Forest()
    comparison = Comparison(forest, everything)
    canonical = comparison.canonical(interned(forest, tree))
    assert comparison.canonical(canonical) == canonical
    assert not {"return", "raise"} & {line.strip() for line in shown(forest, canonical).splitlines()}


@given(random_trees())
@settings(max_examples=25, deadline=None)
def test_who_sees_nothing_finds_no_collective(tree: Tree) -> None:
    forest = Forest()
    index = interned(forest, tree)
    blind = Comparison(forest, lambda _: False)
    assert not {"all_reduce", "barrier"} & set(shown(forest, blind.canonical(index)).split())
    assert Sequences(forest, lambda _: False, {}).of(index) == ()

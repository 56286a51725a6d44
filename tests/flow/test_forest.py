"""Interned effect trees: equal trees are one index, and every operation is what it is on trees written out.

The references are naive functions on nested tuples, without tables and without sharing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from hypothesis import given, settings

from rslint.flow.forest import NIL, RAISE, RETURN, Forest, Site, all_children, child, children
from tests.flow.trees import PLACES, Tree, interned, random_trees, shown, unfolded

FEW = settings(max_examples=25, deadline=None)
SITE = Site("m:f", 1, 0, 1, 9)
OTHER = Site("m:f", 2, 0, 2, 9)


def barrier(after: Tree, site: Site = SITE) -> Tree:
    return ("collective", "barrier", "world", site, after)


def simple(tree: Tree) -> Tree:
    """A choice between equal trees is that tree, everywhere."""
    return _made((simple(part) if i in PLACES.get(tree[0], ()) else part for i, part in enumerate(tree)))


def _made(parts: Iterable[Any]) -> Tree:
    tree = tuple(parts)
    if tree[0] == "if" and tree[2] == tree[3]:
        same: Tree = tree[2]
        return same
    return tree


def spliced(tree: Tree, after: Tree, raised: Tree) -> Tree:
    """The ends of the function itself are replaced, those of its callees are not."""
    if tree[0] in ("return", "raise"):
        return after if tree[0] == "return" else raised
    places = (4,) if tree[0] == "call" else PLACES.get(tree[0], ())
    return _made(spliced(part, after, raised) if i in places else part for i, part in enumerate(tree))


def assumed(tree: Tree, key: str, value: bool) -> Tree:
    if tree[0] == "if" and tree[1] == key:
        return assumed(tree[2 if value else 3], key, value)
    places = (4,) if tree[0] == "call" else PLACES.get(tree[0], ())
    return _made(assumed(part, key, value) if i in places else part for i, part in enumerate(tree))


def operational(tree: Tree) -> bool:
    places = PLACES.get(tree[0], ())
    return tree[0] in ("collective", "again") or any(operational(tree[i]) for i in places)


def test_a_new_forest_holds_the_three_ends() -> None:
    forest = Forest()
    assert [forest.node(tree) for tree in (RETURN, RAISE, NIL)] == [("return",), ("raise",), ("nil",)]
    assert [forest.make((kind,)) for kind in ("return", "raise", "nil")] == [RETURN, RAISE, NIL]


def test_equal_trees_are_one_index_and_others_are_not() -> None:
    forest = Forest()
    first = interned(forest, barrier(("return",)))
    assert interned(forest, barrier(("return",))) == first
    assert interned(forest, barrier(("raise",))) != first
    assert interned(forest, barrier(("return",), OTHER)) != first


def test_a_choice_between_equal_trees_is_that_tree() -> None:
    forest = Forest()
    tree = interned(forest, barrier(("return",)))
    assert forest.make(("if", "a", tree, tree)) == tree
    assert forest.make(("if", "a", RETURN, tree)) != forest.make(("if", "a", tree, RETURN))


def test_a_jump_back_into_a_loop_is_operational_and_out_of_it_is_not() -> None:
    forest = Forest()
    assert not any(forest.operational(tree) for tree in (RETURN, RAISE, NIL))
    assert forest.operational(interned(forest, ("again", "l")))
    assert not forest.operational(interned(forest, ("leave", "l")))
    assert forest.operational(interned(forest, ("call", "m:g", barrier(("return",)), SITE, ("return",))))
    assert not forest.operational(interned(forest, ("call", "m:g", ("raise",), SITE, ("return",))))


def test_assuming_a_condition_takes_its_arm_everywhere_but_in_callees() -> None:
    forest = Forest()
    choice = ("if", "a", barrier(("return",)), ("return",))
    tree = interned(forest, ("call", "m:g", choice, SITE, ("if", "b", choice, ("raise",))))
    assert shown(forest, forest.assume(tree, "a", True)).splitlines() == [
        "call g:",
        "    if a:",
        "        barrier world",
        "        return",
        "    else:",
        "        return",
        "if b:",
        "    barrier world",
        "    return",
        "else:",
        "    raise",
    ]
    assert forest.assume(tree, "c", True) == tree


def test_a_with_body_stands_in_place_of_every_yield() -> None:
    forest = Forest()
    yielded = ("yield", SITE, barrier(("return",)), ("raise",))
    tree = interned(forest, ("if", "a", yielded, ("yield", OTHER, ("return",), barrier(("raise",)))))

    def body(following: int, raised: int) -> int:
        return forest.make(("if", "failed", raised, following))

    assert shown(forest, forest.at_yield(tree, body, NIL, NIL)).splitlines() == [
        "if a:",
        "    if failed:",
        "        raise",
        "    else:",
        "        barrier world",
        "        return",
        "else:",
        "    if failed:",
        "        barrier world",
        "        raise",
        "    else:",
        "        return",
    ]


def test_ends_before_any_yield_are_those_that_the_with_gives() -> None:
    """The ends behind a yield are the body's own matter."""
    forest = Forest()
    yielded = ("yield", SITE, ("return",), ("raise",))
    tree = interned(forest, ("if", "a", yielded, ("if", "b", ("return",), ("raise",))))
    after, raised = (interned(forest, barrier(("return",), site)) for site in (SITE, OTHER))
    rebuilt = forest.at_yield(
        tree, lambda following, failed: forest.make(("if", "c", following, failed)), after, raised
    )
    body = ("if", "c", ("return",), ("raise",))
    ends = ("if", "b", barrier(("return",), SITE), barrier(("return",), OTHER))
    assert unfolded(forest, rebuilt) == ("if", "a", body, ends)


def test_a_body_under_a_shared_yield_is_built_once() -> None:
    """Forty choices in a row share their ends: there are 2 ** 40 paths to the yield and one yield."""
    forest = Forest()
    tree = interned(forest, ("yield", SITE, ("return",), ("raise",)))
    for number in range(40):
        tree = forest.make(
            ("if", f"c{number}", forest.make(("collective", "barrier", "world", SITE, tree)), tree)
        )
    asked: list[tuple[int, int]] = []

    def body(following: int, raised: int) -> int:
        asked.append((following, raised))
        return following

    forest.at_yield(tree, body, RETURN, RAISE)
    assert asked == [(RETURN, RAISE)]


@given(random_trees())
@FEW
def test_interning_is_faithful_and_idempotent(tree: Tree) -> None:
    forest = Forest()
    index = interned(forest, tree)
    assert unfolded(forest, index) == simple(tree)
    assert interned(forest, unfolded(forest, index)) == index


@given(random_trees(), random_trees())
@FEW
def test_indices_are_equal_exactly_when_trees_are(left: Tree, right: Tree) -> None:
    forest = Forest()
    assert (interned(forest, left) == interned(forest, right)) == (simple(left) == simple(right))


@given(random_trees(), random_trees(), random_trees())
@FEW
def test_splicing_replaces_the_ends(tree: Tree, after: Tree, raised: Tree) -> None:
    forest = Forest()
    index, next_index, raised_index = (interned(forest, part) for part in (tree, after, raised))
    expected = spliced(simple(tree), simple(after), simple(raised))
    assert unfolded(forest, forest.splice(index, next_index, raised_index)) == expected
    assert forest.splice(index, RETURN, RAISE) == index


@given(random_trees())
@FEW
def test_assuming_leaves_nothing_of_the_condition_but_in_callees(tree: Tree) -> None:
    forest = Forest()
    index = interned(forest, tree)
    for value in (True, False):
        held = forest.assume(index, "a", value)
        assert unfolded(forest, held) == assumed(simple(tree), "a", value)
        assert forest.assume(held, "a", value) == held
    both = forest.assume(forest.assume(index, "a", True), "b", False)
    assert both == forest.assume(forest.assume(index, "b", False), "a", True)


@given(random_trees())
@FEW
def test_no_yield_is_left_where_the_body_ends_the_function(tree: Tree) -> None:
    forest = Forest()
    stack = [forest.at_yield(interned(forest, tree), lambda *_: RETURN, RETURN, RAISE)]
    while stack:
        node = forest.node(stack.pop())
        assert node[0] != "yield"
        stack.extend(children(node))


@given(random_trees())
@FEW
def test_operational_is_a_collective_or_a_jump_back_ahead(tree: Tree) -> None:
    forest = Forest()
    assert forest.operational(interned(forest, tree)) == operational(simple(tree))


@given(random_trees())
@FEW
def test_an_encoded_tree_is_decoded_to_itself_here_and_elsewhere(tree: Tree) -> None:
    forest, elsewhere = Forest(), Forest()
    interned(elsewhere, barrier(("raise",), OTHER))
    index = interned(forest, tree)
    encoded = forest.encode(index)
    assert forest.decode(encoded) == index
    assert unfolded(elsewhere, elsewhere.decode(encoded)) == simple(tree)


@given(random_trees())
@FEW
def test_an_encoded_tree_has_its_children_first_and_each_node_once(tree: Tree) -> None:
    forest = Forest()
    encoded = forest.encode(interned(forest, tree))
    assert len(set(encoded)) == len(encoded)
    for position, node in enumerate(encoded):
        assert all(place < position for place in all_children(node))


@given(random_trees())
@FEW
def test_an_encoded_tree_depends_on_the_tree_alone(tree: Tree) -> None:
    """Not on what else the forest holds: records of two runs can be compared byte for byte."""
    forest, crowded = Forest(), Forest()
    interned(crowded, ("if", "b", barrier(("raise",)), ("again", "m:f:2:0")))
    left, right = (f.encode(interned(f, tree)) for f in (forest, crowded))
    assert msgspec.msgpack.encode(left) == msgspec.msgpack.encode(right)


def long_chain(forest: Forest) -> int:
    tree = RETURN
    for row in range(5000):
        tree = forest.make(("collective", "barrier", "world", Site("m:f", row, 0, row, 9), tree))
    return tree


def test_a_long_chain_is_stored_without_deep_recursion() -> None:
    forest = Forest()
    tree = long_chain(forest)
    assert forest.operational(tree)
    assert forest.decode(forest.encode(tree)) == tree


def test_a_long_chain_is_rebuilt_without_deep_recursion() -> None:
    """A generated function with thousands of statements is analysed like any other."""
    forest = Forest()
    tree = forest.assume(forest.splice(long_chain(forest), RAISE, RAISE), "a", True)
    for _ in range(5000):
        tree = child(forest.node(tree), 4)
    assert tree == RAISE

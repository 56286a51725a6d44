"""The report of a run: readable at a glance, whatever its length and width."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rslint_runtime.testing import Collective, Group, RankError, RunResult, Wait
from rslint_runtime.testing.records import ranks_as_text
from rslint_runtime.testing.reporting import report


def entered(operation: str, index: int, world: Group, channel: str = "") -> Collective:
    peers = world.ranks[1:]
    return Collective(
        operation, operation, world, channel, index, ("float32[2]",), peers, (), f"/p/serve.py:{index}"
    )


def result(outcome: str, sequences: dict[int, tuple[Collective, ...]], **others: Any) -> RunResult:
    fields: dict[str, Any] = {
        "results": {}, "errors": {}, "waiting": (), "output": {}, "detail": "", "unfired": (), "seconds": 0.25,
    }  # fmt: skip
    return RunResult(outcome, len(sequences), sequences=sequences, **{**fields, **others})  # type: ignore[arg-type]


REFUSED = RankError(
    "ConnectionError", ("ConnectionError", "OSError"), "refused\nby peer", "Traceback:\n  refused\n"
)


def one_leaves(world_size: int, common: int) -> RunResult:
    """All enter `common` all_reduces; then rank 0 raises and the others wait in a broadcast."""
    world = Group("0", tuple(range(world_size)))
    start = tuple(entered("all_reduce", index, world) for index in range(1, common + 1))
    last = entered("broadcast", common + 1, world)
    others = range(1, world_size)
    return result(
        "deadlock",
        {0: start, **dict.fromkeys(others, (*start, last))},
        errors={0: REFUSED},
        waiting=tuple(Wait(rank, "MainThread", last, ((0, f"raised {REFUSED}"),)) for rank in others),
        endings={0: f"raised {REFUSED}", **dict.fromkeys(others, f"waits in {last}")},
        stacks=dict.fromkeys(others, '  File "/p/serve.py", line 3, in serve\n'),
        output=dict.fromkeys(range(world_size), "loading\n"),
    )


EXPECTED = """\
deadlock after 0.25 s on 4 ranks
  ranks 1-3 wait in broadcast float32[2] on default group [0, 1, 2, 3] at /p/serve.py:3 for rank 0 \
(raised ConnectionError: refused)
  rank 0 raised ConnectionError: refused

collectives in the order each rank entered them:
  default group [0, 1, 2, 3]
       rank 0                                    ranks 1-3
    1  all_reduce float32[2]  serve.py:1         =
    2  all_reduce float32[2]  serve.py:2         =
  --------------------------------- here the ranks part ----------------------------------
    3  [raised ConnectionError]                  [waits] broadcast float32[2]  serve.py:3

rank 0 raised ConnectionError: refused
    Traceback:
      refused

ranks 1-3 were here:
      File "/p/serve.py", line 3, in serve

output of ranks 0-3:
    loading"""


def test_the_sequences_stand_side_by_side_and_the_parting_is_marked() -> None:
    assert report(one_leaves(4, 2), width=92) == EXPECTED


def test_of_a_long_sequence_what_surrounds_the_parting_is_shown() -> None:
    lines = report(one_leaves(2, 500), width=90).splitlines()
    assert "    …  494 more that all of them entered" in lines
    shown = [line.split()[0] for line in lines if " all_reduce" in line and not line.startswith("   …")]
    assert shown == ["1", "2", "497", "498", "499", "500"]


def test_ranks_that_went_too_many_ways_for_columns_stand_one_below_the_other() -> None:
    world = Group("0", tuple(range(6)))
    sequences = {rank: (entered(f"operation_{rank}", 1, world),) for rank in range(6)}
    lines = report(result("mismatch", sequences, detail="operation 1 differs"), width=80).splitlines()
    assert "  operation 1 differs" in lines
    assert [line for line in lines if line.startswith("    1  rank")] == [
        f"    1  rank {rank}  operation_{rank} float32[2]  serve.py:1" for rank in range(6)
    ]


def test_an_uneventful_run_is_short() -> None:
    world = Group("0", (0, 1))
    text = report(result("completed", dict.fromkeys(range(2), (entered("barrier", 1, world),))), width=80)
    assert text.splitlines()[1:] == [
        "", "collectives in the order each rank entered them:", "  default group [0, 1]",
        "    1  barrier float32[2]  serve.py:1",
    ]  # fmt: skip


def test_messages_in_one_direction_are_no_parting() -> None:
    world = Group("0", (0, 1))
    sent, received = entered("send", 1, world, "0>1 tag 0"), entered("recv", 1, world, "0>1 tag 0")
    text = report(result("completed", {0: (sent,), 1: (received,)}), width=100)
    assert "part" not in text
    assert "    1  send float32[2]  serve.py:1" in text
    assert "recv float32[2]  serve.py:1" in text


@settings(max_examples=50)
@given(st.integers(1, 16), st.integers(0, 40), st.integers(20, 200))
def test_no_row_of_the_table_is_wider_than_asked(world_size: int, common: int, width: int) -> None:
    lines = report(one_leaves(world_size, common), width).splitlines()
    first = lines.index("collectives in the order each rank entered them:")
    table = lines[first + 1 : lines.index("", first)]
    assert table
    assert max(map(len, table)) <= max(width, 60)


@pytest.mark.parametrize(
    ("ranks", "text"), [([3], "rank 3"), ([0, 1], "ranks 0-1"), ([7, 0, 2, 3, 4, 9], "ranks 0, 2-4, 7, 9")]
)
def test_ranks_are_told_in_spans(ranks: list[int], text: str) -> None:
    assert ranks_as_text(ranks) == text


def test_the_form_of_a_collective_is_its_operation_and_what_must_be_equal() -> None:
    world = Group("0", (0, 1))
    assert entered("broadcast", 1, world).form == "broadcast float32[2]"
    assert replace(entered("barrier", 1, world), signature=()).form == "barrier"

"""What the repair of the image scheduler costs: nothing for text, one barrier for a step with images."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the ranks run on gloo")

from rslint_runtime.testing import RunResult, run_ranks

FIXTURE = Path(__file__).parents[2] / "fixtures" / "RS301" / "mm_features"
BROADCAST = ["broadcast", "broadcast"]
"""An object broadcast: first the size, then the bytes."""


def run(name: str, world_size: int, kind: str) -> RunResult:
    result = run_ranks(f"{FIXTURE / name}:main", world_size, args=(kind,), timeout=20)
    assert result.outcome == "completed", result.report()
    return result


def operations(result: RunResult) -> list[list[str]]:
    """What each rank has entered, but for the creation of the group."""
    return [
        [entry.operation for entry in sequence if entry.channel == ""]
        for sequence in result.sequences.values()
    ]


@pytest.mark.parametrize("world_size", [2, 4])
def test_text_alone_makes_no_collective_more(world_size: int) -> None:
    before, after = (run(name, world_size, "text") for name in ("bug.py", "fixed.py"))
    assert operations(before) == [2 * BROADCAST] * world_size
    assert operations(after) == operations(before)
    assert after.results == before.results


@pytest.mark.parametrize("world_size", [2, 4])
def test_a_step_with_images_makes_one_barrier_nested_batches_included(world_size: int) -> None:
    result = run("fixed.py", world_size, "mixed")
    assert operations(result) == [[*BROADCAST, "barrier", *BROADCAST, "barrier", *BROADCAST]] * world_size
    assert set(map(repr, result.results.values())) == {"[[0.0, 66.0], [132.0], [0.0]]"}


def test_one_rank_alone_makes_none() -> None:
    assert operations(run("fixed.py", 1, "mixed")) == [[]]

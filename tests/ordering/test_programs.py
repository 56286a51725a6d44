"""Every small program of RS4: right on this machine; under weak memory only the bugs fail."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="some programs hand over arrays")
pytest.importorskip("torch", reason="some programs hand over tensors")

from tests.ordering.programs import FIXTURES, load, on_the_machine, under_weak_memory

SEEDS = range(20)
BUG_SEEDS = range(200)  # some write only once: one chance a run
COUNT = 40
PROGRAMS = sorted(
    path
    for path in FIXTURES.glob("RS40[1-5]/*/*.py")
    if path.parent.name != "ring" and path.stem in ("bug", "fixed", "right")
)


def named(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem != "bug"], ids=named)
def test_on_this_machine_every_message_comes_over(path: Path) -> None:
    assert on_the_machine(load(path), COUNT)


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem == "bug"], ids=named)
def test_under_weak_memory_the_bug_fails_with_some_seed(path: Path) -> None:
    program = load(path)
    assert any(under_weak_memory(program, seed, COUNT) != "right" for seed in BUG_SEEDS)


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem != "bug"], ids=named)
def test_under_weak_memory_the_others_are_right_with_every_seed(path: Path) -> None:
    program = load(path)
    assert [under_weak_memory(program, seed, COUNT) for seed in SEEDS] == ["right"] * len(SEEDS)

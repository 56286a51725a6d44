"""The small programs of RS4 that are right: right on this machine, and under weak memory with every seed.

That the bugs fail under weak memory, and their repairs do not, is shown in tests/prove.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="some programs hand over arrays")
pytest.importorskip("torch", reason="some programs hand over tensors")

from rslint.proof.cores import under_weak_memory
from rslint.proof.demonstrate import load
from tests.ordering.programs import FIXTURES, on_the_machine

SEEDS = range(20)
COUNT = 40
PROGRAMS = sorted(
    path
    for path in FIXTURES.glob("RS40[1-5]/*/*.py")
    if path.parent.name != "ring" and path.stem in ("fixed", "right")
)


def named(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_on_this_machine_every_message_comes_over(path: Path) -> None:
    assert on_the_machine(load(path), COUNT)


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem == "right"], ids=named)
def test_under_weak_memory_a_right_program_is_right_with_every_seed(path: Path) -> None:
    program = load(path)
    assert [under_weak_memory(program, seed, COUNT) for seed in SEEDS] == ["right"] * len(SEEDS)

"""The ring of fixtures/RS401/ring: what weak memory does to it with and without its fences, and that it runs here.

On x86-64 the native run is a smoke test: the bug passes it too, since x86 keeps the orders that it lacks.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from rslint.proof.cores import under_weak_memory
from rslint.proof.demonstrate import function_at, load
from tests.ordering.programs import FIXTURES

RING = FIXTURES / "RS401" / "ring"
READERS = 2
SEEDS = range(20)
FENCE = "memory_fence()"


def outcome(ring: Any, seed: int, count: int) -> str:
    """One writer and two readers under weak memory: "right", "wrong", "overtaken" or "stuck"."""
    return under_weak_memory(ring, seed, count, function_at("cores.py:writer_and_readers", RING))


def fixed_outcome(seed: int) -> str:
    return outcome(load(RING / "fixed.py"), seed, 10_000)


def without_fence(number: int) -> ModuleType:
    """fixed.py with one of its calls of the fence taken out."""
    lines = (RING / "fixed.py").read_text("utf-8").splitlines(keepends=True)
    calls = [index for index, line in enumerate(lines) if line.strip() == FENCE]
    del lines[calls[number]]
    return load(RING / "fixed.py", "".join(lines))


def fences() -> int:
    return sum(line.strip() == FENCE for line in (RING / "fixed.py").read_text("utf-8").splitlines())


def test_the_repair_has_four_fences() -> None:
    assert fences() == 4


def test_without_fences_messages_are_wrong_or_never_come() -> None:
    ring = load(RING / "bug.py")
    outcomes = [outcome(ring, seed, 50) for seed in SEEDS]
    assert "right" not in outcomes


@pytest.mark.timeout(600)  # a minute of work, also where others work beside it
def test_with_its_fences_ten_thousand_messages_are_right_with_each_seed() -> None:
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(fixed_outcome, SEEDS))
    assert outcomes == ["right"] * len(SEEDS)


@pytest.mark.parametrize("number", range(4))
def test_without_any_single_fence_some_seed_fails(number: int) -> None:
    ring = without_fence(number)
    assert any(
        outcome(ring, seed, 200) != "right" for seed in range(100)
    )  # one of them fails with each tenth alone


def test_a_seed_decides_everything() -> None:
    ring = load(RING / "bug.py")
    assert [outcome(ring, seed, 50) for seed in SEEDS] == [outcome(ring, seed, 50) for seed in SEEDS]


def _write(path: str, name: str, overflow: list[Any], count: int) -> None:
    from pathlib import Path

    load(Path(path)).write(name, READERS, overflow, count)


def _read(path: str, name: str, rank: int, overflow: Any, answers: Any, count: int) -> None:
    from pathlib import Path

    ring = load(Path(path))
    received = ring.read(name, READERS, rank, overflow, count)
    answers.put(received == [ring.message_of(number) for number in range(count)])


def test_on_this_machine_120_batches_of_12_reach_two_readers_without_a_freeze() -> None:
    count = 120 * 12
    path = str(RING / "fixed.py")
    kept = load(RING / "fixed.py").Ring(READERS)
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(READERS)]
    answers = context.Queue()
    name = kept.memory.name
    work: list[Any] = [
        context.Process(
            target=_write, args=(path, name, [sending for _, sending in pipes], count), daemon=True
        )
    ]
    for rank in range(READERS):
        arguments = (path, name, rank, pipes[rank][0], answers, count)
        work.append(context.Process(target=_read, args=arguments, daemon=True))
    try:
        for process in work:
            process.start()
        assert [answers.get(timeout=30) for _ in range(READERS)] == [True, True]
        for process in work:
            process.join(10)
    finally:
        for process in work:
            process.kill()
        kept.close()

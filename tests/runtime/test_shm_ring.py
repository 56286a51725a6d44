"""A ring with one writer and many readers: what arrives, who waits for whom, and what each error says."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest
from rslint_runtime import ShmRing


@pytest.fixture
def ring() -> Iterator[ShmRing]:
    with ShmRing.create(readers=2, slots=4, slot_bytes=128) as made:
        yield made


def _echo(ring: ShmRing, rank: int, answers: Any) -> None:
    with ring.reader(rank) as reader:
        answers.put((rank, list(reader)))


def test_two_processes_read_everything_in_order_and_then_the_end(ring: ShmRing) -> None:
    sent = [{"number": number, "text": "x" * number * 10} for number in range(40)]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    readers = [context.Process(target=_echo, args=(ring, rank, answers)) for rank in range(2)]
    for process in readers:
        process.start()
    try:
        with ring.writer() as writer:
            for message in sent:
                writer.send(message, timeout=30)
            writer.flush(timeout=30)
        received = dict(answers.get() for _ in range(2))
    finally:
        for process in readers:
            process.join(10)
            process.kill()
    assert received == {0: sent, 1: sent}

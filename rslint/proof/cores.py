"""Runs a program's writer and readers as the cores of a CPU with a weak memory model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from typing import Any

_ACCESSES_PER_MESSAGE = 400

Cores = tuple[Sequence[Callable[[], object]], Callable[[Sequence[Any]], bool]]
"""Functions to run side by side, and whether what they returned is right."""


def under_weak_memory(program: Any, seed: int, messages: int, cores: Callable[..., Any] | None = None) -> str:
    """One run: "right", "wrong" (a reader got something else), "overtaken" (an unread slot was written again) or
    "stuck" (nobody can go on).

    `cores(program, messages)` is a context manager that yields `Cores`; by default `writer_and_reader`.
    """
    from rslint_runtime.testing import Overtaken, Stuck, weak_memory

    most_accesses = _ACCESSES_PER_MESSAGE * messages
    with contextlib.ExitStack() as stack:
        try:
            with weak_memory(seed, programs=(program,), most_accesses=most_accesses) as memory:
                make = contextlib.contextmanager(cores) if cores else writer_and_reader
                functions, is_right = stack.enter_context(make(program, messages))
                results = memory.run(*functions)
            return "right" if is_right(results) else "wrong"
        except Overtaken:
            return "overtaken"
        except Stuck:
            return "stuck"


@contextlib.contextmanager
def writer_and_reader(program: Any, messages: int) -> Iterator[Cores]:
    """The usual program: `SIZE` bytes of a segment, `produce(name, count)` and `consume(name, count)`, which returns
    what it received."""
    segment = SharedMemory(create=True, size=program.SIZE)
    try:
        functions = [
            partial(program.produce, segment.name, messages),
            partial(program.consume, segment.name, messages),
        ]
        yield functions, lambda results: received_right(program, results[1], messages)
    finally:
        segment.close()
        segment.unlink()


def received_right(program: Any, received: object, count: int) -> bool:
    """Whether what the reader got is what was sent: `message(number)` for each, or as the program itself says
    (`is_right(received, count)`, or the list `expected(count)`)."""
    if hasattr(program, "is_right"):
        return bool(program.is_right(received, count))
    if hasattr(program, "expected"):
        return bool(received == program.expected(count))
    return received == [program.message(number) for number in range(count)]

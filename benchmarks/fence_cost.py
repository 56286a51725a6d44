"""What a memory fence costs: a call of it, and what two of them add to a message through a slot in shared memory.

python benchmarks/fence_cost.py [CALLS]
"""

from __future__ import annotations

import platform
import statistics
import sys
import threading
import timeit
from collections.abc import Callable
from functools import partial
from multiprocessing.shared_memory import SharedMemory

from rslint_runtime import memory_fence
from rslint_runtime.order import pairs_needed

ROUNDS = 7
_lock = threading.Lock()


def nothing() -> None:
    """What calling any function costs."""


def lock_pair() -> None:
    """The fence that the inline fix writes."""
    with _lock:
        pass


def message(view: memoryview, fence: Callable[[], None]) -> None:
    """One message of a kilobyte into a slot and its flag, as a writer stores them, with two fences."""
    view[8:1032] = b"x" * 1024
    fence()
    view[0] = 1
    fence()


def nanoseconds(call: Callable[[], None], calls: int) -> float:
    """The median over the rounds of one call's time."""
    rounds = timeit.repeat(call, number=calls, repeat=ROUNDS)
    return statistics.median(rounds) / calls * 1e9


def measure(calls: int) -> None:
    pairs = pairs_needed(platform.machine(), sys.implementation.name, sys.version_info[:3])
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {pairs} lock pair(s) in a fence, {calls} calls"
    )
    for label, function in (
        ("nothing()", nothing),
        ("lock pair", lock_pair),
        ("memory_fence()", memory_fence),
    ):
        print(f"{label:34} {nanoseconds(function, calls):7.0f} ns")
    segment = SharedMemory(create=True, size=2048)
    try:
        with segment.buf as view:
            for label, fence in (("message, no fence", nothing), ("message, two fences", memory_fence)):
                taken = nanoseconds(partial(message, view, fence), calls)
                print(f"{label:34} {taken:7.0f} ns")
    finally:
        segment.close()
        segment.unlink()


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)

"""A thread that waits for a lock: known by what its frame does, so that its rank can be shown to be deadlocked."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Generator
from types import SimpleNamespace

import pytest
from rslint_runtime.testing import run_ranks
from rslint_runtime.testing.lock_waits import waits_for_lock

MODULE_LOCK = threading.Lock()


class Slotted:
    __slots__ = ("lock",)

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock


class Computed:
    """Whose lock is the result of the program's own code, which must not run for a look."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    @property
    def lock(self) -> threading.Lock:
        return self._lock


def holds(lock: threading.Lock) -> None:
    with lock:
        pass


def acquires(lock: threading.Lock) -> None:
    lock.acquire()
    lock.release()


def holds_attribute(lock: threading.Lock) -> None:
    owner = SimpleNamespace(pool=SimpleNamespace(lock=lock))
    with owner.pool.lock:
        pass


def holds_slot(lock: threading.Lock) -> None:
    owner = Slotted(lock)
    with owner.lock:
        pass


def holds_free_variable(lock: threading.Lock) -> None:
    def inner() -> None:
        with lock:
            pass

    inner()


def holds_one_of_two(lock: threading.Lock) -> None:
    with threading.Lock(), lock:
        pass


def holds_condition(lock: threading.Lock) -> None:
    with threading.Condition(lock):
        pass


def holds_global(lock: threading.Lock) -> None:
    with MODULE_LOCK:
        pass


def gives_up(lock: threading.Lock) -> None:
    lock.acquire(timeout=30)
    lock.release()


def holds_computed(lock: threading.Lock) -> None:
    owner = Computed(lock)
    with owner.lock:
        pass


def holds_item(lock: threading.Lock) -> None:
    locks = [lock]
    with locks[0]:
        pass


def calls_something_else(lock: threading.Lock) -> None:
    until = time.monotonic() + 30
    while lock.locked() and time.monotonic() < until:
        time.sleep(0.2)


def seen(function: Callable[[threading.Lock], None], lock: threading.Lock) -> Generator[bool, None, None]:
    """What is seen of a thread in `function`, again and again, while the lock is held elsewhere."""
    thread = threading.Thread(target=function, args=(lock,), daemon=True)
    lock.acquire()
    try:
        thread.start()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            time.sleep(0.02)
            frame = sys._current_frames().get(thread.ident or 0)
            yield frame is not None and waits_for_lock(frame)
    finally:
        lock.release()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
@pytest.mark.parametrize(
    "function",
    [
        holds,
        acquires,
        holds_attribute,
        holds_slot,
        holds_free_variable,
        holds_one_of_two,
        holds_condition,
    ],
)
def test_a_thread_that_waits_for_a_lock_is_seen(
    function: Callable[[threading.Lock], None], make: Callable[[], threading.Lock]
) -> None:
    looks = seen(function, make())
    assert any(looks)
    looks.close()


def test_a_global_lock_is_seen() -> None:
    looks = seen(holds_global, MODULE_LOCK)
    assert any(looks)
    looks.close()


@pytest.mark.parametrize("function", [gives_up, holds_computed, holds_item, calls_something_else])
def test_what_may_end_by_itself_or_is_not_known_is_no_wait_for_a_lock(
    function: Callable[[threading.Lock], None],
) -> None:
    looks = seen(function, threading.Lock())
    assert not any(look for look, _ in zip(looks, range(15), strict=False))
    looks.close()


def waits_holding_a_lock(rank: int, world_size: int) -> None:
    """Rank 0 waits in a collective inside a lock for which its other thread waits; rank 1 does not come."""
    import torch
    import torch.distributed as dist

    lock = threading.Lock()

    def background() -> None:
        while True:
            time.sleep(0.01)
            with lock:
                pass

    threading.Thread(target=background, daemon=True).start()
    if rank == 0:
        with lock:
            dist.all_reduce(torch.ones(1))


def test_a_thread_that_waits_for_the_lock_of_a_deadlocked_one_is_part_of_the_proof() -> None:
    pytest.importorskip("torch")
    result = run_ranks(waits_holding_a_lock, 2, timeout=20.0)
    assert result.outcome == "deadlock", result.report()
    (wait,) = result.waiting
    assert (wait.rank, wait.missing) == (0, ((1, "ended"),))


def gives_a_lock_back_later(rank: int, world_size: int, seconds: float) -> float:
    """Rank 0 comes to the collective once its other thread has let go of a lock."""
    import torch
    import torch.distributed as dist

    lock = threading.Lock()
    taken = threading.Event()

    def background() -> None:
        with lock:
            taken.set()
            time.sleep(seconds)

    threading.Thread(target=background).start()
    taken.wait()
    if rank == 0:
        with lock:
            pass
    total = torch.ones(1)
    dist.all_reduce(total)
    return float(total)


def test_a_lock_that_is_given_back_is_no_deadlock() -> None:
    pytest.importorskip("torch")
    result = run_ranks(gives_a_lock_back_later, 2, args=(1.5,))
    assert result.results == {0: 2.0, 1: 2.0}, result.report()

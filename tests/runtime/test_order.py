"""The fence: how many lock pairs it takes where, and that it needs nothing and survives a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from rslint_runtime import memory_fence, order
from rslint_runtime.order import pairs_needed


@pytest.mark.parametrize(
    ("machine", "implementation", "version", "pairs"),
    [
        ("x86_64", "cpython", (3, 10, 0), 1),
        ("AMD64", "cpython", (3, 12, 4), 1),
        ("x86_64", "pypy", (3, 10, 14), 1),
        ("aarch64", "cpython", (3, 10, 0), 2),
        ("arm64", "cpython", (3, 13, 0), 2),
        ("arm64", "cpython", (3, 13, 1), 1),
        ("aarch64", "cpython", (3, 14, 0), 1),
        ("aarch64", "pypy", (3, 14, 0), 2),
        ("ppc64le", "cpython", (3, 12, 0), 2),
        ("", "cpython", (3, 12, 0), 2),
    ],
)
def test_pairs_that_order_everything(
    machine: str, implementation: str, version: tuple[int, int, int], pairs: int
) -> None:
    assert pairs_needed(machine, implementation, version) == pairs


class CountingLock:
    def __init__(self) -> None:
        self.steps: list[str] = []

    def __enter__(self) -> None:
        self.steps.append("taken")

    def __exit__(self, *_: object) -> None:
        self.steps.append("given back")


@pytest.mark.parametrize("twice", [False, True])
def test_each_pair_is_complete_before_the_next(monkeypatch: pytest.MonkeyPatch, twice: bool) -> None:
    lock = CountingLock()
    monkeypatch.setattr(order, "_lock", lock)
    monkeypatch.setattr(order, "_twice", twice)
    memory_fence()
    assert lock.steps == ["taken", "given back"] * (2 if twice else 1)


def test_importing_the_fence_imports_neither_torch_nor_numpy() -> None:
    program = "import sys; from rslint_runtime import memory_fence; memory_fence();"
    program += "print({'torch', 'numpy'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_inside_the_fence_of_another_thread_can_use_it() -> None:
    entered, leave = threading.Event(), threading.Event()

    def inside() -> None:
        with order._lock:
            entered.set()
            leave.wait(30)

    other = threading.Thread(target=inside)
    other.start()
    assert entered.wait(30)
    child = os.fork()
    if child == 0:
        worker = threading.Thread(target=memory_fence, daemon=True)
        worker.start()
        worker.join(10)
        os._exit(1 if worker.is_alive() else 0)
    leave.set()
    other.join()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0

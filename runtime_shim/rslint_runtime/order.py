"""A full memory fence in plain Python, for rings and flags in memory that processes share.

CPython has no fence of its own. What it has are locks, which are atomic operations: whatever stands before a lock is
taken and released and whatever stands behind are kept apart, if the operations are strong enough. How strong they are
depends on the CPU and on the lock:

- x86-64: every atomic read-modify-write is a full fence. One pair is enough.
- Arm and others, CPython before 3.13.1: `threading.Lock` is a semaphore; taking it is a compare-and-swap with acquire,
  giving it back one with release. By Arm's published model an earlier store may sink into the pair from above and a
  later one rise into it from below, and the two may meet there and swap. A second pair keeps them apart.
- CPython 3.13.1 and later: the lock is a `PyMutex`, whose atomic operations are sequentially consistent. One pair.

`rslint_runtime.testing.litmus` decides these questions from the models; tests/runtime/test_litmus.py asks it whether
the pairs taken here suffice, and whether one less would.

Sources: Arm Architecture Reference Manual for A-profile, B2.3; CPython, Python/thread_pthread.h and Python/lock.c.
"""

from __future__ import annotations

import os
import platform
import sys
import threading

__all__ = ["memory_fence", "pairs_needed"]

_TOTAL_STORE_ORDER = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})


def pairs_needed(machine: str, implementation: str, version: tuple[int, int, int]) -> int:
    """How many times a lock must be taken and released in a row to order every earlier access before every later one.

    `machine` is what `platform.machine()` says, `implementation` `sys.implementation.name`, `version` the first three
    numbers of `sys.version_info`. Of other implementations nothing is known: two.
    """
    if machine.lower() in _TOTAL_STORE_ORDER:
        return 1
    return 1 if implementation == "cpython" and version >= (3, 13, 1) else 2


_twice = pairs_needed(platform.machine(), sys.implementation.name, sys.version_info[:3]) == 2
_lock = threading.Lock()


def memory_fence() -> None:
    """Order all earlier loads and stores of this thread before all later ones, for every observer.

    Put it between a payload and the flag that publishes it, between the load of a flag that succeeds and the load of
    the payload, and between reading a payload and acknowledging it. It makes nothing visible faster, and a loop that
    merely polls does not need it. It never blocks for long: nobody holds the lock over other work.
    """
    with _lock:
        pass
    if _twice:
        with _lock:
            pass


def _renew() -> None:
    """A child that was forked while another thread was inside would find the lock taken for ever."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)

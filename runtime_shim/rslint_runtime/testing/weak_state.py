"""The state of modelled weak memory: segments with their past, cores with their store buffers, what may go wrong."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque

REMEMBERED = 64
allocate = threading.Lock


class Overtaken(AssertionError):
    """A core told another that it had read some bytes, and these were overwritten before its loads were done."""


class Stuck(AssertionError):
    """The cores made more accesses than allowed and did not end: they wait for something that never comes."""


class UnsupportedView(TypeError):
    """A use of shared memory that the model does not see."""


class Stopped(BaseException):
    """Unwinds a core when another has failed."""


class Segment:
    """The bytes of one segment: what all cores have agreed on, and what recently stood there before."""

    def __init__(self, name: str, memory: memoryview) -> None:
        self.name, self.memory = name, memory
        self.changed = 0  # when it was last
        self.past: deque[tuple[int, int, int, bytes, Core]] = deque(maxlen=REMEMBERED)


Store = tuple[Segment, int, int, bytes]
Range = tuple[Segment, int, int]


class Core:
    """One function that runs: its store buffer, what it has seen since its last fence, and the baton it waits for."""

    __slots__ = ("baton", "buffer", "done", "fenced", "idle", "index", "reads", "seen")

    def __init__(self, index: int) -> None:
        self.index = index
        self.baton = allocate()
        self.baton.acquire()
        self.buffer: list[Store] = []
        self.fenced = 0
        self.seen: dict[Range, int] = {}
        self.reads: dict[Range, None] = {}
        self.done = False
        self.idle = -1  # when it began to wait; what has become visible since may be what it waits for


class Late:
    """Loads of a core that its own later store has overtaken; `seen_by` are the cores that have seen that store."""

    def __init__(self, core: Core, reads: tuple[Range, ...], store: Store) -> None:
        self.core, self.reads, self.store = core, reads, store
        self.seen_by: set[Core] = set()


def stay_on_one_cpu() -> None:
    """Only one of them runs at a time: handing over is faster where none has to be woken on another CPU. Processes that
    do so side by side take different ones."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})


def overlap(store: Store, other: Range) -> bool:
    return store[0] is other[0] and store[1] < other[2] and other[1] < store[2]


def overlaid(data: bytes, start: int, other: bytes, first: int) -> bytes:
    """`data`, which begins at `start`, with the bytes of `other`, which begin at `first`, laid over it."""
    end, last = start + len(data), first + len(other)
    low, high = max(start, first), min(end, last)
    return data[: low - start] + other[low - first : high - first] + data[high - start :]

"""Puts programs on a CPU with a weak memory model, for as long as a context is entered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

from rslint_runtime.testing.weak_model import WeakMemory
from rslint_runtime.testing.weak_patches import patched


@contextlib.contextmanager
def weak_memory(
    seed: int, *, programs: tuple[ModuleType, ...] = (), most_accesses: int = 2_000_000
) -> Iterator[WeakMemory]:
    """Model weak memory while the context is entered; `run` of what it gives runs functions as cores.

    Seen are, of `multiprocessing.shared_memory.SharedMemory` objects and of segments of `rslint_runtime.create` and
    `attach` whose `buf` is taken meanwhile, and of files that are mapped with `mmap.mmap(fileno, length)`: the memory
    itself, its slices and casts (as memoryviews), the functions of `struct`, NumPy arrays made with
    `numpy.ndarray(buffer=…)` and `numpy.frombuffer`, tensors made with `torch.frombuffer`. Any other use of such memory
    raises `TypeError` (`UnsupportedView` where it reaches the model): `ctypes.*.from_buffer`, `memoryview()` and what
    else wants a buffer.

    Locks of `threading` and `multiprocessing` count as fences, and so does all that `threading` and `queue` make of
    them, if they are made meanwhile, or are globals of the modules in `programs`; `memory_fence` of this package always
    does. `time.sleep` and `os.sched_yield` only let another core run; the clocks of `time` show what the cores have
    slept, so that a timeout comes in the same place with the same seed. A core that waits for another in any other way
    (a pipe, an event of `multiprocessing`) waits for ever, since only one runs at a time. `most_accesses` bounds one
    `run`. Not for several threads at once, and not nested.
    """
    memory = WeakMemory(seed, most_accesses)
    with patched(memory, programs):
        yield memory

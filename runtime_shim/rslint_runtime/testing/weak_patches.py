"""What is replaced while weak memory is modelled, so that programs meet the model instead of the machine."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing.shared_memory
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from rslint_runtime import order
from rslint_runtime.testing.weak_views import SharedBytes

if TYPE_CHECKING:
    from rslint_runtime.testing.weak_model import WeakMemory

_allocate = threading.Lock
_LOCK = type(threading.Lock())


class FencingLock:
    """A lock of the program: taking it and giving it back are fences, and waiting for it lets other cores run."""

    def __init__(self, memory: WeakMemory) -> None:
        self._memory = memory
        self._lock = _allocate()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        core = self._memory.core
        if core is None:
            return self._lock.acquire(blocking, timeout)
        while not self._lock.acquire(blocking=False):
            if not blocking:
                return False
            self._memory.pause()
        self._memory.fence()
        return True

    def release(self) -> None:
        self._memory.fence()
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.fence()
        self._lock.release()


@contextlib.contextmanager
def patched(memory: WeakMemory, programs: tuple[ModuleType, ...]) -> Iterator[None]:
    """Replace what programs use of shared memory, locks and sleeping, for the time of the context."""
    shared = multiprocessing.shared_memory.SharedMemory
    with contextlib.ExitStack() as stack:
        buf = _modelled(memory, shared.buf, mmap.mmap, stack)
        stack.enter_context(patch.object(shared, "buf", property(buf)))
        stack.enter_context(patch.object(threading, "Lock", lambda: FencingLock(memory)))
        stack.enter_context(patch.object(order, "_lock", FencingLock(memory)))
        stack.enter_context(patch.object(time, "sleep", _pausing(memory, time.sleep)))
        if hasattr(os, "sched_yield"):
            stack.enter_context(patch.object(os, "sched_yield", _pausing(memory, os.sched_yield)))
        stack.enter_context(patch.object(mmap, "mmap", _only_for_segments(mmap.mmap)))
        _patch_struct(stack)
        _patch_arrays(stack)
        for module in programs:
            for name, value in list(vars(module).items()):
                if isinstance(value, _LOCK):
                    stack.enter_context(patch.object(module, name, FencingLock(memory)))
        yield


def _modelled(
    memory: WeakMemory, real: Any, mapping: Any, stack: contextlib.ExitStack
) -> Callable[[Any], SharedBytes | None]:
    """What stands for `SharedMemory.buf`: `real` is the property, `mapping` makes an `mmap`."""

    # By the segment's id, with the segment, so that the id stays its own.
    views: dict[int, tuple[Any, SharedBytes]] = {}

    def buf(segment: Any) -> SharedBytes | None:
        own = real.fget(segment)
        if own is None:  # closed
            return None
        known = views.get(id(segment))
        if known is None:
            size = len(own)

            def mapped() -> memoryview:
                own = memoryview(mapping(segment._fd, size))
                stack.callback(own.release)
                return own

            shared = SharedBytes(memory, memory.segment(segment.name, mapped), 0, size)
            known = views[id(segment)] = (segment, shared)
        return known[1]

    return buf


def _pausing(memory: WeakMemory, real: Callable[..., None]) -> Callable[..., None]:
    def pause(*arguments: Any) -> None:
        if memory.core is None:
            real(*arguments)
        else:
            memory.pause()

    return pause


def _only_for_segments(real: Any) -> Callable[..., Any]:
    """`mmap.mmap` for `SharedMemory` itself, and an error for everybody else."""

    def make(*arguments: Any, **named: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") == "multiprocessing.shared_memory":
            return real(*arguments, **named)
        raise TypeError("weak_memory does not model mmap: use multiprocessing.shared_memory.SharedMemory")

    return make


def _patch_struct(stack: contextlib.ExitStack) -> None:
    pack, unpack = struct.pack_into, struct.unpack_from

    def pack_into(form: str, buffer: Any, offset: int, *values: Any) -> None:
        if isinstance(buffer, SharedBytes):
            buffer.put(offset, struct.pack(form, *values), bulk=len(values) > 1)
        else:
            pack(form, buffer, offset, *values)

    def unpack_from(form: str, buffer: Any, offset: int = 0) -> tuple[Any, ...]:
        if not isinstance(buffer, SharedBytes):
            return unpack(form, buffer, offset)
        size = struct.calcsize(form)
        return struct.unpack(form, buffer.take(offset, offset + size, bulk=size > 8))

    stack.enter_context(patch.object(struct, "pack_into", pack_into))
    stack.enter_context(patch.object(struct, "unpack_from", unpack_from))


def _patch_arrays(stack: contextlib.ExitStack) -> None:
    """NumPy and torch, where the process has imported them."""
    if (numpy := sys.modules.get("numpy")) is not None:
        from rslint_runtime.testing.weak_numpy import replacements

        for name, value in replacements().items():
            stack.enter_context(patch.object(numpy, name, value))
    if (torch := sys.modules.get("torch")) is not None:
        from rslint_runtime.testing.weak_torch import frombuffer

        stack.enter_context(patch.object(torch, "frombuffer", frombuffer(torch.frombuffer)))

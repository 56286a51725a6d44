"""What is replaced while weak memory is modelled, so that programs meet the model instead of the machine."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing.context
import multiprocessing.shared_memory
import multiprocessing.synchronize
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
from rslint_runtime.segment_handle import Segment
from rslint_runtime.segment_names import segment_path
from rslint_runtime.testing.weak_maps import file_of, mapping
from rslint_runtime.testing.weak_views import SharedBytes

if TYPE_CHECKING:
    from rslint_runtime.testing.weak_model import WeakMemory

_allocate = threading.Lock
_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())
_POLL = 0.001  # seconds that pass while a core waits for a lock
_WAIT_FOR_THE_MACHINE = ("multiprocessing.connection", "selectors", "subprocess")
_CLOCKS = ("monotonic", "perf_counter", "time")


class FencingLock:
    """A lock of the program: taking it and giving it back are fences, and waiting for it lets other cores run."""

    def __init__(self, memory: WeakMemory) -> None:
        self._memory = memory
        self._lock = _allocate()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        core = self._memory.core
        if core is None:
            return self._lock.acquire(blocking, timeout)
        deadline = self._memory.clock() + timeout if timeout >= 0 else None
        while not self._lock.acquire(blocking=False):
            if not blocking or (deadline is not None and self._memory.clock() >= deadline):
                return False
            self._memory.pause(_POLL)
        self._memory.fence()
        return True

    def release(self) -> None:
        self._memory.fence()
        self._lock.release()

    def _is_owned(self) -> bool:
        """What `threading.Condition` asks: it would try to take the lock otherwise."""
        return self._lock.locked()

    def _at_fork_reinit(self) -> None:
        self._lock = _allocate()

    def locked(self) -> bool:
        return self._lock.locked()

    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.fence()
        self._lock.release()


class OwnLock:
    """The lock inside `memory_fence`. Each process has its own, so no core waits there for another one's fence."""

    def __init__(self, memory: WeakMemory) -> None:
        self._memory = memory

    def __enter__(self) -> None:
        self._memory.fence()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.fence()


@contextlib.contextmanager
def patched(memory: WeakMemory, programs: tuple[ModuleType, ...]) -> Iterator[None]:
    """Replace what programs use of shared memory, locks and sleeping, for the time of the context."""
    shared = multiprocessing.shared_memory.SharedMemory
    with contextlib.ExitStack() as stack:
        for kind, opened in ((shared, _descriptor_of), (Segment, _opened)):
            buf = _modelled(memory, vars(kind)["buf"], opened, mmap.mmap, stack)
            stack.enter_context(patch.object(kind, "buf", property(buf)))
        _patch_locks(memory, programs, stack)
        stack.enter_context(patch.object(time, "sleep", _pausing(memory, time.sleep)))
        for name in _CLOCKS:
            stack.enter_context(patch.object(time, name, _clock(memory, getattr(time, name))))
        if hasattr(os, "sched_yield"):
            stack.enter_context(patch.object(os, "sched_yield", _pausing(memory, os.sched_yield)))
        stack.enter_context(patch.object(mmap, "mmap", mapping(memory, mmap.mmap, stack)))
        _patch_struct(stack)
        _patch_arrays(stack)
        yield


def _patch_locks(memory: WeakMemory, programs: tuple[ModuleType, ...], stack: contextlib.ExitStack) -> None:
    """Locks that are made meanwhile, and those that modules have: what `threading` makes of locks comes with them."""

    def lock(*_: Any) -> FencingLock:
        return FencingLock(memory)

    def again(*_: Any) -> Any:
        return threading.RLock()

    for name, value in (("Lock", lock), ("_allocate_lock", lock), ("_CRLock", None)):
        stack.enter_context(patch.object(threading, name, value))
    for owner in (multiprocessing, multiprocessing.context.BaseContext):
        stack.enter_context(patch.object(owner, "Lock", lock))
        stack.enter_context(patch.object(owner, "RLock", again))
    stack.enter_context(patch.object(order, "_lock", OwnLock(memory)))
    for module in programs:
        for name, value in list(vars(module).items()):
            if isinstance(value, (_LOCK, multiprocessing.synchronize.Lock)):
                stack.enter_context(patch.object(module, name, lock()))
            elif isinstance(value, (_RLOCK, multiprocessing.synchronize.RLock)):
                stack.enter_context(patch.object(module, name, again()))


def _clock(memory: WeakMemory, real: Callable[[], float]) -> Callable[[], float]:
    def read() -> float:
        if memory.core is None or sys._getframe(1).f_globals.get("__name__") in _WAIT_FOR_THE_MACHINE:
            return real()
        return memory.clock()

    return read


def _modelled(
    memory: WeakMemory, real: Any, opened: Any, map_file: Any, stack: contextlib.ExitStack
) -> Callable[[Any], SharedBytes | None]:
    """What stands for a segment's `buf`: `real` is the property, `opened` gives a descriptor, `map_file` an `mmap`."""

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
                with opened(segment) as fd:
                    own = memoryview(map_file(fd, size))
                stack.callback(own.release)
                return own

            with opened(segment) as fd:
                file = file_of(fd)
            shared = SharedBytes(memory, memory.segment(file, segment.name, mapped), 0, size)
            known = views[id(segment)] = (segment, shared)
        return known[1]

    return buf


@contextlib.contextmanager
def _descriptor_of(segment: Any) -> Iterator[int]:
    yield segment._fd


@contextlib.contextmanager
def _opened(segment: Any) -> Iterator[int]:
    fd = os.open(segment_path(segment.name), os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def _pausing(memory: WeakMemory, real: Callable[..., None]) -> Callable[..., None]:
    def pause(*seconds: float) -> None:
        if memory.core is None:
            real(*seconds)
        else:
            memory.pause(*seconds)

    return pause


def _patch_struct(stack: contextlib.ExitStack) -> None:
    pack, unpack, unpack_all, iterate = (
        struct.pack_into,
        struct.unpack_from,
        struct.unpack,
        struct.iter_unpack,
    )

    def pack_into(form: str, buffer: Any, offset: int, *values: Any) -> None:
        if isinstance(buffer, SharedBytes):
            buffer.put(_from_end(buffer, offset), struct.pack(form, *values), bulk=len(values) > 1)
        else:
            pack(form, buffer, offset, *values)

    def unpack_from(form: str, buffer: Any, offset: int = 0) -> tuple[Any, ...]:
        if not isinstance(buffer, SharedBytes):
            return unpack(form, buffer, offset)
        size, start = struct.calcsize(form), _from_end(buffer, offset)
        if start + size > len(buffer):
            raise struct.error(f"unpack_from requires a buffer of at least {start + size} bytes")
        return unpack_all(form, buffer.take(start, start + size, bulk=size > 8))

    def unpack_whole(form: str, buffer: Any) -> tuple[Any, ...]:
        return unpack_all(form, bytes(buffer) if isinstance(buffer, SharedBytes) else buffer)

    def iter_unpack(form: str, buffer: Any) -> Iterator[tuple[Any, ...]]:
        if not isinstance(buffer, SharedBytes):
            return iterate(form, buffer)
        size = struct.calcsize(form)
        if len(buffer) % size:
            raise struct.error(f"iterative unpacking requires a buffer of a multiple of {size} bytes")
        return (unpack_from(form, buffer, at) for at in range(0, len(buffer), size))

    for function in (pack_into, unpack_from, iter_unpack):
        stack.enter_context(patch.object(struct, function.__name__, function))
    stack.enter_context(patch.object(struct, "unpack", unpack_whole))


def _from_end(buffer: SharedBytes, offset: int) -> int:
    return offset + len(buffer) if offset < 0 else offset


def _patch_arrays(stack: contextlib.ExitStack) -> None:
    """NumPy and torch, where the process has imported them."""
    if (numpy := sys.modules.get("numpy")) is not None:
        from rslint_runtime.testing.weak_numpy import replacements

        for name, value in replacements().items():
            stack.enter_context(patch.object(numpy, name, value))
    if (torch := sys.modules.get("torch")) is not None:
        from rslint_runtime.testing.weak_torch import frombuffer

        stack.enter_context(patch.object(torch, "frombuffer", frombuffer(torch.frombuffer)))

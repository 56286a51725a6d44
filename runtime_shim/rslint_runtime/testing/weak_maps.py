"""`mmap.mmap` over modelled memory: what programs do that map files of /dev/shm themselves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rslint_runtime.testing.weak_state import UnsupportedView
from rslint_runtime.testing.weak_views import SharedBytes

if TYPE_CHECKING:
    from rslint_runtime.testing.weak_model import WeakMemory


# Those whose segments are modelled by their `buf`.
_MAPPING = ("multiprocessing.shared_memory", "rslint_runtime.segment_handle")


def file_of(fileno: int) -> tuple[int, int]:
    """Which file a descriptor is of, whoever has opened it and how."""
    status = os.fstat(fileno)
    return status.st_dev, status.st_ino


class SharedMap(SharedBytes):
    """Stands for an `mmap`: as modelled bytes, but slices are copies; with `read`, `write`, `seek`, `tell`, `size`,
    `read_byte`, `write_byte`, `flush`, `close`."""

    __slots__ = ("_position", "closed")

    def __init__(self, memory: WeakMemory, segment: Any, size: int) -> None:
        super().__init__(memory, segment, 0, size)
        self._position, self.closed = 0, False

    def __getitem__(self, index: int | slice) -> Any:
        self._must_be_open()
        found = super().__getitem__(index)
        return bytes(found) if isinstance(index, slice) else found

    def __setitem__(self, index: int | slice, value: Any) -> None:
        self._must_be_open()
        super().__setitem__(index, value)

    def size(self) -> int:
        return len(self)

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = os.SEEK_SET) -> None:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self)}[whence]
        if not 0 <= start + position <= len(self):
            raise ValueError("seek out of range")
        self._position = start + position

    def read(self, count: int | None = None) -> bytes:
        end = len(self) if count is None or count < 0 else min(self._position + count, len(self))
        data: bytes = self[self._position : end]
        self._position = end
        return data

    def write(self, data: bytes) -> int:
        if self._position + len(data) > len(self):
            raise ValueError("data out of range")
        self[self._position : self._position + len(data)] = data
        self._position += len(data)
        return len(data)

    def read_byte(self) -> int:
        return self.read(1)[0]

    def write_byte(self, byte: int) -> None:
        self[self._position] = byte
        self._position += 1

    def flush(self, offset: int = 0, size: int = 0) -> None:
        """Nothing: what is written to a file orders no memory."""
        self._must_be_open()

    def close(self) -> None:
        self.closed = True

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self.closed:
            raise ValueError("mmap closed or invalid")


def mapping(memory: WeakMemory, real: Any, stack: ExitStack) -> Callable[..., Any]:
    """What stands for `mmap.mmap`. Maps of one file are the same memory."""

    def make(fileno: int, length: int, *rest: Any, **named: Any) -> Any:
        if sys._getframe(1).f_globals.get("__name__") in _MAPPING:
            return real(fileno, length, *rest, **named)
        if rest or named or fileno < 0:
            raise UnsupportedView(
                "weak_memory models mmap(fileno, length) of a file: shared, writable, from its start; not mmap(-1, ...)"
            )
        size = length or os.fstat(fileno).st_size

        def mapped() -> memoryview:
            own = memoryview(real(fileno, length))
            stack.callback(own.release)
            return own

        return SharedMap(memory, memory.segment(file_of(fileno), f"file {fileno}", mapped), size)

    return make

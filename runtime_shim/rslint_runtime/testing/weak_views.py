"""Shared memory as a memoryview whose accesses go through the model of weak memory."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from rslint_runtime.testing.weak_state import UnsupportedView

if TYPE_CHECKING:
    from rslint_runtime.testing.weak_model import WeakMemory
    from rslint_runtime.testing.weak_state import Segment


_BYTES = [bytes([value]) for value in range(256)]


class SharedBytes:
    """Stands for `memoryview` of unsigned bytes: indices, slices with step 1, `bytes()`, iteration, comparison, `with`.

    It is no buffer: what wants one (`memoryview()`, `pickle.loads`, `socket.recv_into`) raises `TypeError`, since its
    accesses could not be seen. `bytes(view)` first.
    """

    format, itemsize, ndim, readonly = "B", 1, 1, False
    strides, contiguous, c_contiguous = (1,), True, True
    __hash__ = None  # type: ignore[assignment]

    __slots__ = ("end", "memory", "segment", "start")

    def __init__(self, memory: WeakMemory, segment: Segment, start: int, end: int) -> None:
        self.memory, self.segment, self.start, self.end = memory, segment, start, end

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def nbytes(self) -> int:
        return len(self)

    def __getitem__(self, index: int | slice) -> int | SharedBytes:
        if isinstance(index, slice):
            return self.part(*self._range(index))
        at = self.start + index if index >= 0 else self.end + index
        if not self.start <= at < self.end:
            raise IndexError("index out of bounds on dimension 1")
        return self.memory.load_byte(self.segment, at)

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            start, end = self._range(index)
            data = bytes(value)
            if len(data) != end - start:
                raise ValueError("memoryview assignment: lvalue and rvalue have different structures")
            self.put(start, data, bulk=True)
            return
        at = self.start + index if index >= 0 else self.end + index
        if not self.start <= at < self.end:
            raise IndexError("index out of bounds on dimension 1")
        if not 0 <= value < 256:
            raise ValueError("memoryview: invalid value for format 'B'")
        self.memory.store(self.segment, at, _BYTES[value], bulk=False)

    def __iter__(self) -> Iterator[int]:
        load, segment = self.memory.load_byte, self.segment
        for at in range(self.start, self.end):
            yield load(segment, at)

    def __bytes__(self) -> bytes:
        return self.take(0, len(self), bulk=True)

    def tobytes(self) -> bytes:
        return bytes(self)

    def tolist(self) -> list[int]:
        return list(bytes(self))

    def hex(self) -> str:
        return bytes(self).hex()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (bytes, bytearray, memoryview, SharedBytes)):
            return NotImplemented
        return bytes(self) == bytes(other)

    def release(self) -> None:
        """Nothing: the segment's own view is kept."""

    def toreadonly(self) -> SharedBytes:
        return ReadOnlyBytes(self.memory, self.segment, self.start, self.end)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __enter__(self) -> SharedBytes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `release`."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedView(f"weak_memory does not model memoryview.{name}")

    def part(self, start: int, end: int) -> SharedBytes:
        """The bytes from `start` to `end` as a view of their own."""
        return SharedBytes(self.memory, self.segment, self.start + start, self.start + end)

    def cast(self, form: str, shape: Any = None) -> Any:
        """As items of another format."""
        from rslint_runtime.testing.weak_items import cast

        return cast(self, form, shape)

    def take(self, start: int, end: int, *, bulk: bool) -> bytes:
        """Load bytes of this view."""
        return self.memory.load(self.segment, self.start + start, self.start + end, bulk=bulk)

    def put(self, start: int, data: bytes, *, bulk: bool) -> None:
        """Store bytes to this view. Raises IndexError where they do not fit."""
        if start < 0 or start + len(data) > len(self):
            raise IndexError("index out of bounds")
        self.memory.store(self.segment, self.start + start, data, bulk=bulk)

    def _range(self, index: slice) -> tuple[int, int]:
        start, end, step = index.indices(self.end - self.start)
        if step != 1:
            raise UnsupportedView("weak_memory models slices with step 1")
        return start, max(start, end)


class ReadOnlyBytes(SharedBytes):
    """What `memoryview.toreadonly` gives."""

    __slots__ = ()
    readonly = True

    def part(self, start: int, end: int) -> SharedBytes:
        return ReadOnlyBytes(self.memory, self.segment, self.start + start, self.start + end)

    def __setitem__(self, index: int | slice, value: Any) -> None:
        raise TypeError("cannot modify read-only memory")

    def put(self, start: int, data: bytes, *, bulk: bool) -> None:
        raise TypeError("cannot modify read-only memory")

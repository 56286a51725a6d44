"""Shared memory as a memoryview of wider items: what `memoryview.cast` gives."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

from rslint_runtime.testing.weak_state import UnsupportedView
from rslint_runtime.testing.weak_views import SharedBytes

_WORD = 8


class SharedItems:
    """Stands for a one-dimensional `memoryview` with a format: indices, slices with step 1, assignment, `tolist`,
    `tobytes`, `cast` back to bytes, iteration, comparison, `with`. An item of up to 8 bytes is one access."""

    ndim = 1
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: SharedBytes, form: str) -> None:
        self._data, self._one = data, struct.Struct(form)
        self.format, self.itemsize = form, self._one.size

    @property
    def nbytes(self) -> int:
        return len(self._data)

    @property
    def readonly(self) -> bool:
        return self._data.readonly

    def __len__(self) -> int:
        return len(self._data) // self.itemsize

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return SharedItems(self._part(index), self.format)
        at = self._at(index)
        return self._one.unpack(self._data.take(at, at + self.itemsize, bulk=self.itemsize > _WORD))[0]

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            if getattr(value, "format", "") != self.format:
                raise ValueError("memoryview assignment: lvalue and rvalue have different structures")
            part, data = self._part(index), value.tobytes()
            if len(part) != len(data):
                raise ValueError("memoryview assignment: lvalue and rvalue have different structures")
            part.put(0, data, bulk=True)
            return
        try:
            data = self._one.pack(value)
        except struct.error as error:
            raise ValueError(f"memoryview: invalid value for format {self.format!r}") from error
        self._data.put(self._at(index), data, bulk=self.itemsize > _WORD)

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self)):
            yield self[index]

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def tobytes(self) -> bytes:
        return bytes(self)

    def tolist(self) -> list[Any]:
        return [one for (one,) in self._one.iter_unpack(bytes(self))]

    def cast(self, form: str) -> Any:
        if form not in ("B", "b", "c"):
            raise TypeError("memoryview: cannot cast between two non-byte formats")
        return self._data.cast(form)

    def release(self) -> None:
        """Nothing: the segment's own view is kept."""

    def __enter__(self) -> SharedItems:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `release`."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (memoryview, SharedItems)):
            return NotImplemented
        return self.tolist() == other.tolist()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedView(f"weak_memory does not model memoryview.{name}")

    def _at(self, index: int) -> int:
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError("index out of bounds on dimension 1")
        return at * self.itemsize

    def _part(self, index: slice) -> SharedBytes:
        start, end, step = index.indices(len(self))
        if step != 1:
            raise UnsupportedView("weak_memory models slices with step 1")
        return self._data.part(start * self.itemsize, max(start, end) * self.itemsize)


def cast(data: SharedBytes, form: str, shape: Any = None) -> Any:
    """`memoryview.cast` of modelled bytes. Raises as it does where the size does not fit; several dimensions are not
    modelled."""
    if shape is not None:
        raise UnsupportedView("weak_memory does not model memoryview.cast with a shape")
    form = form.removeprefix("@")
    if form == "B":
        return data
    if len(form) != 1 or form not in "bchHiIlLqQnNfd?":
        raise ValueError("memoryview: destination format must be a native single character format")
    if len(data) % struct.calcsize(form):
        raise TypeError("memoryview: length is not a multiple of itemsize")
    return SharedItems(data, form)

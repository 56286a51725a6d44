"""NumPy arrays over modelled memory: `numpy.ndarray(buffer=…)`, `numpy.frombuffer` and `numpy.copyto`."""

from __future__ import annotations

import functools
from typing import Any

import numpy

from rslint_runtime.testing.weak_elements import load_elements, store_elements
from rslint_runtime.testing.weak_state import UnsupportedView
from rslint_runtime.testing.weak_views import SharedBytes

_READING = frozenset(
    "all any argmax argmin argsort cumsum dot flatten max mean min nonzero prod round searchsorted std var".split()
)


class SharedArray(numpy.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array: indices, slices, masks, assignment, operators, `copy`, `tobytes`, `tolist`, `item`, `fill`,
    `len`, `shape`.

    Given to NumPy's own functions it is loaded: they get a copy that cannot be written to. What a ufunc is to write
    into it (`out=`, `+=`) is stored.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, memory: SharedBytes, elements: Any, dtype: Any) -> None:
        self._memory, self._elements, self.dtype = memory, elements, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._elements.shape)

    @property
    def size(self) -> int:
        return int(self._elements.size)

    @property
    def nbytes(self) -> int:
        return self.size * int(self.dtype.itemsize)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, index: Any) -> Any:
        chosen = self._elements[index]
        if isinstance(chosen, numpy.integer):
            return numpy.frombuffer(self._load([int(chosen)]), self.dtype)[0]
        return SharedArray(self._memory, chosen, self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        chosen = self._elements[index]
        given = value.copy() if isinstance(value, SharedArray) else value
        shape = () if isinstance(chosen, numpy.integer) else chosen.shape
        data = numpy.ascontiguousarray(numpy.broadcast_to(numpy.asarray(given, self.dtype), shape))
        elements = [int(chosen)] if shape == () else chosen.ravel().tolist()
        store_elements(self._memory, elements, self.dtype.itemsize, data.tobytes())

    def copy(self) -> Any:
        loaded = numpy.frombuffer(self._load(self._elements.ravel().tolist()), self.dtype)
        return loaded.reshape(self.shape).copy()

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **named: Any) -> Any:
        loaded = [one.copy() if isinstance(one, SharedArray) else one for one in inputs]
        out = named.pop("out", ())
        if not any(isinstance(one, SharedArray) for one in out):
            return getattr(function, method)(*loaded, **named, **({"out": out} if out else {}))
        if len(out) > 1 or method != "__call__":
            raise UnsupportedView(
                f"weak_memory does not model {function.__name__}.{method} into shared memory"
            )
        out[0][...] = function(*loaded, **named)
        return out[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        loaded = self.copy() if dtype is None else self.copy().astype(dtype)
        loaded.flags.writeable = bool(copy)
        return loaded

    def __bytes__(self) -> bytes:
        return self._load(self._elements.ravel().tolist())

    def tobytes(self) -> bytes:
        return bytes(self)

    def tolist(self) -> Any:
        return self.copy().tolist()

    def item(self) -> Any:
        return self.copy().item()

    def sum(self) -> Any:
        return self.copy().sum()

    def astype(self, dtype: Any) -> Any:
        return self.copy().astype(dtype)

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any) -> SharedArray:
        return SharedArray(self._memory, self._elements.reshape(*shape), self.dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _READING:
            return getattr(self.copy(), name)
        raise UnsupportedView(f"weak_memory does not model ndarray.{name}")

    def _load(self, elements: list[int]) -> bytes:
        return load_elements(self._memory, elements, self.dtype.itemsize)


def over(memory: SharedBytes, shape: Any, dtype: Any, offset: int) -> SharedArray:
    """An array of a shape over modelled memory, from a byte on."""
    kind = numpy.dtype(dtype)
    size = (shape,) if isinstance(shape, int) else tuple(shape)
    count = int(numpy.prod(size))
    if offset + count * kind.itemsize > len(memory):
        raise TypeError("buffer is too small for requested array")
    part = memory.part(offset, offset + count * kind.itemsize)
    return SharedArray(part, numpy.arange(count).reshape(size), kind)


def replacements() -> dict[str, Any]:
    """What stands for NumPy's functions while memory is modelled."""
    return {
        "ndarray": _array_type(numpy.ndarray),
        "frombuffer": _frombuffer(numpy.frombuffer),
        "copyto": _copyto(numpy.copyto),
    }


def _array_type(real: Any) -> Any:
    """`numpy.ndarray` as programs use it: to make arrays, and with isinstance."""

    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, (real, SharedArray))

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

        def __call__(
            cls, shape: Any, dtype: Any = float, buffer: Any = None, offset: int = 0, *rest: Any, **named: Any
        ) -> Any:
            if isinstance(buffer, SharedBytes):
                if rest or named:
                    raise TypeError("weak_memory models ndarray(shape, dtype, buffer, offset)")
                return over(buffer, shape, dtype, offset)
            return real(shape, dtype, buffer, offset, *rest, **named)

    return Meta("ndarray", (), {})


def _frombuffer(real: Any) -> Any:
    @functools.wraps(real)
    def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0, **named: Any) -> Any:
        if not isinstance(buffer, SharedBytes):
            return real(buffer, dtype, count, offset, **named)
        most = (len(buffer) - offset) // numpy.dtype(dtype).itemsize
        return over(buffer, most if count < 0 else count, dtype, offset)

    return frombuffer


def _copyto(real: Any) -> Any:
    @functools.wraps(real)
    def copyto(dst: Any, src: Any, *rest: Any, **named: Any) -> None:
        if isinstance(dst, SharedArray):
            dst[...] = src
        else:
            real(dst, src, *rest, **named)

    return copyto

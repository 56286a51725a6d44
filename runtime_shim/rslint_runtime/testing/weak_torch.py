"""Tensors over modelled memory: `torch.frombuffer`."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

import torch

from rslint_runtime.testing.weak_elements import load_elements, store_elements
from rslint_runtime.testing.weak_state import UnsupportedView
from rslint_runtime.testing.weak_views import SharedBytes


class SharedTensor:
    """Stands for a tensor: indices, slices, assignment, `+=`, comparison, `copy_`, `fill_`, `zero_`, `clone`, `item`,
    `tolist`, `sum`, `numel`, `view`, `reshape`. Given to torch's own functions it is loaded: they get a copy. Those
    that would write into it (`add_`, `out=`) are refused."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, memory: SharedBytes, elements: torch.Tensor, dtype: torch.dtype) -> None:
        self._memory, self._elements, self.dtype = memory, elements, dtype

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        named = named or {}
        if (name.endswith("_") and not name.endswith("__")) or isinstance(named.get("out"), SharedTensor):
            raise UnsupportedView(f"weak_memory does not model torch's {name} into shared memory")
        loaded = [
            [_loaded(part) for part in one] if isinstance(one, (list, tuple)) else _loaded(one)
            for one in given
        ]
        return function(*loaded, **{key: _loaded(value) for key, value in named.items()})

    @property
    def shape(self) -> torch.Size:
        return self._elements.shape

    def numel(self) -> int:
        return self._elements.numel()

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, index: Any) -> SharedTensor:
        return SharedTensor(self._memory, self._elements[index], self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        self[index].copy_(value)

    def copy_(self, value: Any) -> SharedTensor:
        given = value.clone() if isinstance(value, SharedTensor) else torch.as_tensor(value, dtype=self.dtype)
        data = given.to(self.dtype).broadcast_to(self.shape).contiguous().view(-1)
        raw = bytes(data.view(torch.uint8).tolist())
        store_elements(self._memory, self._order(), self.dtype.itemsize, raw)
        return self

    def fill_(self, value: Any) -> SharedTensor:
        return self.copy_(value)

    def zero_(self) -> SharedTensor:
        return self.copy_(0)

    def clone(self) -> torch.Tensor:
        raw = bytearray(load_elements(self._memory, self._order(), self.dtype.itemsize))
        if not raw:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.tensor(list(raw), dtype=torch.uint8).view(self.dtype).reshape(self.shape)

    def item(self) -> Any:
        return self.clone().item()

    def tolist(self) -> Any:
        return self.clone().tolist()

    def sum(self) -> torch.Tensor:
        return self.clone().sum()

    def __bool__(self) -> bool:
        return bool(self.clone())

    def __int__(self) -> int:
        return int(self.clone())

    def __iadd__(self, other: Any) -> SharedTensor:
        return self.copy_(self.clone() + _loaded(other))

    def __eq__(self, other: object) -> Any:
        return self.clone() == _loaded(other)

    def __ne__(self, other: object) -> Any:
        return self.clone() != _loaded(other)

    def __lt__(self, other: Any) -> Any:
        return self.clone() < _loaded(other)

    def __le__(self, other: Any) -> Any:
        return self.clone() <= _loaded(other)

    def __gt__(self, other: Any) -> Any:
        return self.clone() > _loaded(other)

    def __ge__(self, other: Any) -> Any:
        return self.clone() >= _loaded(other)

    def reshape(self, *shape: Any) -> SharedTensor:
        return SharedTensor(self._memory, self._elements.reshape(*shape), self.dtype)

    def view(self, *shape: Any) -> SharedTensor:
        if shape and isinstance(shape[0], torch.dtype):
            raise TypeError("weak_memory does not model Tensor.view(dtype): give torch.frombuffer the dtype")
        return self.reshape(*shape)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedView(f"weak_memory does not model Tensor.{name}")

    def _order(self) -> list[int]:
        order: list[int] = self._elements.reshape(-1).tolist()
        return order


def _loaded(value: Any) -> Any:
    return value.clone() if isinstance(value, SharedTensor) else value


def frombuffer(real: Any) -> Any:
    """`torch.frombuffer` that gives a `SharedTensor` over modelled memory, and a tensor over any other."""

    @functools.wraps(real)
    def make(buffer: Any, *, dtype: torch.dtype, count: int = -1, offset: int = 0, **named: Any) -> Any:
        if not isinstance(buffer, SharedBytes):
            return real(buffer, dtype=dtype, count=count, offset=offset, **named)
        size = (len(buffer) - offset) // dtype.itemsize if count < 0 else count
        if size <= 0 or offset + size * dtype.itemsize > len(buffer):
            raise ValueError("the buffer is too small for the tensor")
        part = buffer.part(offset, offset + size * dtype.itemsize)
        return SharedTensor(part, torch.arange(size), dtype)

    return make

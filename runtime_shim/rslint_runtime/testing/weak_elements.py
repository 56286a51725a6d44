"""Elements of an array over modelled memory: which runs of bytes an index means, whatever library the array is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rslint_runtime.testing.weak_views import SharedBytes


def runs(elements: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Element numbers in order as half-open ranges of neighbours."""
    position = 0
    while position < len(elements):
        end = position + 1
        while end < len(elements) and elements[end] == elements[end - 1] + 1:
            end += 1
        yield elements[position], elements[end - 1] + 1
        position = end


def load_elements(memory: SharedBytes, elements: Sequence[int], size: int) -> bytes:
    """The bytes of elements of `size` bytes each, in the order given; one element is one access."""
    bulk = len(elements) > 1
    return b"".join(memory.take(first * size, last * size, bulk=bulk) for first, last in runs(elements))


def store_elements(memory: SharedBytes, elements: Sequence[int], size: int, data: bytes) -> None:
    """Store bytes to elements, in the order given. A wider element than 8 bytes is no single access."""
    bulk = len(elements) > 1 or size > 8
    position = 0
    for first, last in runs(elements):
        length = (last - first) * size
        memory.put(first * size, data[position : position + length], bulk=bulk)
        position += length

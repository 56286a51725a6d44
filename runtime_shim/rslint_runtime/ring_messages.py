"""Python objects as messages: a pickle, and behind it the buffers that pickle protocol 5 leaves out of it.

    number of buffers, length of the pickle, length of each buffer, pickle, buffers

Large buffers (of NumPy arrays, or wrapped in a `PickleBuffer`) are copied once into the ring and once out of it.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

from rslint_runtime.ring_layout import PICKLE, PICKLE_WITH_BUFFERS

__all__ = ["lay_out", "object_of", "pickled_frames", "sized"]

_LENGTH = 8


def pickled_frames(value: object) -> list[Any]:
    """The pickle and the raw buffers that go with it. Raises what pickling raises."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [data, *[buffer.raw() for buffer in buffers]]


def lay_out(frames: list[Any]) -> tuple[int, list[Any], int]:
    """Kind, parts in order, and bytes of the message that these frames make."""
    if len(frames) == 1:
        return PICKLE, frames, len(frames[0])
    lengths = [len(frame) for frame in frames]
    head = struct.pack(f"<{1 + len(lengths)}Q", len(lengths) - 1, *lengths)
    return PICKLE_WITH_BUFFERS, [head, *frames], len(head) + sum(lengths)


def object_of(kind: int, view: memoryview) -> Any:
    """The object of a message. It keeps nothing of `view`: buffers are copied, as bytearrays, so it owns its memory."""
    if kind == PICKLE:
        return pickle.loads(view)
    if kind != PICKLE_WITH_BUFFERS:
        return bytes(view)
    (buffers,) = struct.unpack_from("<Q", view, 0)
    lengths = struct.unpack_from(f"<{1 + buffers}Q", view, _LENGTH)
    start = _LENGTH * (2 + buffers)
    frames = []
    for length in lengths:
        frames.append(view[start : start + length])
        start += length
    return pickle.loads(frames[0], buffers=[bytearray(frame) for frame in frames[1:]])


def sized(data: Any) -> tuple[Any, int]:
    """A buffer whose length is its bytes, and these. Raises TypeError for what is none or not contiguous."""
    if not isinstance(data, (bytes, bytearray)):
        data = memoryview(data).cast("B")
    return data, len(data)

"""Python objects as messages: a pickle, and behind it the buffers that pickle protocol 5 leaves out of it.

    number of buffers, length of the pickle, length of each buffer, pickle, buffers

Large buffers (of NumPy arrays, or wrapped in a `PickleBuffer`) are copied once into the ring and once out of it.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, cast

from rslint_runtime.ring_layout import PICKLE, PICKLE_WITH_BUFFERS

__all__ = ["LARGE", "message_of", "object_of", "sized"]

# Pickle hands on bytes of this size as they are, instead of copying them into its output.
LARGE = 1 << 16
_LENGTH = 8


class _Pieces(list[Any]):
    """What a Pickler writes, in pieces."""

    write = list.append


def message_of(value: object, *, large: bool) -> tuple[int, list[Any], int]:
    """Kind, pieces in order, and bytes of the message that an object makes. Raises what pickling raises.

    `large` is a guess, and decides about speed alone: pieces spare a large object a copy, and cost a small one time.
    """
    buffers: list[pickle.PickleBuffer] = []
    if large:
        pieces = _Pieces()
        pickle.Pickler(cast(Any, pieces), protocol=5, buffer_callback=buffers.append).dump(value)
        size = sum(map(len, pieces))
    else:
        pieces = _Pieces([pickle.dumps(value, protocol=5, buffer_callback=buffers.append)])
        size = len(pieces[0])
    if not buffers:
        return PICKLE, pieces, size
    raw = [buffer.raw() for buffer in buffers]
    lengths = [size, *map(len, raw)]
    head = struct.pack(f"<{1 + len(lengths)}Q", len(raw), *lengths)
    return PICKLE_WITH_BUFFERS, [head, *pieces, *raw], len(head) + sum(lengths)


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

"""Searches the bytes of files for words."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence

DEFAULT_MARKERS = (
    "torch.distributed", "import distributed", "init_process_group", "barrier", "broadcast", "all_reduce",
    "allreduce", "all_gather", "allgather", "reduce_scatter", "all_to_all", "new_group", "_group", "get_rank",
    "world_size", "is_main_process", "SharedMemory", "rslint_runtime",
)  # fmt: skip
"""What marks a project as one to analyse where the models name nothing."""

_DIGITS = string.digits.encode()
_IN_WORDS = frozenset((string.ascii_letters + string.digits + "_").encode()) | frozenset(range(0x80, 0x100))
_SPACED = bytes(byte if byte in _IN_WORDS else ord(" ") for byte in range(0x100))


def any_marker(files: Iterable[bytes], markers: Sequence[str]) -> bool:
    """Whether a marker occurs in any of the files' bytes: without one there is nothing to analyse."""
    marker = re.compile(b"|".join(re.escape(one.encode()) for one in markers))
    return any(marker.search(data) for data in files)


def words_of(data: bytes) -> bytes:
    """Every identifier-like word of a file once, those in strings and comments included, with spaces between."""
    found = frozenset(data.translate(_SPACED).split())
    return b" ".join(frozenset([word.lstrip(_DIGITS) for word in found]))

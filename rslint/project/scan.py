"""Searches the bytes of files for words."""

from __future__ import annotations

import re
from collections.abc import Sequence

DEFAULT_MARKERS = (
    "torch.distributed", "import distributed", "init_process_group", "barrier", "broadcast", "all_reduce",
    "allreduce", "all_gather", "allgather", "reduce_scatter", "all_to_all", "new_group", "_group", "get_rank",
    "world_size", "is_main_process", "SharedMemory", "rslint_runtime",
)  # fmt: skip
"""What marks a file as relevant where the models name nothing."""

_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")


def holds_marker(words: bytes, data: bytes, markers: Sequence[str]) -> bool:
    """Whether any marker occurs; `words` are the file's words, which a marker without dots or spaces is
    part of."""
    for marker in markers:
        encoded = marker.encode()
        if encoded in (words if _WORD.fullmatch(encoded) else data):
            return True
    return False


def words_of(data: bytes) -> bytes:
    """Every identifier-like word of a file once, those in strings and comments included, with spaces between."""
    return b" ".join(frozenset(_WORD.findall(data)))

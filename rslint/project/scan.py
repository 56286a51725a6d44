"""Searches the bytes of files for words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

DEFAULT_MARKERS = (
    "torch.distributed", "import distributed", "init_process_group", "barrier", "broadcast", "all_reduce",
    "allreduce", "all_gather", "allgather", "reduce_scatter", "all_to_all", "new_group", "_group", "get_rank",
    "world_size", "is_main_process", "SharedMemory", "rslint_runtime",
)  # fmt: skip
"""What marks a project as one to analyse where the models name nothing."""

_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")


def any_marker(files: Iterable[bytes], markers: Sequence[str]) -> bool:
    """Whether a marker occurs in any of the files' bytes: without one there is nothing to analyse."""
    marker = re.compile(b"|".join(re.escape(one.encode()) for one in markers))
    return any(marker.search(data) for data in files)


def words_of(data: bytes) -> bytes:
    """Every identifier-like word of a file once, those in strings and comments included, with spaces between."""
    return b" ".join(frozenset(_WORD.findall(data)))

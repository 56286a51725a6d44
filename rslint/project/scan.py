"""Searches the bytes of files for words before anything is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable

DEFAULT_MARKERS = (
    "torch.distributed", "import distributed", "init_process_group", "barrier", "broadcast", "all_reduce",
    "allreduce", "all_gather", "allgather", "reduce_scatter", "all_to_all", "new_group", "_group", "get_rank",
    "world_size", "is_main_process", "SharedMemory", "rslint_runtime",
)  # fmt: skip
"""What marks a file as relevant where the models name nothing."""

_WORD = re.compile(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*")
_DEFINED = re.compile(rb"\bdef[ \t]+([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)")


def marker_pattern(markers: Iterable[str]) -> re.Pattern[bytes]:
    """One pattern that finds any of the markers."""
    words = sorted(set(markers)) or sorted(DEFAULT_MARKERS)
    return re.compile(b"|".join(re.escape(word.encode()) for word in words))


def words_of(data: bytes) -> frozenset[bytes]:
    """Every identifier-like word of a file, those in strings and comments included."""
    return frozenset(_WORD.findall(data))


def defined_names(data: bytes) -> frozenset[bytes]:
    """The names that follow `def`."""
    return frozenset(_DEFINED.findall(data))


def calls_name(data: bytes, name: str) -> bool:
    """Whether `name(` occurs: no call of that name exists in files without it."""
    word = re.escape(name.encode())
    return re.search(rb"\b" + word + rb"(?:[ \t]|\\\r?\n)*\(", data) is not None


def derives_from(data: bytes, name: str) -> bool:
    """Whether a class statement, or an alias made by an import, names `name`."""
    word = re.escape(name.encode())
    pattern = (
        rb"\bclass[ \t]+\w+[ \t]*\([^)]*\b" + word + rb"\b|\b" + word + rb"[ \t]+as[ \t]|\b" + word + rb"\s*$"
    )
    alias = rb"=[ \t]*(?:\w+\.)*" + word + rb"[ \t]*(?:#|\r|\n|$)"
    return re.search(pattern + rb"|" + alias, data) is not None

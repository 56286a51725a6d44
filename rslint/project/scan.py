"""Searches the bytes of files for words before anything is parsed."""

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
_DEFINED = re.compile(rb"def[ \t]+([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)")
_BASES = re.compile(rb"class[ \t]+[A-Za-z0-9_\x80-\xff]+[ \t]*\(([^)]*)")
_ALIAS = re.compile(rb"([A-Za-z0-9_\x80-\xff]+)[ \t]+as[ \t]+([A-Za-z0-9_\x80-\xff]+)")


def holds_marker(words: bytes, data: bytes, markers: Sequence[str]) -> bool:
    """Whether any marker occurs; `words` are the file's words, which a marker without dots or spaces is
    part of."""
    for marker in markers:
        encoded = marker.encode()
        if encoded in (words if _WORD.fullmatch(encoded) else data):
            return True
    return False


def words_of(data: bytes) -> frozenset[bytes]:
    """Every identifier-like word of a file, those in strings and comments included."""
    return frozenset(_WORD.findall(data))


def defined_names(data: bytes) -> frozenset[bytes]:
    """The names that follow `def`."""
    return frozenset(_DEFINED.findall(data))


def base_names(data: bytes) -> frozenset[bytes]:
    """The words in class statements' parentheses, with what imports call by another name (`Base as B`)
    resolved."""
    found = {word for bases in _BASES.findall(data) for word in _WORD.findall(bases)}
    if found and b" as " in data:
        found |= {name for name, alias in _ALIAS.findall(data) if alias in found}
    return frozenset(found)


def calls_name(data: bytes, name: str) -> bool:
    """Whether `name(` occurs: no call of that name exists in files without it."""
    return re.search(re.escape(name.encode()) + rb"(?:[ \t]|\\\r?\n)*\(", data) is not None

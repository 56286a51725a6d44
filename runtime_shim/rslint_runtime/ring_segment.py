"""Segments of a ring: made, attached without the resource tracker, removed by name."""

from __future__ import annotations

import contextlib
import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

__all__ = ["attach_segment", "make_segment", "remove_segment", "segment_file"]


def make_segment(name: str | None, size: int) -> SharedMemory:
    segment = _untracked(name=name, create=True, size=size)
    try:
        os.posix_fallocate(segment._fd, 0, size)  # type: ignore[attr-defined]
    except BaseException:
        segment.close()
        remove_segment(segment.name)
        raise
    return segment


def attach_segment(name: str) -> SharedMemory:
    return _untracked(name=name)


def remove_segment(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(segment_file(name))


def segment_file(name: str) -> str:
    return "/dev/shm/" + name


def _untracked(**named: Any) -> SharedMemory:
    if sys.version_info >= (3, 13):
        return SharedMemory(**named, track=False)
    segment = SharedMemory(**named)
    resource_tracker.unregister("/" + segment.name, "shared_memory")
    return segment

"""Segments of a ring: made and attached without the resource tracker, removed by name."""

from __future__ import annotations

import contextlib
import os
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

__all__ = ["RingSegment", "attach_segment", "make_segment", "remove_segment", "segment_file"]


class RingSegment(SharedMemory):
    def unlink(self) -> None:
        remove_segment(self.name)

    def hand_over(self) -> None:
        pass


def make_segment(size: int, label: str) -> RingSegment:
    segment = _untracked(name=f"rslint-{label}-{os.getpid()}-{os.urandom(8).hex()}", create=True, size=size)
    try:
        os.posix_fallocate(segment._fd, 0, size)  # type: ignore[attr-defined]
    except BaseException:
        segment.close()
        remove_segment(segment.name)
        raise
    return segment


def attach_segment(name: str) -> RingSegment:
    return _untracked(name=name)


def remove_segment(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(segment_file(name))


def segment_file(name: str) -> str:
    return "/dev/shm/" + name


def _untracked(**named: Any) -> RingSegment:
    if sys.version_info >= (3, 13):
        return RingSegment(**named, track=False)
    segment = RingSegment(**named)
    resource_tracker.unregister("/" + segment.name, "shared_memory")
    return segment

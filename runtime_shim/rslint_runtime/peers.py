"""Who takes part in something that processes share, and whether they still live: places that the kernel takes back.

A member locks one byte of the segment's file with an *open file description* lock, and the kernel gives it back when
the process is gone, whatever it died of, and at no other time. Chosen over its alternatives because

- a process id says nothing to a process in another pid namespace (containers that share /dev/shm), and is used again;
  with the start time beside it, the first holds still;
- `fcntl.lockf` locks belong to the process: they are gone when any descriptor of the file is closed in it, and two
  threads cannot hold a place each;
- `flock` locks the whole file, not a place in it;
- a socket or pipe has to be passed from process to process, and a segment is opened by name.

A child that is forked shares the description and would keep its parent's places alive. It closes them at once.

Source: fcntl(2), "Open file description locks" (Linux 3.15 and later).
"""

from __future__ import annotations

import os
import struct
import sys
import weakref
from dataclasses import dataclass
from typing import Any

__all__ = ["Peer", "PeerDiedError", "Place", "SlowReaderError", "is_held"]

# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "@hhqqi4x"


@dataclass(frozen=True)
class Peer:
    """A member of a ring.

    Attributes:
        role: "writer" or "reader".
        rank: which of the readers; None for the writer.
        pid: its process id in its own pid namespace; 0 before it has come.
        state: "expected" (has not come), "joining" (comes in with the next message), "attached", "closed" (has left),
            "failed" (has left with an exception), "died" (is gone without having left), or "dropped" (failed or died,
            and the writer goes on without it).
        behind: how many messages a reader has still to read; 0 for the writer and for readers nobody waits for.
        reason: the exception that a member that failed has left with, as far as there was room for it.
    """

    role: str
    rank: int | None
    pid: int
    state: str
    behind: int = 0
    reason: str = ""

    def __str__(self) -> str:
        name = self.role if self.rank is None else f"{self.role} {self.rank}"
        return f"{name} (pid {self.pid})" if self.pid else name

    @property
    def fate(self) -> str:
        """How it ended, as a part of a sentence."""
        return f"left with {self.reason}" if self.state == "failed" else "died"


class PeerDiedError(ConnectionError):
    """Another member of a ring has died: it was killed, it crashed, it forgot to close, or it left with an exception.

    Attributes:
        ring: the ring's name.
        peers: who, with rank and pid.
    """

    def __init__(self, ring: str, peers: tuple[Peer, ...]) -> None:
        super().__init__(f"ring {ring}: " + ", ".join(f"{peer} {peer.fate}" for peer in peers))
        self.ring, self.peers = ring, peers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ring, self.peers)


class SlowReaderError(TimeoutError):
    """A reader did not read in time, or has not come yet.

    Attributes:
        peers: the readers that are behind, with rank, pid and how far.
    """

    def __init__(self, message: str, peers: tuple[Peer, ...]) -> None:
        super().__init__(message)
        self.peers = peers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.peers)


class Place:
    """A place in a segment's file that is this process's until it is released or the process is gone."""

    def __init__(self, path: str, number: int) -> None:
        """Take place `number`.

        Raises:
            BlockingIOError: somebody holds it.
            FileNotFoundError: there is no such segment.
            OSError: not on Linux.
        """
        _need_linux()
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        _places.add(self)
        # A member that is dropped without being closed counts as dead; it must not look alive as long as its process.
        self._closing = weakref.finalize(self, os.close, self.fd)
        try:
            _take(self.fd, number)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the place back. Doing it twice is harmless."""
        self.fd = -1
        _places.discard(self)
        self._closing()


_places: weakref.WeakSet[Place] = weakref.WeakSet()


def is_held(fd: int, number: int) -> bool:
    """Whether another open file description than `fd` holds place `number`."""
    import fcntl

    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock_of(fcntl.F_WRLCK, number))
    return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)


def _take(fd: int, number: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock_of(fcntl.F_WRLCK, number))


def _flock_of(kind: int, number: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, number, 1, 0)


def _need_linux() -> None:
    if sys.platform != "linux":
        raise OSError(
            f"a ring needs Linux, whose file locks tell a dead process from a slow one; this is {sys.platform}"
        )


def _leave_places_to_parent() -> None:
    for place in list(_places):
        place.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_places_to_parent)

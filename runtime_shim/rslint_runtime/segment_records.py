"""The records behind a segment's payload: who made it, how large it is, and which processes have arrived.

A segment's file is the payload, filled up to whole pages, and behind it records of 64 bytes: one stamp of its maker,
and one for each process that has attached. The payload comes first, so that whoever knows nothing of this (a reader in
C++, `SharedMemory(name)`) finds it at the start. A record is appended by one `write` with O_APPEND, which the kernel
carries out under the lock of the file: no two processes get the same place, and none that is killed leaves half a
record or a lock.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

__all__ = [
    "Arrival",
    "Stamp",
    "append_arrival",
    "append_stamp",
    "arrivals",
    "pages_of",
    "read_stamp",
    "this_process",
]

_RECORD = struct.Struct("<8s8sQqq16s8x")
_STAMP_MAGIC = b"rslint\x00S"
_ARRIVAL_MAGIC = b"rslint\x00A"
_NO_PROCESS = bytes(16)


@dataclass(frozen=True)
class Stamp:
    """The maker's record: generation, bytes of payload, and the process that made it."""

    generation: str
    size: int
    pid: int


@dataclass(frozen=True)
class Arrival:
    """The record of a process that has attached: its pid, its rank (-1 where it had none), and 16 random bytes that
    stand for the process, since pids of two containers may be the same."""

    pid: int
    rank: int
    process: bytes


def pages_of(size: int) -> int:
    """Bytes of the whole pages that hold `size` bytes."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def append_stamp(fd: int, stamp: Stamp) -> None:
    """Write the stamp behind the payload; `fd` is open with O_APPEND, its file as large as the payload's pages."""
    _append(fd, _STAMP_MAGIC, stamp.generation, (stamp.size, stamp.pid, -1, _NO_PROCESS))


def append_arrival(fd: int, stamp: Stamp, rank: int) -> None:
    """Tell once that this process has attached as `rank`; `fd` is open with O_APPEND."""
    process = this_process()
    if all((one.process, one.rank) != (process, rank) for one in arrivals(fd, stamp)):
        _append(fd, _ARRIVAL_MAGIC, stamp.generation, (stamp.size, os.getpid(), rank, process))


def _append(fd: int, magic: bytes, generation: str, rest: tuple[int, int, int, bytes]) -> None:
    written = os.write(fd, _RECORD.pack(magic, bytes.fromhex(generation), *rest))
    if written != _RECORD.size:
        raise OSError(f"only {written} of a record's {_RECORD.size} bytes were written")


def read_stamp(fd: int, generation: str) -> Stamp | None:
    """The stamp of a file whose name tells this generation; None where there is none, or another one's."""
    total = os.fstat(fd).st_size
    last = _unpacked(os.pread(fd, _RECORD.size, max(0, total - _RECORD.size)))
    if last is None:
        return None
    first = os.pread(fd, _RECORD.size, pages_of(last[2])) if last[2] <= total else b""
    stamp = _unpacked(first)
    if stamp is None or stamp[0] != _STAMP_MAGIC or stamp[1].hex() != generation:
        return None
    return Stamp(generation, stamp[2], stamp[3])


def arrivals(fd: int, stamp: Stamp) -> tuple[Arrival, ...]:
    """Who has attached so far, in order."""
    start = pages_of(stamp.size) + _RECORD.size
    records = os.pread(fd, max(0, os.fstat(fd).st_size - start), start)
    whole = len(records) // _RECORD.size * _RECORD.size
    return tuple(
        Arrival(pid, rank, process)
        for magic, generation, _, pid, rank, process in _RECORD.iter_unpack(records[:whole])
        if magic == _ARRIVAL_MAGIC and generation.hex() == stamp.generation
    )


def _unpacked(record: bytes) -> tuple[bytes, bytes, int, int, int, bytes] | None:
    if len(record) != _RECORD.size:
        return None
    magic, generation, size, pid, rank, process = _RECORD.unpack(record)
    return (magic, generation, size, pid, rank, process) if magic in (_STAMP_MAGIC, _ARRIVAL_MAGIC) else None


_process_token: tuple[int, bytes] = (0, _NO_PROCESS)


def this_process() -> bytes:
    """Random bytes that this process keeps, and no child of it has."""
    global _process_token
    if _process_token[0] != os.getpid():
        _process_token = (os.getpid(), os.urandom(16))
    return _process_token[1]

"""Shared-memory segments with one owner: what it made is removed when it is done, and by nobody else.

What they do otherwise than `multiprocessing.shared_memory`:

- No resource tracker hears of them, on any Python. `SharedMemory(name)` registers what it attaches with the tracker of
  its process, which unlinks it when that process ends, under the feet of its maker (CPython issue 82300); to unregister
  afterwards takes the maker's entry away where both share a tracker. Here nothing is registered, so nothing is undone.
- All pages are reserved before the name is told: a full /dev/shm is an OSError in `create`, no SIGBUS at a later store.
- A name is never used twice (`segment_names`), so a stale one finds nothing instead of a newer segment.
- What an owner that was killed has left behind is found by `remove_orphans`, which cannot take away anything else.
- Views stay valid whatever is closed (`segment_handle`).

What is promised when which process dies stands in docs/guarantees/segments.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rslint_runtime.orphans import owner_lock, remove_if_orphaned
from rslint_runtime.segment_handle import Segment
from rslint_runtime.segment_names import (
    generation_of,
    label_of,
    new_segment_name,
    segment_path,
    segments_folder,
)
from rslint_runtime.segment_peers import Attendance, expected_peers, this_rank
from rslint_runtime.segment_records import Stamp, append_arrival, append_stamp, pages_of, read_stamp
from rslint_runtime.waiting import checked_timeout, wait_until, wait_until_async

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["attach", "create", "remove_orphans", "unlink_after_peers", "unlink_after_peers_async"]


def create(size: int, label: str = "") -> Segment:
    """Make a segment of `size` bytes, all zero, with a new name that holds `label`; this process owns it.

    Raises:
        TypeError: for a size that is no int.
        ValueError: for a size below 1, or a label that cannot be part of a name.
        OSError: ENOSPC when /dev/shm has not that much left, EFBIG for more than a file may have, ENOTSUP on Windows
            and macOS. Nothing is left behind then.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"the size of a segment is a number of bytes, not {size!r}")
    if size < 1:
        raise ValueError(f"a segment has at least one byte, not {size}")
    fd, name = _new_file(label)
    try:
        segment = _filled_segment(name, size)
        segment.own(fd)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment_path(name))
        os.close(fd)
        raise
    return segment


def _new_file(label: str) -> tuple[int, str]:
    """A new file that this process owns before anything is in it."""
    while True:
        name = new_segment_name(label)
        fd = owner_lock(segment_path(name), os.O_CREAT | os.O_EXCL)
        if fd is not None:  # else a sweep has found it before it was locked
            return fd, name


def _filled_segment(name: str, size: int) -> Segment:
    """The segment in a file that is there: pages, then the stamp, then the mapping."""
    # A second open file: a mapping keeps its file open, and the owner's lock must be given back before that.
    fd = os.open(segment_path(name), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            os.posix_fallocate(fd, 0, pages_of(size))
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", errno.EFBIG)
            free = os.statvfs(segments_folder())
            raise OSError(
                number,
                f"{os.strerror(number)}: {size} bytes for a segment, {free.f_bavail * free.f_frsize} are free",
                segments_folder(),
            ) from None
        generation = generation_of(name)
        assert generation is not None
        stamp = Stamp(generation, size, os.getpid())
        append_stamp(fd, stamp)
        return Segment(name, size, fd, stamp)
    finally:
        os.close(fd)


def attach(name: str, *, rank: int | None = None) -> Segment:
    """Map a segment of this machine that another process, or this one, has made. No resource tracker hears of it.

    A segment of `create` is told that this process has arrived, as `rank`, by default this process's global rank where
    torch.distributed is initialised; `unlink_after_peers` waits for that. Segments of `SharedMemory` can be attached as
    well; of them only the size is known, and it may be rounded up.

    Raises:
        FileNotFoundError: when there is none of that name, it has been removed, it is not finished, or the file of that
            name is of another generation.
        TypeError: for a name that is no str.
        ValueError: for what cannot be a name.
        PermissionError: when it is another user's.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a segment is a str, not {name!r}")
    generation = generation_of(name.removeprefix("/"))
    path = segment_path(name)
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            "there is no such segment: "
            + ("it was never made" if generation is None else "its owner has removed it, or died"),
            name,
        ) from None
    try:
        if generation is None:
            return _foreign_segment(name, fd)
        stamp = read_stamp(fd, generation)
        if stamp is None:
            raise FileNotFoundError(
                errno.ENOENT, "the file of this name is not finished, or of another generation", name
            )
        segment = Segment(name.removeprefix("/"), stamp.size, fd, stamp)
        append_arrival(fd, stamp, this_rank() if rank is None else rank)
        return segment
    finally:
        os.close(fd)


def _foreign_segment(name: str, fd: int) -> Segment:
    size = os.fstat(fd).st_size
    if size == 0:
        raise FileNotFoundError(errno.ENOENT, "the segment has no size yet: its maker is not done", name)
    return Segment(name.removeprefix("/"), size, fd, None)


def unlink_after_peers(
    segment: Segment,
    group: ProcessGroup | None = None,
    timeout: float | None = 60.0,
    *,
    peers: int | Iterable[int] | None = None,
) -> None:
    """Wait until all peers have attached, then remove the segment's name; for its owner. Peers just attach.

    No collective is run: peers tell in the segment itself that they have attached, so that one that died or raised
    cannot hang this call, and a group whose backend takes no CPU tensors does as well as any. A peer may call this too,
    so that all ranks can run the same line; it returns at once there.

    Args:
        segment: a segment of `create`.
        group: the peers are its other ranks, which must be on this machine; the default group if neither this nor
            `peers` is given.
        timeout: seconds until it gives up; with None or infinity it waits for ever, for a peer that has died too.
        peers: instead of a group: how many other processes, or which ranks, as they were given to `attach`.

    Raises:
        TimeoutError: when a peer has not attached by then; it says which. The segment is still there, and still owned.
        FileNotFoundError: when another owner removes the segment meanwhile.
        TypeError: for a group that is none, and peers that are neither a number nor ranks.
        ValueError: without group, peers and default group, on a rank that is no member of the group, and for a timeout
            below 0, or NaN.
    """
    checked_timeout(timeout)
    attendance = Attendance(segment, expected_peers(group, peers))
    if not segment.owner:
        return
    if not wait_until(attendance.complete, timeout):
        raise attendance.late(timeout)
    segment.unlink()


async def unlink_after_peers_async(
    segment: Segment,
    group: ProcessGroup | None = None,
    timeout: float | None = 60.0,
    *,
    peers: int | Iterable[int] | None = None,
) -> None:
    """`unlink_after_peers` for asyncio; other tasks run meanwhile. Cancelled, it leaves the segment in place."""
    checked_timeout(timeout)
    attendance = Attendance(segment, expected_peers(group, peers))
    if not segment.owner:
        return
    if not await wait_until_async(attendance.complete, timeout):
        raise attendance.late(timeout)
    segment.unlink()


def remove_orphans(label: str | None = None) -> tuple[str, ...]:
    """Remove the segments of ours that no living process owns, and return their names; only those with this label.

    It takes what was made by `create`, belongs to this user, and is owned by no process that lives, be it in another
    container or pid namespace. Segments of `SharedMemory` and others are never touched. Call it when a service starts.
    """
    removed = []
    for name in sorted(os.listdir(segments_folder())):
        generation = generation_of(name)
        if generation is None or label not in (None, label_of(name)):
            continue
        if remove_if_orphaned(segment_path(name), generation):
            removed.append(name)
    return tuple(removed)

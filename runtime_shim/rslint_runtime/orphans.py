"""Which segments no living process owns, by the lock that an owner holds.

An owner holds a shared `flock` on the segment's file for as long as it owns it. The kernel gives the lock back when the
process ends, however it ends, so that a segment is an orphan exactly when an exclusive lock can be had. A pid with its
start time in the name, the other way to tell, was weighed and left: it cannot be looked up from another pid namespace
(two containers that share /dev/shm would take away each other's segments), it needs /proc, and handing a segment over
to another process would have to rename it. The lock needs none of these, and knows no process by number.
"""

from __future__ import annotations

import os
import stat

from rslint_runtime.segment_records import read_stamp

__all__ = ["is_linked", "locked_alone", "owner_lock", "remove_if_orphaned"]


def owner_lock(path: str, flags: int = 0) -> int | None:
    """A descriptor that holds an owner's lock on the file; None where the file was taken away meanwhile.

    Raises OSError, FileNotFoundError among them, as `os.open` does.
    """
    import fcntl  # here, since Windows has none and must be able to import this module

    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if is_linked(fd, path):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def locked_alone(fd: int) -> bool:
    """Take the exclusive lock of a file, in place of a shared one that `fd` may hold; False where others hold one."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_linked(fd: int, path: str) -> bool:
    """Whether `path` still names the file that `fd` is open on."""
    try:
        named, opened = os.stat(path, follow_symlinks=False), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def remove_if_orphaned(path: str, generation: str) -> bool:
    """Remove the file of a segment of this generation if no living process owns it, and tell whether that was so.

    Files of other users are left alone, by root too, and so is what is no regular file, or has a payload and no stamp.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # removed since, another user's, or a link
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return False
        # Under the exclusive lock nobody becomes its owner any more: owners look whether it is linked after locking.
        if not locked_alone(fd) or not is_linked(fd, path):
            return False
        if read_stamp(fd, generation) is None and not _is_unfinished(fd):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return False  # another sweep was faster
    finally:
        os.close(fd)
    return True


def _is_unfinished(fd: int) -> bool:
    """Whether nothing has been written yet: the stamp comes before the first byte of payload."""
    return not any(os.pread(fd, 4096, 0))

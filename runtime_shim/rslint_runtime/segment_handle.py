"""A mapped segment, and who owns it: the handle that `create` and `attach` give out.

Closing never invalidates a view. `SharedMemory.close()` raises BufferError while NumPy arrays or memoryviews of it
live, and leaves tensors of `torch.frombuffer`, which nothing counts, without memory behind them. Here the handle only
lets go; the memory is unmapped when the last view of it has gone.

The owner is a process. A forked child inherits the mapping and not the ownership, since the child's exit would remove
the segment under its parent, and the parent's death would go unnoticed as long as the child lives.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import sys
import warnings
import weakref
from types import TracebackType
from typing import Any

from rslint_runtime.orphans import is_linked, locked_alone, owner_lock
from rslint_runtime.segment_names import segment_path
from rslint_runtime.segment_records import Arrival, Stamp, arrivals

__all__ = ["Segment"]


class _Ownership:
    """The lock that an owner holds, and what becomes of the segment when the owner ends without having removed it."""

    def __init__(self, name: str, path: str, fd: int) -> None:
        self._name, self._path = name, path
        self._fd: int | None = fd
        self._at_end: Any = None

    def ends_with(self, segment: Segment) -> None:
        """Remove the segment when its handle has gone, or else when the process ends."""
        finalizer = weakref.finalize(segment, self.end)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # A child that multiprocessing has forked ends without atexit before Python 3.13; and a parent must not
            # remove what its children use before it has joined them, which multiprocessing does at priority 0.
            finalizer.atexit = False
            self._at_end = util.Finalize(None, self.end, exitpriority=-100)

    def end(self) -> None:
        """As `leave`, for an owner that did not think of it."""
        if self.leave():
            warnings.warn(
                f"segment {self._name} was never unlinked; it is now", ResourceWarning, stacklevel=2
            )

    def leave(self) -> bool:
        """Own the segment no more. The last owner removes it; tells whether that was this one."""
        if self._fd is None:
            return False
        # Who wants to own it now waits for the lock, and finds then that it is gone.
        last = locked_alone(self._fd) and is_linked(self._fd, self._path)
        if last:
            os.unlink(self._path)
        self.give_up()
        return last

    def give_up(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._at_end is not None:
            self._at_end.cancel()


class Segment:
    """A mapped segment: `name` to send to other processes, `size` in bytes as asked for, `buf` to read and write.

    Made by `create` and `attach`. As a context manager it closes, and removes the segment if this process owns it and
    no other one does. It has `name`, `size`, `buf`, `close` and `unlink` as `SharedMemory` has, but is none, and cannot
    be pickled: send the name, and attach where no collective is waiting for the unpickling.
    """

    def __init__(self, name: str, size: int, fd: int, stamp: Stamp | None) -> None:
        """Map `size` bytes of an open file; `create` and `attach` do."""
        self.name = name
        self.size = size
        self._path = segment_path(name)
        self._stamp = stamp
        self._view: memoryview | None = memoryview(mmap.mmap(fd, size))
        status = os.fstat(fd)
        self._file = (status.st_dev, status.st_ino)
        self._ownership: _Ownership | None = None

    @property
    def buf(self) -> memoryview:
        """The payload. Raises ValueError once the segment is closed."""
        if self._view is None:
            raise ValueError(f"segment {self.name} is closed")
        return self._view

    @property
    def owner(self) -> bool:
        """Whether this process is to remove the segment."""
        return self._ownership is not None

    def arrived(self) -> tuple[Arrival, ...]:
        """The processes that have attached so far, in order; none of a segment that `create` has not made.

        Raises FileNotFoundError when the segment has been removed.
        """
        if self._stamp is None:
            return ()
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "the segment has been removed", self.name) from None
        try:
            return arrivals(fd, self._stamp)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the memory. It stays mapped until the last view of it has gone, so that none is left dangling."""
        self._view = None

    def unlink(self) -> None:
        """Remove the name; who has attached keeps the memory. No error where it has been removed already.

        Raises:
            PermissionError: when `create` has made the segment and this process does not own it.
        """
        if self._is_linked():
            if self._ownership is None and self._stamp is not None:
                raise PermissionError(
                    errno.EPERM,
                    "a segment is removed by its owner, or by a process that has called take_over()",
                    self.name,
                )
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._disown()

    def hand_over(self) -> None:
        """Stop owning the segment and leave it to who has called `take_over`; if nobody has, it is an orphan now.

        Raises RuntimeError when this process does not own it.
        """
        if self._ownership is None:
            raise RuntimeError(f"segment {self.name} cannot be handed over: this process does not own it")
        self._disown()

    def take_over(self) -> None:
        """Own the segment from now on, beside whoever does already. The last owner that leaves its `with`, or ends,
        removes it; `unlink` removes it at once.

        Raises FileNotFoundError when it has been removed meanwhile.
        """
        if self._ownership is not None:
            return
        fd = owner_lock(self._path)
        if fd is None or not self._is_linked():
            if fd is not None:
                os.close(fd)
            raise FileNotFoundError(
                errno.ENOENT, "the segment was removed before it was taken over", self.name
            )
        self.own(fd)

    def own(self, fd: int) -> None:
        """Own the segment by a descriptor that holds the owner's lock; `create` and `take_over` do."""
        self._ownership = _Ownership(self.name, self._path, fd)
        self._ownership.ends_with(self)
        _owned.add(self)

    def _disown(self) -> None:
        if self._ownership is not None:
            self._ownership.give_up()
            self._ownership = None
            _owned.discard(self)

    def _is_linked(self) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._file

    def __enter__(self) -> Segment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ownership is not None:
            self._ownership.leave()
            self._disown()
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._view is None else "owned" if self.owner else "attached"
        return f"<Segment {self.name}: {self.size} bytes, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"segment {self.name} cannot be pickled: send its name, and attach(name) in the other process"
        )


_owned: weakref.WeakSet[Segment] = weakref.WeakSet()


def _disown_in_child() -> None:
    """The lock belongs to the open file, which a child shares: kept there, it would outlive the owner."""
    for segment in list(_owned):
        segment._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)

"""What ranks leave: processes are killed, Python's resource trackers may end their work, our orphans are removed.

A rank does not exit, it is killed, and so is what it has started; were its resource tracker among that, the segments
that the tracker knows would stay until the machine is started anew. So a tracker is started outside the rank's process
group. It ends by itself once nobody is left who could tell it anything, and removes what is still registered then.

Processes that have left their rank's process group, for a session of their own say, become children of the server when
their parent has ended, and so it finds them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36

# For trackers to end once their ranks are gone: milliseconds, unless a process that has left its rank's process group
# and is not killed yet, since other runs are under way, can still register with one.
_TRACKERS_END = 1.0
_TRACKER = "multiprocessing.resource_tracker"
# Kept, since a Popen whose process runs must not be collected.
_trackers: list[subprocess.Popen[bytes]] = []


def let_trackers_outlive(lifeline: int) -> None:
    """In a rank: start trackers, also those of forked children, outside the process group of the rank.

    Each holds the descriptor `lifeline` while it lives, for `await_trackers`.
    """
    util.spawnv_passfds = _outliving(util.spawnv_passfds, lifeline)


def _outliving(spawn: Callable[..., int], lifeline: int) -> Callable[..., int]:
    def spawnv_passfds(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        if _TRACKER not in os.fsdecode(args[-1]):
            return spawn(path, args, passfds)
        tracker = subprocess.Popen(
            list(args), executable=path, pass_fds=(*passfds, lifeline), start_new_session=True
        )
        _trackers.append(tracker)
        return tracker.pid

    return spawnv_passfds


def adopt_orphans() -> None:
    """In the server: processes below it become its children when their parents end. Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_adopted() -> None:
    """In the server, while it has no ranks: kill its children, and theirs, until only trackers are left."""
    refused: set[int] = set()  # what has become another user's
    while found := [pid for pid in _children() if pid not in refused and not _is_tracker(pid)]:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except OSError:
                refused.add(pid)


def _children() -> Iterator[int]:
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            yield from map(int, file.read_text().split())


def _is_tracker(pid: int) -> bool:
    try:
        return _TRACKER.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def await_trackers(other_end: int) -> None:
    """Once the ranks are gone: wait until their trackers are, too. `other_end` is the reading end of their lifeline."""
    select.select([other_end], [], [], _TRACKERS_END)


def remove_orphans_of(pids: Sequence[int]) -> None:
    """Remove the library's own segments that these processes, which have ended, have made and nobody owns."""
    from rslint_runtime.orphans import remove_if_orphaned
    from rslint_runtime.segment_names import generation_of, pid_of, segment_path, segments_folder

    try:
        names = os.listdir(segments_folder())
    except OSError:
        return  # no segments on this system
    for name in names:
        generation = generation_of(name)
        if generation is not None and pid_of(name) in pids:
            remove_if_orphaned(segment_path(name), generation)

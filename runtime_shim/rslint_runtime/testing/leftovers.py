"""What ranks leave in shared memory: Python's resource trackers may end their work, and our orphans are removed.

A rank does not exit, it is killed, and so is what it has started; were its resource tracker among that, the segments
that the tracker knows would stay until the machine is started anew. So a tracker is started outside the rank's process
group. It ends by itself once nobody is left who could tell it anything, and removes what is still registered then.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable, Sequence
from multiprocessing import util
from typing import Any

# For trackers to end once their ranks are gone: milliseconds, unless a process that the harness does not know of, since
# it has left its rank's process group, can still register with one.
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

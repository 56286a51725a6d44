"""Attaches a segment from every kind of process, and tells what the resource tracker made of it.

Run by each interpreter that is supported, without torch: what is tracked, and how, differs between versions of Python.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

from rslint_runtime import attach, create, remove_orphans


def attaches(name: str) -> None:
    attach(name).close()


def exists(name: str) -> bool:
    return os.path.exists(f"/dev/shm/{name}")


def waits_to_be_killed(label: str, tells: Connection) -> None:
    """Own a segment in a process that multiprocessing has started."""
    segment = create(64, label)
    tells.send(segment.name)
    time.sleep(120)


def ends_with_a_segment(label: str, tells: Connection) -> None:
    """Own a segment for as long as the process lives."""
    sys.modules[__name__].__dict__["kept"] = segment = create(64, label)
    tells.send(segment.name)


def main() -> None:
    made = SharedMemory(create=True, size=64)  # its tracker is running from here on
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        child = context.Process(target=attaches, args=(made.name,))
        child.start()
        child.join()
        assert (child.exitcode, exists(made.name)) == (0, True), method
    program = f"from rslint_runtime import attach; attach({made.name!r}).close()"
    # A tracker of its own, were there one, would have the same stderr: the pipe ends when both have ended.
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.PIPE)
    assert exists(made.name)
    attach(made.name).close()
    made.close()
    made.unlink()  # the maker's entry is still on the list: the tracker complains otherwise when it ends

    label = f"tracked.{os.getpid()}"
    told, tells = multiprocessing.Pipe(duplex=False)
    for method in ("fork", "spawn", "forkserver"):
        ends = multiprocessing.get_context(method).Process(target=ends_with_a_segment, args=(label, tells))
        ends.start()
        name = told.recv()
        ends.join()
        assert (ends.exitcode, exists(name)) == (0, False), method
    owner = multiprocessing.get_context("fork").Process(target=waits_to_be_killed, args=(label, tells))
    owner.start()
    name = told.recv()
    resource_tracker.register = None  # type: ignore[assignment]  # whoever registers anything fails from here on
    with create(64, label) as own:
        attaches(own.name)
    assert (remove_orphans(label), exists(name)) == ((), True)
    os.kill(owner.pid or 0, signal.SIGKILL)
    owner.join()
    remove_orphans(label)  # another sweep of this machine may have been faster
    assert not exists(name)
    print("all is well")


if __name__ == "__main__":
    main()

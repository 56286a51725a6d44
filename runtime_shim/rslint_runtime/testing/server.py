"""A process that has torch imported and nothing else running, from which ranks are forked.

Forking the caller would be as fast, but a process that has run a large tensor operation has libgomp threads,
which do not survive a fork: the child hangs at its first parallel region. This one never runs any operation.

It ends when its caller does, and no rank outlives it: a run's socket at end of file kills the run, the
server's own socket at end of file kills everything, and the kernel kills ranks whose parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from rslint_runtime.testing import leftovers, rendezvous, wire
from rslint_runtime.testing import rank as rank_process

_PR_SET_PDEATHSIG = 1
_NAMESPACES = ("aten", "c10d", "_c10d_functional", "_c10d_functional_autograd")


def _look_up_operators() -> None:
    """Look every operator up before a rank does.

    The first lookup under a dispatch mode makes an object to which torch's C++ side keeps a bare pointer; two threads
    that look the same one up at once make two, of which Python forgets the one that C++ may point to (torch 2.13).
    """
    import torch

    for name in torch._C._dispatch_get_all_op_names():
        namespace, _, rest = name.partition("::")
        if namespace in _NAMESPACES:
            operator, _, overload = rest.partition(".")
            getattr(getattr(getattr(torch.ops, namespace), operator), overload or "default")


@dataclass
class _Run:
    control: socket.socket
    directory: str
    trackers: int  # at its end of file when the ranks' resource trackers have ended
    pids: list[int] = field(default_factory=list)
    alive: dict[int, int] = field(default_factory=dict)  # pid -> rank


def main(descriptor: int, modules: Sequence[str]) -> NoReturn:
    """Import `modules`; then serve requests that arrive on the inherited socket `descriptor` until it closes."""
    for module in modules:
        importlib.import_module(module)
    _look_up_operators()
    leftovers.adopt_orphans()
    gc.collect()
    gc.freeze()
    server = socket.socket(fileno=descriptor)
    wake_reader, wake_writer = socket.socketpair()
    wake_writer.setblocking(False)
    wake_reader.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ, None)
    selector.register(wake_reader, selectors.EVENT_READ, None)
    runs: list[_Run] = []
    directories: set[str] = set()
    while True:
        for key, _ in selector.select():
            if key.fileobj is server:
                started = _start(server, [server, wake_reader, wake_writer, *(run.control for run in runs)])
                if started is None:
                    _end(runs, directories)
                runs.append(started)
                directories = {path for path in directories if os.path.exists(path)} | {started.directory}
                selector.register(started.control, selectors.EVENT_READ, started)
            elif key.fileobj is wake_reader:
                with contextlib.suppress(BlockingIOError):
                    wake_reader.recv(4096)
                _reap(runs)
            else:
                # Whatever comes on a run's socket, its end included, means that the run is over.
                _kill(key.data, last=len(runs) == 1)
                selector.unregister(key.data.control)
                runs.remove(key.data)
                key.data.control.close()


def _end(runs: list[_Run], directories: set[str]) -> NoReturn:
    """The caller is gone, perhaps in the middle of runs: leave no rank, and nothing that only the caller removes."""
    for run in runs:
        _kill(run, last=run is runs[-1])
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)
    os._exit(0)


def _start(server: socket.socket, inherited: list[socket.socket]) -> _Run | None:
    try:
        header, descriptors, _, _ = socket.recv_fds(server, wire.HEADER.size, 253)
        if len(header) < wire.HEADER.size:
            return None
        payload = wire.exactly(server, wire.HEADER.unpack(header)[0])
    except (EOFError, OSError):
        return None
    request: wire.RunRequest = pickle.loads(payload)
    control = socket.socket(fileno=descriptors[0])
    channels = [socket.socket(fileno=descriptor) for descriptor in descriptors[1:]]
    trackers, lifeline = os.pipe()
    run = _Run(control, request.directory, trackers)
    parent = os.getpid()
    listener = None if request.joins_group else rendezvous.listener(request.world_size)
    for rank, channel in enumerate(channels):
        pid = os.fork()
        if pid == 0:
            others = [*inherited, control, *(other for other in channels if other is not channel)]
            _become_rank(request, rank, channel, listener, lifeline, others, parent)
        # A group of its own, so that what the program starts can be killed with it; set on both sides of the
        # fork, as a shell does, because either may be first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        run.alive[pid] = rank
        run.pids.append(pid)
    os.close(lifeline)
    for ours in (*channels, *filter(None, [listener])):
        ours.close()
    _say(run, wire.Started(tuple(run.pids)))
    return run


def _become_rank(
    request: wire.RunRequest,
    rank: int,
    channel: socket.socket,
    listener: socket.socket | None,
    lifeline: int,
    inherited: list[socket.socket],
    parent: int,
) -> NoReturn:
    try:
        _die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        for other in inherited:
            other.close()
        leftovers.let_trackers_outlive(lifeline)
        rank_process.live(request, rank, channel, listener)
    finally:
        os._exit(70)


def _die_with_parent(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # elsewhere the rank notices the closed socket
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _reap(runs: list[_Run]) -> None:
    for run in runs:
        for pid in list(run.alive):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                rank = run.alive.pop(pid)
                _kill_group(pid)
                _say(run, wire.Died(rank, status))


def _kill(run: _Run, *, last: bool) -> None:
    """End what is left of a run, and what its ranks have left in shared memory.

    Whose the processes are that have left their rank's process group is not known; the last run under way ends them.
    """
    for pid in run.alive:
        _kill_group(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in run.alive:
        os.waitpid(pid, 0)
    run.alive.clear()
    if last:
        leftovers.kill_adopted()
    leftovers.await_trackers(run.trackers)
    os.close(run.trackers)
    leftovers.remove_orphans_of(run.pids)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _say(run: _Run, message: Any) -> None:
    with contextlib.suppress(OSError):
        wire.send(run.control, message)

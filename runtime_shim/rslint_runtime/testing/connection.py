"""The caller's end of the fork server: start it once per process, hand it runs, close it at exit."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rslint_runtime.testing import measured, wire


@dataclass(frozen=True)
class _Server:
    owner: int
    process: subprocess.Popen[bytes]
    socket: socket.socket


_lock = threading.Lock()
_server: _Server | None = None
_preloaded: tuple[str, ...] = ()
_is_rank = False


def become_rank() -> None:
    """Called in a rank: what it loads may be a script that starts ranks, which would start ranks, which …"""
    global _is_rank
    _is_rank = True


def is_rank() -> bool:
    """Whether this process is a rank."""
    return _is_rank


def preload(*modules: str) -> None:
    """Import these modules once, in the server, instead of in every rank of every run.

    For what the program imports, or torch at the first use of a feature: `torch._dynamo` saves 1 to 2 seconds in each
    rank that uses DistributedDataParallel or functional collectives. They must neither start threads nor look at
    what differs between ranks while they are imported. A server that runs is replaced, so call it before the first run.

    Raises:
        ModuleNotFoundError: when one of them is not installed.
    """
    global _preloaded
    for module in modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            raise ModuleNotFoundError(f"preload: no module named {module.partition('.')[0]!r}")
    with _lock:
        if not set(modules) <= set(_preloaded):
            _preloaded = tuple(dict.fromkeys((*_preloaded, *modules)))
            if _server is not None:
                _close(_server)


@contextlib.contextmanager
def run(request: wire.RunRequest) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """Start the ranks; yields the server's socket for this run and one socket per rank.

    On leaving, however that happens, the ranks are killed, and this returns only when they are gone.
    """
    control, control_there = socket.socketpair()
    pairs = [socket.socketpair() for _ in range(request.world_size)]
    there = [control_there, *(pair[1] for pair in pairs)]
    submitted = False
    try:
        with _lock:
            server = _running()
            submitted = True
            wire.submit(server.socket, request, [end.fileno() for end in there])
        for end in there:
            end.close()
        yield control, [pair[0] for pair in pairs]
    finally:
        for end in there:
            end.close()
        if submitted:
            _end(control)
        for ours, _ in pairs:
            ours.close()
        control.close()


def _end(control: socket.socket) -> None:
    """Tell the server that the run is over and wait until its ranks are reaped: it answers by closing."""
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_WR)
        control.settimeout(10.0)
        while control.recv(1 << 16):
            pass


def _running() -> _Server:
    global _server
    if _server is None or _server.owner != os.getpid() or _server.process.poll() is not None:
        _server = _start()
    return _server


def _start() -> _Server:
    ours, theirs = socket.socketpair()
    # The directory of this package first, so that both ends speak the same version of the protocol.
    package_parent = str(Path(__file__).resolve().parents[2])
    # Ranks load the caller's test module, and with it pytest: once here instead of once in each.
    loaded = [name for name in ("pytest", "coverage") if name in sys.modules]
    bootstrap = (
        f"import sys; sys.path[:0] = [{package_parent!r}]; "
        f"from rslint_runtime.testing.server import main; main({theirs.fileno()}, {[*loaded, *_preloaded]!r})"
    )
    # What is measured are ranks, each for itself; a measured server would hand all of them one measurement.
    environment = dict(
        measured.without_coverage(dict(os.environ)),
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", bootstrap],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env=environment,
        # Ctrl-C in a terminal goes to the foreground processes; the caller handles it and ends the runs.
        start_new_session=True,
    )
    theirs.close()
    server = _Server(os.getpid(), process, ours)
    atexit.register(_close, server)
    return server


def _close(server: _Server) -> None:
    if server.owner != os.getpid():
        return
    server.socket.close()
    try:
        server.process.wait(timeout=10.0)
    except subprocess.TimeoutExpired:
        server.process.kill()

"""Starts the ranks of a run, follows what they announce until there is a verdict, leaves no process."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import os
import pickle
import selectors
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rslint_runtime.testing import connection, switches, wire
from rslint_runtime.testing.faults import Injection
from rslint_runtime.testing.monitor import Monitor
from rslint_runtime.testing.records import RunResult, Unreadable

# How long nothing may move before a snapshot is taken, and between the two snapshots of a proof.
_QUIET = 0.03
# How long it must last when the proof rests on what a backend may wait for (see proof.deadlocked).
_QUIET_BACKEND = 0.5
# What ranks that can still move get to end by themselves once others cannot, or once a peer has died.
_GRACE = 0.4
# For loading the program and connecting, before the run's own timeout begins.
_STARTUP = 60.0


class RunError(RuntimeError):
    """The run could not be carried out as asked: a program that does not load, an unknown fault target."""


def run_ranks(
    fn: Callable[..., Any] | str | os.PathLike[str],
    world_size: int,
    *,
    timeout: float = 30.0,
    faults: Sequence[Injection] = (),
    args: Sequence[Any] = (),
    group_timeout: float = 600.0,
) -> RunResult:
    """Call `fn(rank, world_size, *args)` on that many gloo ranks with an initialised default group.

    Each rank is a process of its own on this machine, with one thread for torch, forked from a server that
    has torch imported (started at the first call, 1 to 2 seconds). Each loads the module of `fn` afresh.

    Args:
        fn: a function at module level, or `"path/to/file.py:function"` for a file that need not be
        importable. world_size: number of ranks, 1 to 128.
        timeout: seconds from the call of `fn` until the outcome is `timeout`. A deadlock is found long
        before, see `proof`.
        faults: what goes wrong where. One that never fires is told by the result (`unfired`, `report`).
        args: picklable.
        group_timeout: seconds, of the default group. A wait in a group whose own timeout is shorter than
        `timeout`
            is never called a deadlock, since it ends by itself.

    Raises:
        RunError: when the program or a fault's target cannot be loaded on a rank.
        TypeError: when `fn` is not at module level or `args` cannot be pickled.
        ValueError: when `world_size` or a fault's rank is out of range.
    """
    if not 1 <= world_size <= 128:
        raise ValueError(f"world_size={world_size}: 1 to 128 ranks fit on one machine")
    for fault in faults:
        fault.check(world_size)
    program, module_name, qualname = located(fn)
    if importlib.util.find_spec("torch") is None:
        raise RunError("run_ranks needs torch: pip install 'rslint-runtime[torch]'")
    directory = tempfile.mkdtemp(prefix="rslint-run-")
    try:
        request = wire.RunRequest(
            world_size=world_size,
            program=program,
            module_name=module_name,
            qualname=qualname,
            arguments=_pickled(tuple(args), tuple(faults)),
            directory=directory,
            working_directory=os.getcwd(),
            search_path=tuple(path or os.getcwd() for path in sys.path),
            environment=dict(os.environ),
            group_timeout=group_timeout,
            run_timeout=timeout,
        )
        with switches.opened(directory, faults):
            result = _run(request, timeout, len(faults))
        return replace(result, faults=tuple(str(fault) for fault in faults))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def located(fn: Callable[..., Any] | str | os.PathLike[str]) -> tuple[str, str, str]:
    """File, module name and qualified name of the function."""
    if not callable(fn):
        path_text, colon, qualname = os.fspath(fn).rpartition(":")
        if not colon or not qualname:
            raise TypeError(f'{os.fspath(fn)!r}: expected "path/to/file.py:function"')
        path = Path(path_text).resolve()
        if not path.is_file():
            raise RunError(f"{path_text}: no such file")
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        return str(path), f"rslint_program_{path.stem}_{digest}", qualname
    qualname = getattr(fn, "__qualname__", "<locals>")
    if "<" in qualname:
        raise TypeError(
            f"{qualname}: ranks load the function by name; put it at module level and pass values by args="
        )
    try:
        program = str(Path(inspect.getfile(fn)).resolve())
    except TypeError:
        raise TypeError(f"{qualname}: not a Python function with a source file") from None
    module_name = fn.__module__
    return program, "__mp_main__" if module_name == "__main__" else module_name, qualname


def _pickled(args: tuple[Any, ...], faults: tuple[Injection, ...]) -> bytes:
    try:
        return pickle.dumps((args, faults))
    except Exception as error:
        raise TypeError(f"args and faults of run_ranks must be picklable: {error}") from error


def _run(request: wire.RunRequest, timeout: float, fault_count: int) -> RunResult:
    monitor = Monitor(request.world_size, fault_count)
    with connection.run(request) as (control, channels):
        inbox = _Inbox(monitor, control, channels)
        with inbox.selector:
            _wait_until_ready(monitor, inbox)
            started = time.monotonic()
            for channel in channels:
                _send(channel, wire.Go())
            _follow(monitor, inbox, channels, started + timeout)
            seconds = time.monotonic() - started
    monitor.settle()
    return monitor.result(_outputs(request), seconds, _unpickled)


class _Inbox:
    """Hands what ranks and server send to the monitor."""

    def __init__(self, monitor: Monitor, control: socket.socket, channels: Sequence[socket.socket]) -> None:
        self._monitor = monitor
        self._decoders: dict[int | None, wire.Decoder] = {None: wire.Decoder()}
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, None)
        for rank, channel in enumerate(channels):
            self.selector.register(channel, selectors.EVENT_READ, rank)
            self._decoders[rank] = wire.Decoder()

    def read(self) -> None:
        """Wait a little for messages; RunError when the server is gone or a rank could not load."""
        for key, _ in self.selector.select(timeout=_QUIET):
            rank: int | None = key.data
            data = _received(key.fileobj)
            if not data and rank is None:
                raise RunError("the fork server has ended; what it said is on this process's stderr")
            if not data:
                self.selector.unregister(key.fileobj)
            for message in self._decoders[rank].feed(data):
                if rank is None:
                    self._monitor.server_says(message)
                else:
                    self._monitor.rank_says(rank, message)
        if self._monitor.not_loaded is not None:
            failed, problem = self._monitor.not_loaded
            detail = str(problem.error) if problem.usage else problem.error.traceback.rstrip()
            raise RunError(f"rank {failed} could not start: {detail}")


def _wait_until_ready(monitor: Monitor, inbox: _Inbox) -> None:
    deadline = time.monotonic() + _STARTUP
    while not monitor.all_ready():
        inbox.read()
        if monitor.decided():
            raise RunError("a rank's process ended while it loaded the program")
        if time.monotonic() >= deadline:
            raise RunError(f"the ranks did not load the program within {_STARTUP:.0f} s")


def _follow(monitor: Monitor, inbox: _Inbox, channels: Sequence[socket.socket], deadline: float) -> None:
    """Feed the monitor until it has a verdict or the time is up."""
    quiet_since = time.monotonic()
    grace_until: float | None = None
    looks = 0
    while not monitor.final():
        version = monitor.version
        inbox.read()
        now = time.monotonic()
        if monitor.version != version:
            quiet_since = now
        if monitor.decided() and grace_until is None:
            grace_until = now + _GRACE
        if now >= deadline or (grace_until is not None and now >= grace_until):
            monitor.time_is_up(now >= deadline)
            return
        if now - quiet_since >= _QUIET:
            monitor.examine(now - quiet_since >= _QUIET_BACKEND)
            looks += 1
            for rank in monitor.worth_a_look():
                _send(channels[rank], wire.Look(looks))


def _received(channel: Any) -> bytes:
    try:
        data: bytes = channel.recv(1 << 20)
    except OSError:
        return b""
    return data


def _send(channel: socket.socket, message: wire.Go | wire.Look) -> None:
    # A rank that is gone cannot be told anything; the server says so.
    with contextlib.suppress(OSError):
        wire.send(channel, message)


def _outputs(request: wire.RunRequest) -> dict[int, str]:
    return dict(_output_files(request))


def _output_files(request: wire.RunRequest) -> Iterator[tuple[int, str]]:
    for rank in range(request.world_size):
        path = Path(request.directory) / f"output.{rank}"
        yield rank, path.read_text("utf-8", "backslashreplace") if path.exists() else ""


def _unpickled(value: bytes | None, text: str) -> Any:
    if value is None:
        return Unreadable(text)
    try:
        return pickle.loads(value)
    except Exception as error:
        return Unreadable(f"{text} (cannot be unpickled here: {error})")

"""Starts the ranks of a run, follows what they announce until there is a verdict, leaves no process."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import pickle
import selectors
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from rslint_runtime.testing import connection, measured, output, switches, wire
from rslint_runtime.testing.faults import Injection
from rslint_runtime.testing.functions import Sent, pickled, sent
from rslint_runtime.testing.monitor import Monitor
from rslint_runtime.testing.records import RunResult, Unreadable

# Their sockets travel to the fork server in one message, which holds 253 descriptors at most.
_MOST_RANKS = 128
# How long nothing may move before a snapshot is taken, and between the two snapshots of a proof.
_QUIET = 0.03
# How long it must last when the proof rests on what a backend may wait for (see proof.deadlocked).
_QUIET_BACKEND = 0.5
# What ranks that can still move get to end by themselves once others cannot, or once a peer has died.
_GRACE = 0.4
# For ranks to say where they hang. One that never lets go of the interpreter cannot.
_CONCLUSION = 2.0
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
    init_group: bool = True,
) -> RunResult:
    """Call `fn(rank, world_size, *args)` on that many gloo ranks with an initialised default group.

    Each rank is a process of its own on this machine, with one thread for torch, forked from a server that
    has torch imported (started at the first call, 1 to 2 seconds). Each loads the module of `fn` afresh: what the
    caller has changed in it since, by assignment or monkeypatching, ranks do not see.

    Args:
        fn: a function, or `"path/to/file.py:function"` for a file that need not be importable. Lambdas and
            nested functions are rebuilt over the fresh module from copies of what they have captured. What a
            coroutine function returns is run by `asyncio.run`.
        world_size: number of ranks, 1 to 128.
        timeout: seconds from the call of `fn` until the outcome is `timeout`. A deadlock is found long
            before, see `proof`.
        faults: what goes wrong where. One that never fires is told by the result (`unfired`, `report`).
        args: picklable, functions included.
        group_timeout: seconds, of the default group. A wait in a group whose own timeout is shorter than
            `timeout` is never called a deadlock, since it ends by itself.
        init_group: False when `fn` calls `torch.distributed.init_process_group` itself. The variables that
            torchrun sets are set, MASTER_PORT to a port of this run's own.

    Raises:
        RunError: when torch is not installed, or the program or a fault's target cannot be loaded on a rank.
        TypeError: when `fn` or `args` cannot be sent to a rank, `world_size` is no integer, a timeout no number, or
            `faults` no list of them.
        ValueError: when `world_size`, a timeout or a fault's rank is out of range.
    """
    _check_possible(world_size)
    _check_seconds("timeout", timeout, math.inf)
    _check_seconds("group_timeout", group_timeout, timedelta.max.total_seconds())
    if not isinstance(faults, Sequence) or not all(hasattr(fault, "check") for fault in faults):
        raise TypeError(f"faults={faults!r}: a list of faults is needed, faults=[Fault(…)]")
    for fault in faults:
        fault.check(world_size)
    function = sent_program(fn)
    arguments, modules = _pickled(tuple(args), tuple(faults))
    directory = tempfile.mkdtemp(prefix="rslint-run-")
    try:
        request = wire.RunRequest(
            world_size=world_size,
            sent=replace(function, modules=function.modules + modules),
            rewrites_asserts=_rewrites_asserts(function.module_name),
            joins_group=init_group,
            coverage=measured.configuration(),
            arguments=arguments,
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


def _check_possible(world_size: int) -> None:
    if connection.is_rank():
        raise RunError("run_ranks was called in a rank; a script keeps it under if __name__ == '__main__':")
    if not isinstance(world_size, int) or isinstance(world_size, bool):
        raise TypeError(f"world_size={world_size!r}: a number of ranks is needed, 1 to {_MOST_RANKS}")
    if not 1 <= world_size <= _MOST_RANKS:
        raise ValueError(f"world_size={world_size}: it takes at least 1 rank, and at most {_MOST_RANKS}")
    if importlib.util.find_spec("torch") is None:
        raise RunError("run_ranks needs torch: pip install 'rslint-runtime[torch]'")


def _check_seconds(name: str, given: object, most: float) -> None:
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        raise TypeError(f"{name}={given!r}: a number of seconds is needed")
    if not 0 < given <= most:
        raise ValueError(f"{name}={given!r}: seconds, more than 0 and at most {most:g}")


def sent_program(fn: Callable[..., Any] | str | os.PathLike[str]) -> Sent:
    """The function, or the file and function that a text names, on its way to ranks; RunError without that file."""
    if callable(fn):
        return sent(fn)
    if not isinstance(fn, (str, os.PathLike)):
        raise TypeError(f'run_ranks takes a function or "path/to/file.py:function", not {fn!r}')
    path_text, colon, qualname = os.fspath(fn).rpartition(":")
    if not colon or not qualname:
        raise TypeError(f'{os.fspath(fn)!r}: expected "path/to/file.py:function"')
    path = Path(path_text).resolve()
    if not path.is_file():
        raise RunError(f"{path_text}: no such file")
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return Sent(str(path), f"rslint_program_{path.stem}_{digest}", qualname, None, ())


def _rewrites_asserts(module_name: str) -> bool:
    """Whether pytest has rewritten the asserts of that module here."""
    module = sys.modules.get(module_name)
    return type(getattr(module, "__loader__", None)).__name__ == "AssertionRewritingHook"


def _pickled(
    args: tuple[Any, ...], faults: tuple[Injection, ...]
) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    try:
        return pickled((args, faults))
    except Exception as error:
        raise TypeError(f"args and faults of run_ranks must be picklable: {error}") from error


def _run(request: wire.RunRequest, timeout: float, fault_count: int) -> RunResult:
    monitor = Monitor(request.world_size, fault_count)
    with connection.run(request) as (control, channels):
        inbox = _Inbox(monitor, control, channels)
        with inbox.selector:
            _wait_until_ready(monitor, inbox, request)
            started = time.monotonic()
            for channel in channels:
                _send(channel, wire.Go())
            _follow(monitor, inbox, channels, started + timeout)
            seconds = time.monotonic() - started
            _conclude(monitor, inbox, channels, measured.wanted(request.coverage, request.environment))
        # Before the ranks are killed: what their resource trackers say then is of the harness's making.
        outputs = {rank: output.read(request.directory, rank) for rank in range(request.world_size)}
    monitor.settle()
    return monitor.result(outputs, seconds, _unpickled)


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
            if problem.usage:  # the same on every rank that it concerns
                raise RunError(problem.error.text)
            raise RunError(f"rank {failed} could not start: {problem.error.traceback.rstrip()}")


def _wait_until_ready(monitor: Monitor, inbox: _Inbox, request: wire.RunRequest) -> None:
    deadline = time.monotonic() + _STARTUP
    while not monitor.all_ready():
        inbox.read()
        for rank, death in monitor.dead().items():
            said = output.read(request.directory, rank).strip()
            raise RunError(
                f"rank {rank} {death} while it loaded the program{f'; it said: {said}' if said else ''}"
            )
        if time.monotonic() >= deadline:
            raise RunError(f"the ranks did not load the program within {_STARTUP:.0f} s")


def _follow(monitor: Monitor, inbox: _Inbox, channels: Sequence[socket.socket], deadline: float) -> None:
    """Feed the monitor until it has a verdict or the time is up."""
    quiet_since = time.monotonic()
    grace_until: float | None = None
    looks = 0
    asked: dict[int, int] = {}
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
            long_quiet = now - quiet_since >= _QUIET_BACKEND
            monitor.examine(long_quiet)
            looks += 1
            for rank in monitor.worth_a_look(long_quiet):
                # One question at a time: what one rank answers must not make the others answer more and more.
                if asked.get(rank, 0) == monitor.answered(rank):
                    asked[rank] = looks
                    _send(channels[rank], wire.Look(looks))


def _conclude(monitor: Monitor, inbox: _Inbox, channels: Sequence[socket.socket], all_ranks: bool) -> None:
    """Let ranks say where they hang, and write what they have measured, before they are killed."""
    asked = monitor.living() if all_ranks else monitor.hanging()
    for rank in asked:
        _send(channels[rank], wire.Conclude())
    deadline = time.monotonic() + _CONCLUSION
    while time.monotonic() < deadline and not monitor.concluded(asked):
        inbox.read()


def _received(channel: Any) -> bytes:
    try:
        data: bytes = channel.recv(1 << 20)
    except OSError:
        return b""
    return data


def _send(channel: socket.socket, message: wire.Go | wire.Look | wire.Conclude) -> None:
    # A rank that is gone, or no longer listens, cannot be told anything; the server and the deadline see to it. What
    # is said is much shorter than the smallest buffer, so it goes out whole or not at all.
    with contextlib.suppress(OSError):
        channel.send(wire.encoded(message), socket.MSG_DONTWAIT)


def _unpickled(value: bytes | None, text: str) -> Any:
    if value is None:
        return Unreadable(text)
    try:
        return pickle.loads(value)
    except Exception as error:
        return Unreadable(f"{text} (cannot be unpickled here: {error})")

"""Start the ranks of a run, follow what they announce until there is a verdict, and leave no process behind."""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

from rslint_runtime.testing import connection, wire
from rslint_runtime.testing.faults import Fault
from rslint_runtime.testing.monitor import Monitor
from rslint_runtime.testing.records import RunResult, Unreadable

# How long nothing may move before a snapshot is taken, and between the two snapshots of a proof.
_QUIET = 0.03
# How long it must last when the proof rests on what a backend may wait for (see proof.deadlocked).
_QUIET_BACKEND = 0.5
# What ranks that can still move get to end by themselves once others cannot, or once a peer has died.
_GRACE = 0.4


class RunError(RuntimeError):
    """The run could not be carried out as asked: a program that does not load, a fault on an unknown name …"""


def run_ranks(
    fn: Callable[..., Any] | str | os.PathLike[str],
    world_size: int,
    *,
    timeout: float = 30.0,
    faults: Sequence[Fault] = (),
    args: Sequence[Any] = (),
    group_timeout: float = 600.0,
) -> RunResult:
    """Call `fn(rank, world_size, *args)` on that many gloo ranks with an initialised default group.

    Each rank is a process of its own on this machine, with one thread for torch, forked from a server that
    has torch imported (started at the first call, 1 to 2 seconds). Each loads the module of `fn` afresh.

    Args:
        fn: a function at module level, or `"path/to/file.py:function"` for a file that need not be importable.
        world_size: number of ranks, 1 to 128.
        timeout: seconds until the outcome is `timeout`. A deadlock is found long before, see `proof`.
        faults: what to raise where.
        args: picklable.
        group_timeout: seconds, of the default group. A wait in a group whose own timeout is shorter than `timeout`
            is never called a deadlock, since it ends by itself.

    Raises:
        RunError: when the program or a fault's target cannot be loaded on a rank.
        TypeError: when `fn` is not at module level or `args` cannot be pickled.
        ValueError: when `world_size` or a fault's rank is out of range.
    """
    if not 1 <= world_size <= 128:
        raise ValueError(f"world_size={world_size}: 1 to 128 ranks fit on one machine")
    for fault in faults:
        if fault.rank >= world_size:
            raise ValueError(f"fault on {fault.target!r}: rank {fault.rank} does not exist with world_size={world_size}")
    program, module_name, qualname = _located(fn)
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
        return _run(request, timeout, len(faults))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _located(fn: Callable[..., Any] | str | os.PathLike[str]) -> tuple[str, str, str]:
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
        raise TypeError(f"{qualname}: ranks load the function by name; put it at module level and pass values by args=")
    try:
        program = str(Path(inspect.getfile(fn)).resolve())
    except TypeError:
        raise TypeError(f"{qualname}: not a Python function with a source file") from None
    module_name = fn.__module__
    return program, "__mp_main__" if module_name == "__main__" else module_name, qualname


def _pickled(args: tuple[Any, ...], faults: tuple[Fault, ...]) -> bytes:
    try:
        return pickle.dumps((args, faults))
    except Exception as error:
        raise TypeError(f"args and faults of run_ranks must be picklable: {error}") from error


def _run(request: wire.RunRequest, timeout: float, fault_count: int) -> RunResult:
    started = time.monotonic()
    monitor = Monitor(request.world_size, fault_count)
    with connection.run(request) as (control, channels):
        _follow(monitor, control, channels, started + timeout)
    monitor.settle()
    return monitor.result(_outputs(request), time.monotonic() - started, _unpickled)


def _follow(
    monitor: Monitor, control: socket.socket, channels: Sequence[socket.socket], deadline: float
) -> None:
    """Feed the monitor until it has a verdict; raises RunError when a rank could not load the program."""
    with selectors.DefaultSelector() as selector:
        decoders = {}
        for rank, channel in enumerate(channels):
            selector.register(channel, selectors.EVENT_READ, rank)
            decoders[rank] = wire.Decoder()
        selector.register(control, selectors.EVENT_READ, None)
        control_decoder = wire.Decoder()
        quiet_since = time.monotonic()
        grace_until: float | None = None
        looks = 0
        while True:
            version = monitor.version
            for key, _ in selector.select(timeout=_QUIET):
                rank = key.data
                data = _read(key.fileobj)
                if not data and rank is None:
                    raise RunError("the fork server has ended; what it said is on this process's stderr")
                elif not data:
                    selector.unregister(key.fileobj)
                elif rank is None:
                    for message in control_decoder.feed(data):
                        monitor.server_says(message)
                else:
                    for message in decoders[rank].feed(data):
                        monitor.rank_says(rank, message)
            if monitor.not_loaded is not None:
                rank, problem = monitor.not_loaded
                detail = str(problem.error) if problem.usage else problem.error.traceback.rstrip()
                raise RunError(f"rank {rank} could not start: {detail}")
            now = time.monotonic()
            if monitor.version != version:
                quiet_since = now
            if monitor.final():
                return
            if monitor.decided() and grace_until is None:
                grace_until = now + _GRACE
            if now >= deadline or (grace_until is not None and now >= grace_until):
                monitor.time_is_up(now >= deadline)
                return
            if now - quiet_since >= _QUIET:
                monitor.examine(now - quiet_since >= _QUIET_BACKEND)
                looks += 1
                for rank in monitor.worth_a_look():
                    _ask(channels[rank], wire.Look(looks))


def _read(channel: Any) -> bytes:
    try:
        data: bytes = channel.recv(1 << 20)
    except OSError:
        return b""
    return data


def _ask(channel: socket.socket, question: wire.Look) -> None:
    try:
        wire.send(channel, question)
    except OSError:
        pass  # the rank is gone; the server will say so


def _outputs(request: wire.RunRequest) -> dict[int, str]:
    return {rank: text for rank, text in _output_files(request)}


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

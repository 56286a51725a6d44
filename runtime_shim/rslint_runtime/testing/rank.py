"""The life of one rank: load the program, join the process group, call the function, report, and stay.

A rank that has ended does not exit, because gloo turns a closed connection into an error on its peers, which
would hide that they were waiting. It stays until the caller has a verdict, and is killed then.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import inspect
import io
import os
import pickle
import socket
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from rslint_runtime.testing import (
    blocked,
    connection,
    faults,
    interception,
    measured,
    output,
    program,
    rendezvous,
    switches,
    wire,
)
from rslint_runtime.testing.errors import described
from rslint_runtime.testing.recorder import Recorder
from rslint_runtime.testing.stacks import stacks


def live(
    request: wire.RunRequest, rank: int, channel: socket.socket, listener: socket.socket | None
) -> NoReturn:
    """Be the rank; never returns. `listener` is there when the program joins its group itself."""
    lock = threading.Lock()

    def send(message: Any) -> None:
        with lock:
            wire.send(channel, message)

    connection.become_rank()
    _surroundings(request, rank)
    go = threading.Event()
    recorder = Recorder(rank, send, request.run_timeout, request.group_timeout)
    measurements: list[Any] = []
    answer = functools.partial(_answer, channel, recorder, go, measurements)
    # Started before Thread.start is wrapped: it is no thread of the program.
    threading.Thread(target=answer, daemon=True, name="rslint-runtime").start()
    interception.install(recorder)
    try:
        measurements += measured.start(request.coverage)
        function, args = _prepare(request, rank, recorder, listener)
    except BaseException as error:
        usage = isinstance(error, (faults.FaultTargetError, program.NoSuchFunction))
        recorder.send(wire.NotLoaded(described(error, __file__), usage))
        _stay()
    recorder.send(wire.Ready(threading.get_ident()))
    go.wait()
    recorder.begin()
    own_process = os.getpid()
    ended = _call(function, (rank, request.world_size, *args), recorder)
    recorder.close()
    _flush()
    if os.getpid() != own_process:
        # A child that the program has forked came out of the function as well.
        if ended.error is not None:
            print(ended.error.traceback, file=sys.stderr, flush=True)
        os._exit(0 if ended.error is None else 1)
    recorder.send(replace(ended, unclaimed=recorder.unclaimed()))
    _stay()


def _surroundings(request: wire.RunRequest, rank: int) -> None:
    written = os.open(output.path_of(request.directory, rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.close(written)
    # Line by line, so that what a killed rank said last is not lost.
    sys.stdout = io.TextIOWrapper(
        os.fdopen(1, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True
    )
    sys.stderr = io.TextIOWrapper(
        os.fdopen(2, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True
    )
    faulthandler.enable(file=2)
    os.environ.clear()
    os.environ.update(request.environment)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        GROUP_RANK="0",
        WORLD_SIZE=str(request.world_size),
        LOCAL_WORLD_SIZE=str(request.world_size),
        GLOO_SOCKET_IFNAME="lo",
    )
    os.chdir(request.working_directory)
    sys.path[:] = request.search_path
    torch.set_num_threads(1)


def _prepare(
    request: wire.RunRequest, rank: int, recorder: Recorder, listener: socket.socket | None
) -> tuple[Any, tuple[Any, ...]]:
    """The function and its arguments, the faults in place and the default group joined or its store offered."""
    if listener is not None:
        # The caller hears of a rank that fails here, and ends the others.
        rendezvous.offer(rank, request.world_size, listener)  # rslint: ignore[RS101] -- see above
    module = program.load(request)
    args, injections = pickle.loads(request.arguments)
    program.check_call(program.function(request, module), (rank, request.world_size, *args))
    if request.joins_group:
        _join_group(request, rank)
    # Last, so that no call of ours is taken for one of the program.
    _inject(injections, module, request, rank, recorder)
    # Looked up again: the function under test may be a fault's target itself.
    return program.function(request, module), args


def _inject(
    injections: tuple[faults.Injection, ...],
    module: ModuleType,
    request: wire.RunRequest,
    rank: int,
    recorder: Recorder,
) -> None:
    board = switches.join(request.directory, injections)
    for position, injection in enumerate(injections):
        if injection.concerns(rank):
            setting = faults.Setting(
                module,
                rank,
                fired=functools.partial(recorder.send, wire.Fired(position)),
                called=functools.partial(recorder.send, wire.Called(position)),
                is_on=functools.partial(board.is_on, position),
            )
            injection.install(setting)


def _join_group(request: wire.RunRequest, rank: int) -> None:
    store = dist.FileStore(  # type: ignore[attr-defined]
        f"{request.directory}/store", request.world_size
    )
    dist.init_process_group(
        "gloo",
        store=store,
        rank=rank,
        world_size=request.world_size,
        timeout=timedelta(seconds=request.group_timeout),
    )


def _call(function: Any, args: tuple[Any, ...], recorder: Recorder) -> wire.Ended:
    try:
        with interception.Mode(recorder):
            value = function(*args)
            if inspect.iscoroutine(value):
                import asyncio

                value = asyncio.run(value)
    except SystemExit as error:
        if error.code in (None, 0):
            return wire.Ended(pickle.dumps(None), "None", None)
        return wire.Ended(None, "", described(error, __file__))
    except BaseException as error:
        return wire.Ended(None, "", described(error, __file__))
    finally:
        _join_threads()
    try:
        return wire.Ended(pickle.dumps(value), _text(value), None)
    except Exception as error:
        return wire.Ended(None, f"{_text(value)} cannot be pickled: {error}", None)


def _text(value: Any) -> str:
    try:
        return repr(value)[:1000]
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _join_threads() -> None:
    """As at interpreter exit: the process lives on until the last non-daemon thread has ended."""
    # The hooks that wake idle executor threads: without them an executor that is still referenced (an
    # exception's traceback is enough) would keep the rank for ever, which a real process's exit does not do.
    for hook in reversed(getattr(threading, "_threading_atexits", ())):
        hook()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()


def _answer(
    channel: socket.socket, recorder: Recorder, go: threading.Event, measurements: list[Any]
) -> NoReturn:
    """Answer the caller's questions; leave when it is gone."""
    while True:
        try:
            question = wire.receive(channel)
        except (EOFError, OSError):
            os._exit(1)
        if isinstance(question, wire.Go):
            go.set()
        elif isinstance(question, wire.Look):
            looked = blocked.look(
                question.token, threading.get_ident(), recorder.unfinished, recorder.callbacks.__len__
            )
            recorder.send(looked)
        elif isinstance(question, wire.Conclude):
            for measurement in measurements:
                measurement.save()
            recorder.send(wire.Concluded(stacks(threading.get_ident())))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The program may have closed it.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _stay() -> NoReturn:
    while True:
        threading.Event().wait()

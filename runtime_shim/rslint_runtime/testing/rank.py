"""The life of one rank: load the program, join the process group, call the function, report, and stay.

A rank that has ended does not exit, because gloo turns a closed connection into an error on its peers, which
would hide that they were waiting. It stays until the caller has a verdict, and is killed then.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import importlib
import importlib.util
import io
import os
import pickle
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch
import torch.distributed as dist

from rslint_runtime.testing import blocked, faults, switches, wire
from rslint_runtime.testing.recorder import Recorder
from rslint_runtime.testing.records import RankError


def live(request: wire.RunRequest, rank: int, channel: socket.socket) -> NoReturn:
    """Be the rank; never returns."""
    lock = threading.Lock()

    def send(message: Any) -> None:
        with lock:
            wire.send(channel, message)

    _surroundings(request, rank)
    go = threading.Event()
    # Started before the recorder wraps Thread.start: it is no thread of the program.
    threading.Thread(target=_answer, args=(channel, send, go), daemon=True, name="rslint-runtime").start()
    recorder = Recorder(rank, send, request.run_timeout, request.group_timeout)
    recorder.install()
    try:
        program = _load(request)
        arguments: tuple[tuple[Any, ...], tuple[faults.Injection, ...]] = pickle.loads(request.arguments)
        _join_group(request, rank)
        # Last, so that no call of ours is taken for one of the program.
        _inject(arguments[1], program, request, rank, send)
        function = _function(request, program)
    except BaseException as error:
        usage = isinstance(error, (faults.FaultTargetError, _NoSuchFunction))
        send(wire.NotLoaded(describe(error), usage))
        _stay()
    send(wire.Ready(threading.get_ident()))
    go.wait()
    recorder.begin()
    ended = _call(function, (rank, request.world_size, *arguments[0]), recorder)
    recorder.close()
    _flush()
    send(ended)
    _stay()


def describe(error: BaseException) -> RankError:
    """An exception as text, with the names a handler could have caught it by."""
    try:
        text = str(error)
    except Exception:
        text = "<no text>"
    bases = tuple(_qualified(base) for base in type(error).__mro__ if base is not object)
    own_frames = error.__traceback__
    while own_frames is not None and own_frames.tb_frame.f_code.co_filename == __file__:
        own_frames = own_frames.tb_next
    lines = traceback.format_exception(type(error), error, own_frames)
    return RankError(bases[0], bases, text, "".join(lines))


def _qualified(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _NoSuchFunction(LookupError):
    pass


def _surroundings(request: wire.RunRequest, rank: int) -> None:
    output = os.open(f"{request.directory}/output.{rank}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
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
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(request.world_size), GLOO_SOCKET_IFNAME="lo"
    )
    os.chdir(request.working_directory)
    sys.path[:] = request.search_path
    torch.set_num_threads(1)


def _inject(
    injections: tuple[faults.Injection, ...],
    program: ModuleType,
    request: wire.RunRequest,
    rank: int,
    send: Callable[[Any], None],
) -> None:
    board = switches.join(request.directory, injections)
    for position, injection in enumerate(injections):
        if injection.concerns(rank):
            setting = faults.Setting(
                program,
                rank,
                fired=functools.partial(send, wire.Fired(position)),
                called=functools.partial(send, wire.Called(position)),
                is_on=functools.partial(board.is_on, position),
            )
            injection.install(setting)


def _function(request: wire.RunRequest, program: ModuleType) -> Any:
    function: Any = program
    for part in request.qualname.split("."):
        function = getattr(function, part, None)
    if function is None:
        raise _NoSuchFunction(f"{request.program} has no function {request.qualname!r}")
    return function


def _load(request: wire.RunRequest) -> ModuleType:
    """The program's module: by name where that leads to the same file, else from the file."""
    path = Path(request.program)
    if request.module_name != "__mp_main__":
        try:
            spec = importlib.util.find_spec(request.module_name)
        except (ImportError, ValueError):
            spec = None
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path.resolve():
            return importlib.import_module(request.module_name)
    spec = importlib.util.spec_from_file_location(request.module_name, path)
    if spec is None or spec.loader is None:
        raise _NoSuchFunction(f"{path} is no Python file")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[request.module_name] = module
    if request.module_name == "__mp_main__":
        sys.modules["__main__"] = module  # classes of the caller's script were pickled under this name
    spec.loader.exec_module(module)
    return module


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
        with recorder.mode():
            value = function(*args)
    except SystemExit as error:
        if error.code in (None, 0):
            return wire.Ended(pickle.dumps(None), "None", None)
        return wire.Ended(None, "", describe(error))
    except BaseException as error:
        return wire.Ended(None, "", describe(error))
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


def _answer(channel: socket.socket, send: Any, go: threading.Event) -> None:
    """Answer the caller's questions; leave when it is gone."""
    while True:
        try:
            question = wire.receive(channel)
        except (EOFError, OSError):
            os._exit(1)
        if isinstance(question, wire.Go):
            go.set()
        elif isinstance(question, wire.Look):
            send(blocked.look(question.token, threading.get_ident()))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # The program may have closed it.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def _stay() -> NoReturn:
    while True:
        threading.Event().wait()

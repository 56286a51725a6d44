"""Sees every collective a rank enters, before it runs, and every wait for one.

A `TorchDispatchMode` on the c10d and functional-collective operators sees what module-level functions,
ProcessGroup methods, object collectives and DDP's backward have in common, also through names imported before
the recording began. Waiting happens in `Work.wait`, group creation in `_new_process_group_helper`; those two
are wrapped. Dispatch modes are per thread, so every thread that `threading.Thread` starts enters its own.

Not seen: collectives issued by C++ threads, waits on `Work.get_future()`, waits on a store, waits inside C++
(DDP's constructor and backward). A hang there has no proof and ends as `timeout`.
"""

from __future__ import annotations

import itertools
import sys
import sysconfig
import threading
from collections.abc import Callable
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d
from torch.utils._python_dispatch import TorchDispatchMode

from rslint_runtime.testing import operators, wire
from rslint_runtime.testing.records import Collective, Group

_NAMESPACES = ("c10d::", "_c10d_functional::")
_SKIPPED = (
    f"{torch.__path__[0]}/",
    f"{__file__.rsplit('/', 2)[0]}/",
    *(f"{sysconfig.get_path('stdlib')}/{name}.py" for name in ("contextlib", "threading")),
)
# Frames that only pass a call on and would hide the function the program called.
_TRANSPARENT = ("c10d_logger.py", "contextlib.py", "threading.py", __file__)


class Recorder:
    """The rank's side of the recording; one per process.

    Entering is numbered and sent under one lock, so the caller sees this rank's operations in their true
    order.
    """

    def __init__(
        self, rank: int, send: Callable[[Any], None], run_timeout: float, group_timeout: float
    ) -> None:
        self.rank = rank
        self._send = send
        self._run_timeout = run_timeout
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._counts: dict[tuple[Group, str], int] = {}
        self._works: dict[int, tuple[Any, int, bool]] = {}
        self._results: dict[int, tuple[int, bool]] = {}
        self._timed_groups: set[str] = set()
        self._default_timed = group_timeout < run_timeout
        # A rank that destroys its groups keeps their connections, as one that ends does (see rank.py).
        self.groups: list[Any] = []
        self._begun = False
        self._closed = False

    def install(self) -> None:
        """Wrap what is process-wide, before the program is loaded and can start threads."""
        _wrap_work_wait(self)
        _wrap_group_creation(self)
        _wrap_thread_start(self)

    def mode(self) -> TorchDispatchMode:
        return _Mode(self)

    def begin(self) -> None:
        """The program's function is called next; the making of the default group is not part of it."""
        self._begun = True

    def close(self) -> None:
        """The rank has ended: a thread that outlives it enters nothing more, as if the process had exited."""
        with self._lock:
            self._closed = True

    def send(self, message: Any) -> None:
        self._send(message)

    def enter(self, operation: operators.Operation) -> int:
        """Record and announce an operation; returns its number."""
        place, call = _place()
        with self._lock:
            closed = self._closed
            if not closed:
                key = (operation.group, operation.channel)
                self._counts[key] = self._counts.get(key, 0) + 1
                number = next(self._numbers)
                collective = Collective(
                    operation=operation.name,
                    call=call,
                    group=operation.group,
                    channel=operation.channel,
                    index=self._counts[key],
                    signature=operation.signature,
                    awaits=operation.awaits,
                    may_await=operation.may_await,
                    place=place,
                )
                self._send(wire.Entered(threading.get_ident(), number, collective))
                return number
        threading.Event().wait()
        raise AssertionError("a closed rank resumed")

    def withdraw(self, number: int, operation: operators.Operation) -> None:
        with self._lock:
            self._counts[(operation.group, operation.channel)] -= 1
            self._send(wire.Withdrawn(number))

    def waiting(self, number: int, timed: bool) -> None:
        self._send(wire.Waiting(threading.get_ident(), number, timed))

    def resumed(self) -> None:
        self._send(wire.Resumed(threading.get_ident()))

    def run(self, operation: operators.Operation, function: Callable[[], Any]) -> Any:
        """Run an operator: announce it, then remember whose Work or result a later wait will be about."""
        if not self._begun:
            return function()
        number = self.enter(operation)
        timed = self._is_timed(operation)
        if operation.blocks:
            self.waiting(number, timed)
        try:
            result = function()
        except BaseException:
            if not operation.blocks:
                self.withdraw(number, operation)
            raise
        finally:
            if operation.blocks:
                self.resumed()
        self._remember(result, number, timed)
        return result

    def wait(self, key: int, timed: bool, function: Callable[[], Any]) -> Any:
        """Run a blocking wait on a remembered Work."""
        with self._lock:
            known = self._works.pop(key, None)
        if known is None:
            return function()
        _, number, own_timeout = known
        self.waiting(number, timed or own_timeout)
        try:
            return function()
        finally:
            self.resumed()

    def wait_for_result(self, tensor: torch.Tensor, function: Callable[[], Any]) -> Any:
        """Run a blocking wait on the result of a functional collective."""
        with self._lock:
            known = self._results.pop(_storage(tensor), None)
        if known is None:
            return function()
        self.waiting(*known)
        try:
            return function()
        finally:
            self.resumed()

    def note_group_timeout(self, name: str, timeout: timedelta | None) -> None:
        if timeout is not None and timeout.total_seconds() < self._run_timeout:
            self._timed_groups.add(name)

    def _is_timed(self, operation: operators.Operation) -> bool:
        if operation.timeout is not None:
            return operation.timeout < self._run_timeout
        name = operation.group.name
        return name in self._timed_groups or (self._default_timed and name == operators.default_group_name())

    def _remember(self, result: Any, number: int, timed: bool) -> None:
        work_type: Any = dist.Work
        values = result if isinstance(result, (tuple, list)) else (result,)
        with self._lock:
            self._forget_finished()
            for value in values:
                if isinstance(value, torch.ScriptObject):
                    # pybind11 hands out one Python object per Work while that object lives; keeping it alive
                    # makes its identity the link between this operator and the later call of Work.wait.
                    work = work_type.unbox(value)
                    self._works[id(work)] = (work, number, timed)
                elif isinstance(value, torch.Tensor):
                    self._results[_storage(value)] = (number, timed)

    def _forget_finished(self) -> None:
        if len(self._works) > 64:
            self._works = {key: entry for key, entry in self._works.items() if not entry[0].is_completed()}
        if len(self._results) > 4096:
            self._results.clear()


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # torch would import all of torch._dynamo, a second in every rank, to keep the handler from being
        # compiled.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = kwargs or {}
        name: str = func._schema.name
        if not name.startswith(_NAMESPACES):
            pending = _pending_result(args) if types else None
            if pending is not None:
                return self._recorder.wait_for_result(pending, lambda: func(*args, **arguments))
            return func(*args, **arguments)
        if name == "_c10d_functional::wait_tensor":
            return self._recorder.wait_for_result(args[0], lambda: func(*args, **arguments))
        operation = operators.describe(func._schema, args, arguments, self._recorder.rank)
        if operation is None:
            return func(*args, **arguments)
        return self._recorder.run(operation, lambda: func(*args, **arguments))


def _wrap_work_wait(recorder: Recorder) -> None:
    work_type: Any = dist.Work
    original = work_type.wait

    def wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        timeout = args[0] if args else kwargs.get("timeout")
        timed = isinstance(timeout, timedelta) and timeout.total_seconds() > 0
        return recorder.wait(id(self), timed, lambda: original(self, *args, **kwargs))

    work_type.wait = wait


def _wrap_group_creation(recorder: Recorder) -> None:
    # new_group, new_subgroups, split_group and DeviceMesh all come through here, whatever name they were
    # imported under; it is also where the members, and only they, wait for each other.
    module: Any = distributed_c10d
    original = module._new_process_group_helper

    def new_process_group_helper(
        group_size: int, group_rank: int | None, ranks: Any, *args: Any, **kwargs: Any
    ) -> Any:
        name = kwargs["group_name"] if "group_name" in kwargs else args[2]
        members = tuple(ranks) or tuple(range(group_size))
        operation = operators.creation(str(name), members, recorder.rank)
        recorder.note_group_timeout(str(name), kwargs.get("timeout"))
        made = recorder.run(operation, lambda: original(group_size, group_rank, ranks, *args, **kwargs))
        recorder.groups.append(made)
        return made

    module._new_process_group_helper = new_process_group_helper


def _wrap_thread_start(recorder: Recorder) -> None:
    thread_type: Any = threading.Thread
    start = thread_type.start
    keys = itertools.count(1)

    def recorded_start(self: threading.Thread) -> None:
        # A thread has no identifier before it runs; a negative stand-in keeps it known from before its first
        # step.
        stand_in = -next(keys)
        run = self.run

        def recorded_run() -> None:
            recorder.send(wire.ThreadStarted(threading.get_ident(), self.name, stand_in))
            try:
                with recorder.mode():
                    run()
            finally:
                recorder.send(wire.ThreadEnded(threading.get_ident()))

        self.run = recorded_run  # type: ignore[method-assign]
        recorder.send(wire.ThreadStarted(stand_in, self.name, None))
        try:
            start(self)
        except BaseException:
            recorder.send(wire.ThreadEnded(stand_in))
            raise

    thread_type.start = recorded_start


def _place() -> tuple[str, str]:
    """`file:line` of the innermost frame of the program, and the library function it called."""
    frame: FrameType | None = sys._getframe(2)
    call = ""
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_SKIPPED):
            return f"{filename}:{frame.f_lineno}", call
        if not filename.endswith(_TRANSPARENT):
            call = frame.f_code.co_name
        frame = frame.f_back
    return "?", call


def _pending_result(args: tuple[Any, ...]) -> torch.Tensor | None:
    """The first argument that is a functional collective's result not yet waited for: using it waits."""
    for value in args:
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if type(item).__name__ == "AsyncCollectiveTensor" and not item.completed:
                result: torch.Tensor = item
                return result
    return None


def _storage(tensor: torch.Tensor) -> int:
    # An AsyncCollectiveTensor is a shell around the tensor that the collective returned.
    plain = getattr(tensor, "elem", tensor)
    return int(plain.untyped_storage()._cdata)

"""Makes torch and threading tell the recorder what happens: operations, waits, new groups, new threads."""

from __future__ import annotations

import itertools
import os
import threading
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import distributed_c10d
from torch.utils._python_dispatch import TorchDispatchMode

from rslint_runtime.testing import operators, wire
from rslint_runtime.testing.errors import described
from rslint_runtime.testing.recorder import Recorder
from rslint_runtime.testing.records import RankError

_NAMESPACES = ("c10d::", "_c10d_functional::")


def install(recorder: Recorder) -> None:
    """Wrap what is process-wide, before the program is loaded and can start threads."""
    _wrap_waits(recorder)
    _wrap_group_creation(recorder)
    _wrap_thread_start(recorder)
    os.register_at_fork(after_in_child=recorder.forked)


class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
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


def _wrap_waits(recorder: Recorder) -> None:
    work_type: Any = dist.Work
    future_type: Any = torch._C.Future
    wait_for_work, wait_for_future = work_type.wait, future_type.wait
    is_completed, get_future = work_type.is_completed, work_type.get_future

    def wait(self: Any, *args: Any, **kwargs: Any) -> Any:
        timeout = args[0] if args else kwargs.get("timeout")
        timed = isinstance(timeout, timedelta) and timeout.total_seconds() > 0
        return recorder.wait(id(self), timed, lambda: wait_for_work(self, *args, **kwargs))

    def asked(self: Any) -> Any:
        recorder.claimed(id(self))
        return is_completed(self)

    def future(self: Any) -> Any:
        made = get_future(self)
        recorder.claimed(id(self), made)
        return made

    work_type.wait, work_type.is_completed, work_type.get_future = wait, asked, future
    future_type.wait = lambda self: recorder.wait(id(self), False, lambda: wait_for_future(self))
    future_type.then = _with_noted_callback(recorder, future_type.then)
    future_type.add_done_callback = _with_noted_callback(recorder, future_type.add_done_callback)


def _with_noted_callback(recorder: Recorder, register: Any) -> Any:
    """The method of a future, with the function that it is given noted until torch has called it."""

    def registered(self: Any, callback: Any) -> Any:
        token = object()

        def noted(future: Any) -> Any:
            try:
                return callback(future)
            finally:
                recorder.callbacks.discard(token)

        recorder.callbacks.add(token)
        return register(self, noted)

    return registered


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
            died: RankError | None = None
            try:
                with Mode(recorder):
                    run()
            except SystemExit:
                raise  # a way for a thread to end, of which threading says nothing either
            except BaseException as error:
                died = described(error, __file__)
                raise
            finally:
                recorder.send(wire.ThreadEnded(threading.get_ident(), died))

        self.run = recorded_run  # type: ignore[method-assign]
        recorder.send(wire.ThreadStarted(stand_in, self.name, None))
        try:
            start(self)
        except BaseException:
            recorder.send(wire.ThreadEnded(stand_in))
            raise

    thread_type.start = recorded_start


def _pending_result(args: tuple[Any, ...]) -> torch.Tensor | None:
    """The first argument that is a functional collective's result not yet waited for: using it waits."""
    for value in args:
        for item in value if isinstance(value, (list, tuple)) else (value,):
            if type(item).__name__ == "AsyncCollectiveTensor" and not item.completed:
                result: torch.Tensor = item
                return result
    return None

"""Stops controlled threads in front of each instruction that touches what threads may share.

From Python 3.12 on with `sys.monitoring`, before with `sys.settrace` and `sys.setprofile`. Only the program's own code
is stopped in: not the standard library, not what is installed, not this package's harness; a library's function counts
as one access.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any

from rslint_runtime.testing.thread_accesses import (
    ITEMS_WRITTEN,
    Access,
    access_of_library,
    accesses_of,
    accesses_of_call,
)
from rslint_runtime.testing.thread_callees import UNKNOWN, called_by
from rslint_runtime.testing.thread_code import is_program
from rslint_runtime.testing.thread_state import Controlled, Operation, current

_HARNESS_NAME = __name__.rpartition(".")[0]


def _is_seen(frame: FrameType) -> bool:
    """Whether a function is the program's own. What `dataclasses` writes has no file: its module tells whose it is."""
    file = frame.f_code.co_filename
    if file.startswith("<") and str(frame.f_globals.get("__name__", "")).startswith(_HARNESS_NAME):
        return False
    return is_program(file) and frame.f_code.co_name != "<module>"


def _stop(me: Controlled, code: CodeType, offset: int, access: Access, row: Callable[[], int]) -> None:
    """A thread is in front of an instruction of the program."""
    operation = Operation(me.name, access, code, offset)
    line = (id(code), row())
    operation.leads = line != me.line
    if operation.leads:
        me.line, me.accesses_of_line = line, []
    operation.line = me.accesses_of_line
    operation.line.append(operation)
    me.scheduler.point(me, operation)


def _called(called: Any) -> Access | None:
    function = called.__func__ if isinstance(called, MethodType) else called
    if isinstance(function, FunctionType) and is_program(function.__code__.co_filename):
        return None  # its instructions are seen themselves
    if isinstance(called, type) and any(is_program(_file_of(kind)) for kind in called.__mro__):
        return None
    return accesses_of_call(called)


def _file_of(kind: type) -> str:
    init = kind.__dict__.get("__init__")
    return init.__code__.co_filename if isinstance(init, FunctionType) else "<frozen>"


# Python 3.12 and later ----------------------------------------------------------------------------------------------


@functools.cache
def _row(code: CodeType, offset: int) -> int:
    return next((row or 0 for start, end, row in code.co_lines() if start <= offset < end), 0)


class Monitoring:
    """Stops by `sys.monitoring`, which is for all threads: those that are not controlled are let through."""

    def __init__(self) -> None:
        self._tools: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        self._tool = next(number for number in (4, 3, 1, 5) if self._tools.get_tool(number) is None)

    def __enter__(self) -> Monitoring:
        tools, tool, events = self._tools, self._tool, self._tools.events
        tools.use_tool_id(tool, "rslint explore")
        tools.register_callback(tool, events.PY_START, self._start)
        tools.register_callback(tool, events.PY_RESUME, self._start)
        tools.register_callback(tool, events.INSTRUCTION, self._instruction)
        tools.register_callback(tool, events.CALL, self._call)
        tools.set_events(tool, events.PY_START | events.PY_RESUME)
        return self

    def __exit__(self, *reason: object) -> None:
        self._tools.set_events(self._tool, 0)
        self._tools.free_tool_id(self._tool)
        self._tools.restart_events()

    def begin(self) -> None:
        """Stop the calling thread from here on."""

    def end(self) -> None:
        """Stop it no more."""

    def _start(self, code: CodeType, offset: int) -> Any:
        me = current()
        if me is None:
            return None
        frame = sys._getframe(1)
        if not _is_seen(frame):
            me.scheduler.settle(me, access_of_library(frame.f_globals.get("__name__", "")))
            return None
        me.scheduler.settle(me, None)
        self._tools.set_local_events(
            self._tool, code, self._tools.events.INSTRUCTION | self._tools.events.CALL
        )
        return None

    def _instruction(self, code: CodeType, offset: int) -> Any:
        access = accesses_of(code).get(offset)
        if access is None:
            return self._tools.DISABLE
        me = current()
        if me is None or me.quiet:
            return None
        me.scheduler.settle(me, ITEMS_WRITTEN)
        _stop(me, code, offset, access, lambda: _row(code, offset))
        return None

    def _call(self, code: CodeType, offset: int, called: Any, first: Any) -> None:
        me = current()
        if me is not None and me.pending is not None:
            me.scheduler.settle(me, _called(called))


# Before Python 3.12 -------------------------------------------------------------------------------------------------


class Tracing:
    """Stops by `sys.settrace`. What is called is told by `sys.setprofile` where it is written in C."""

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *reason: object) -> None:
        """Nothing is left: each thread has its own tracing."""

    def begin(self) -> None:
        """Stop the calling thread from here on."""
        sys.setprofile(self._profile)
        sys.settrace(self._enter)

    def end(self) -> None:
        """Stop it no more."""
        sys.settrace(None)
        sys.setprofile(None)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        me = current()
        if me is None:
            return None
        if not _is_seen(frame):
            if me.pending is not None:
                me.scheduler.settle(me, access_of_library(frame.f_globals.get("__name__", "")))
            return None
        me.scheduler.settle(me, None)
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._inside

    def _inside(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            code, offset = frame.f_code, frame.f_lasti
            access = accesses_of(code).get(offset)
            if access is not None and (me := current()) is not None and not me.quiet:
                if me.pending is not None:
                    me.scheduler.settle(me, _called_before(me.pending, frame))
                _stop(me, code, offset, access, lambda: frame.f_lineno)
        return self._inside

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and (me := current()) is not None and me.pending is not None:
            me.scheduler.settle(me, accesses_of_call(argument))


def _called_before(pending: Operation, frame: FrameType) -> Access | None:
    """What a call touched that went into no function of Python and into none of C: it was that of a type, mostly."""
    called = UNKNOWN if pending.code is None else called_by(frame, pending.code, pending.offset)
    return ITEMS_WRITTEN if called is UNKNOWN else _called(called)


def stops() -> Monitoring | Tracing:
    """What stops threads in this version of Python."""
    return Monitoring() if sys.version_info >= (3, 12) else Tracing()

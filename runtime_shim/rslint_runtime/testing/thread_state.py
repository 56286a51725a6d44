"""The threads of one run: what each is about to do, what it waits for, and where it stands."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any

from rslint_runtime.testing.reduction import Event
from rslint_runtime.testing.thread_accesses import Access
from rslint_runtime.testing.thread_code import is_program, words_of

if TYPE_CHECKING:
    from rslint_runtime.testing.thread_scheduler import Scheduler

Step = tuple[int, str]
"""A decision: its number in the run, and the thread that goes on."""

allocate = threading.Lock
IN_A_LIBRARY = "a library"
_here = threading.local()


class Abandoned(BaseException):
    """Unwinds what is left of the threads of a run that is over."""


@dataclass(eq=False)
class Operation:
    """An access of a thread, at the instruction `offset` of `code`. `line` holds all accesses of the same line."""

    thread: str
    access: Access | None
    code: CodeType | None = None
    offset: int = 0
    words: str = ""
    line: list[Operation] = field(default_factory=list)
    leads: bool = True  # the first access of its line

    def row(self) -> int:
        """The line of the file that it is on; 0 where there is none."""
        lines = () if self.code is None else self.code.co_lines()
        return next((row or 0 for start, end, row in lines if start <= self.offset < end), 0)


@dataclass(frozen=True)
class Waiting:
    """What a thread waits for: until `ready` is true, at the longest until `deadline`."""

    ready: Callable[[], bool]
    deadline: float | None
    words: Callable[[], str]


@dataclass(eq=False)
class Controlled:
    """A thread of a run. While `quiet` is above zero, its operations are no points at which another may go on."""

    name: str
    scheduler: Scheduler
    thread: threading.Thread | None = None
    baton: Any = field(default_factory=allocate)
    gone: Any = field(default_factory=allocate)
    last: Event = 0
    quiet: int = 1
    background: bool = False
    worker: bool = False
    waiting: Waiting | None = None
    timed_out: bool = False
    done: bool = False
    pending: Operation | None = None
    line: tuple[int, int] = (0, 0)
    accesses_of_line: list[Operation] = field(default_factory=list)
    children: int = 0
    locks: int = 0
    hashes: int = 0
    patience: int = 100  # with what keeps waiting while it is unwound

    def can_go_on(self) -> bool:
        return not self.done and (self.waiting is None or self.waiting.ready())

    def may_time_out(self) -> bool:
        return not self.done and self.waiting is not None and self.waiting.deadline is not None


@dataclass(frozen=True)
class Alternative:
    """A choice that this run could have made: `cost` preemptions, in front of `operation` (None: somebody waits)."""

    step: Step
    cost: int
    operation: Operation | None


def current() -> Controlled | None:
    """The controlled thread that runs this; None in any other thread."""
    return getattr(_here, "controlled", None)


def become(controlled: Controlled | None) -> None:
    """Say that the calling thread is a controlled one, or none any more."""
    _here.controlled = controlled


def place_of(controlled: Controlled) -> str:
    """Where a thread stands in the program: the innermost of its functions that are not a library's."""
    thread = controlled.thread
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    while frame is not None:
        if is_program(frame.f_code.co_filename):
            return words_of(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return IN_A_LIBRARY

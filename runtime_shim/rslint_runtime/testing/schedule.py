"""An event loop whose order is chosen from outside: one callback at a time, and every wait ends when it is told to.

asyncio runs callbacks in the order in which they became ready; what is not determined is when something outside (a
reply, a timer, a new request) makes one ready. So at each point the loop either runs the first ready callback or lets
one of the pending waits end, however long it was to last. Every run it can make is one that asyncio can make.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Scheduled:
    """A callback that waits for its turn or for its time; what `call_soon` and `call_later` hand out."""

    callback: Callable[..., object]
    args: tuple[Any, ...]
    context: contextvars.Context
    moment: float
    number: int
    owner: str
    dropped: bool = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped

    def when(self) -> float:
        return self.moment

    def run(self) -> None:
        self.context.run(self.callback, *self.args)


@dataclass(eq=False)
class ChosenLoop(asyncio.AbstractEventLoop):
    """The loop of one run. Sockets, subprocesses, signals and executors are not there: their methods raise
    NotImplementedError, as asyncio's abstract loop does."""

    ready: deque[Scheduled] = field(default_factory=deque)
    waiting: list[Scheduled] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    now: float = 0.0
    numbered: int = 0
    named: int = 0
    asked: int = 0
    """How often the time was asked for."""

    def pending(self) -> list[Scheduled]:
        """The waits that may end now, the one that is due first in front."""
        self.waiting = [one for one in self.waiting if not one.dropped]
        return sorted(self.waiting, key=lambda one: (one.moment, one.number))

    def has_ready(self) -> bool:
        while self.ready and self.ready[0].dropped:
            self.ready.popleft()
        return bool(self.ready)

    def end_wait(self, one: Scheduled) -> None:
        """Let a wait end: its callback becomes the last of the ready ones."""
        self.waiting.remove(one)
        self.now = max(self.now, one.moment)
        self.ready.append(one)

    def step(self) -> Scheduled:
        """Run the first ready callback."""
        one = self.ready.popleft()
        one.run()
        return one

    # What asyncio asks of a loop ----------------------------------------------------------------------------

    def time(self) -> float:
        self.asked += 1
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **keywords: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        if keywords.get("name") is None:
            # asyncio counts through the whole process; a run is to have the same names each time.
            self.named += 1
            maker = asyncio.current_task(self)
            keywords["name"] = f"{'task' if maker is None else maker.get_name()}.{self.named}"
        return asyncio.Task(coro, loop=self, **keywords)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Scheduled:
        one = self._scheduled(callback, args, context, self.now)
        self.ready.append(one)
        return one

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Scheduled:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> Scheduled:
        one = self._scheduled(callback, args, context, when)
        self.waiting.append(one)
        return one

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _scheduled(
        self,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        moment: float,
    ) -> Scheduled:
        self.numbered += 1
        task = asyncio.current_task(self)
        owner = _name_of(callback) or (task.get_name() if task is not None else "")
        return Scheduled(callback, args, context or contextvars.copy_context(), moment, self.numbered, owner)


def _name_of(callback: Callable[..., object]) -> str:
    """The task whose step a callback is."""
    task = getattr(callback, "__self__", None)
    return task.get_name() if isinstance(task, asyncio.Task) else ""


def place_of(task: asyncio.Task[Any]) -> str:
    """Where a task stands: the innermost line of its coroutines, as `function (file:line)`."""
    coroutine: Any = task.get_coro()
    place = "has not started"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is None:
            break
        code = frame.f_code
        if "asyncio" not in code.co_filename.replace("\\", "/").split("/")[-2:-1]:
            name = code.co_filename.replace("\\", "/").rpartition("/")[2]
            place = f"{code.co_name} ({name}:{frame.f_lineno})"
        coroutine = getattr(coroutine, "cr_await", None)
    return place

"""Locks between requests and updates of what they use, which know that requests can be paused.

A server that replaces a model's weights waits until no request runs. If it has paused them, they run no more and end
only after it resumes: then it must not wait. The bug (RS204) is to read the flag under one lock, to release that, and
then to take the other lock or leave it: a resume in between lets requests run while the weights are replaced. Here one
lock knows both, and an update that was let in because of a pause holds the pause: `resume` waits for it.

    lock = AsyncUpdateLock()

    async with lock.request():          # waits while paused, or while an update runs or waits
        answer = await engine.generate(prompt)

    async with lock.update() as paused: # alone, or, when paused, beside the requests that are
        await engine.load(weights)

    lock.pause(); …; await lock.resume()

Turns are granted in the order in which they were asked for (`update_turns`): neither requests nor updates starve.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Literal

from rslint_runtime.update_turns import Turn, UpdateTurns
from rslint_runtime.waiting import checked_timeout

if TYPE_CHECKING:
    import asyncio

__all__ = ["AsyncUpdateLock", "UpdateLock"]


class UpdateLock:
    """For threads. Every wait takes a timeout in seconds, None or infinity for none, and raises TimeoutError; a turn
    that was waited for in vain is not kept. A timeout below 0, or NaN, is a ValueError, and nothing is asked for."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._turns = UpdateTurns()

    @property
    def paused(self) -> bool:
        """Whether requests are paused. It may change at once: decide by what `update` tells."""
        return self._turns.paused

    @contextlib.contextmanager
    def request(self, timeout: float | None = None) -> Iterator[None]:
        """Run beside other requests, when nothing is paused and no update runs or waits.

        Within a request of the same thread it is let in first; within its own update it raises RuntimeError.
        """
        turn = self._turn("request", timeout)
        try:
            yield
        finally:
            self._give_back(turn)

    @contextlib.contextmanager
    def update(self, timeout: float | None = None) -> Iterator[bool]:
        """Run while no other update runs, and no request runs or all are paused; tells whether they are paused.

        If they are at the entry, they are until the end: `resume` waits. Within a request or an update of the same
        thread it raises RuntimeError.
        """
        turn = self._turn("update", timeout)
        try:
            yield turn.paused
        finally:
            self._give_back(turn)

    def pause(self) -> None:
        """Let no request in until `resume`, and updates without waiting for requests that run. It does not wait, and
        stops nothing: requests that run must have been stopped, or be bound to stop before an update reaches them."""
        with self._mutex:
            self._turns.pause()

    def resume(self, timeout: float | None = None) -> None:
        """Let requests in again, when updates that were asked for before are done; at once when nothing is paused.

        It is carried out even if the wait for it ends by TimeoutError, unless `pause` is called before. Within an
        update of the same thread it raises RuntimeError.
        """
        self._turn("resume", timeout)

    def _turn(self, kind: Literal["request", "update", "resume"], timeout: float | None) -> Turn:
        limit = checked_timeout(timeout)
        turn = Turn(kind, threading.get_ident())
        with self._mutex:
            self._turns.ask(turn)
            if turn.granted:
                return turn
            granted = threading.Event()
            turn.grant = granted.set
        try:
            if not granted.wait(limit):
                raise TimeoutError(f"{kind}() was not let in within {timeout:g} s")
        except BaseException:
            if kind != "resume":
                self._give_back(turn)
            raise
        return turn

    def _give_back(self, turn: Turn) -> None:
        with self._mutex:
            self._turns.give_back(turn)


class AsyncUpdateLock:
    """For the tasks of one event loop. Any wait may be cancelled; giving back never waits, so that a task that is
    cancelled inside gives back too. For a timeout use `asyncio.timeout` or `asyncio.wait_for`."""

    def __init__(self) -> None:
        self._turns = UpdateTurns()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def paused(self) -> bool:
        """Whether requests are paused. It may change at the next await: decide by what `update` tells."""
        return self._turns.paused

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Run beside other requests, when nothing is paused and no update runs or waits.

        Within a request of the same task it is let in first; within its own update it raises RuntimeError. A task that
        a request starts and waits for must not ask for one of its own: it would queue behind an update that waits for
        the request.
        """
        turn = await self._turn("request")
        try:
            yield
        finally:
            self._turns.give_back(turn)

    @contextlib.asynccontextmanager
    async def update(self) -> AsyncIterator[bool]:
        """Run while no other update runs, and no request runs or all are paused; tells whether they are paused.

        If they are at the entry, they are until the end: `resume` waits. Within a request or an update of the same
        task it raises RuntimeError.
        """
        turn = await self._turn("update")
        try:
            yield turn.paused
        finally:
            self._turns.give_back(turn)

    def pause(self) -> None:
        """Let no request in until `resume`, and updates without waiting for requests that run. It does not wait, and
        stops nothing: requests that run must have been stopped, or be bound to stop before an update reaches them."""
        self._turns.pause()

    async def resume(self) -> None:
        """Let requests in again, when updates that were asked for before are done; at once when nothing is paused.

        It is carried out even if the task is cancelled while it waits, unless `pause` is called before. Within an
        update of the same task it raises RuntimeError.
        """
        await self._turn("resume")

    async def _turn(self, kind: Literal["request", "update", "resume"]) -> Turn:
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError("an AsyncUpdateLock belongs to the event loop in which it was first used")
        self._loop = loop
        turn = Turn(kind, asyncio.current_task())
        self._turns.ask(turn)
        if turn.granted:
            return turn
        granted: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not granted.done():  # it is when the task was cancelled and has not learned of it yet
                granted.set_result(None)

        turn.grant = wake
        try:
            await granted
        except BaseException:
            if kind != "resume":
                self._turns.give_back(turn)
            raise
        return turn

"""Sees every collective a rank enters, before it runs, and every wait for one.

A `TorchDispatchMode` on the c10d and functional-collective operators sees what module-level functions,
ProcessGroup methods, object collectives and DDP's backward have in common, also through names imported before
the recording began. Waiting happens in `Work.wait`, group creation in `_new_process_group_helper`; those two
are wrapped. Dispatch modes are per thread, so every thread that `threading.Thread` starts enters its own.

Waits inside C++ (DDP's constructor and backward) announce nothing; `blocked` finds them by what the thread does and
by the operations it has not finished.

Not seen: collectives issued by C++ threads, waits on a store. A hang there has no proof and ends as `timeout`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from rslint_runtime.testing import operators, places, wire
from rslint_runtime.testing.records import Collective, Group

# Before it is wrapped: the recorder's own questions are not the program's.
_is_completed: Any = dist.Work.is_completed


@dataclass(frozen=True)
class _Issued:
    """A Work that nobody has waited for yet, the number of its operation and the thread that began it.

    `handle` is what the program waits for, the Work or its future. It is kept so that its id stays its own.
    """

    work: Any
    number: int
    timed: bool
    thread: int
    handle: Any


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
        self._works: dict[int, _Issued] = {}
        self._results: dict[int, tuple[int, bool]] = {}
        # Numbers of operations whose handle the program has and has not asked; in order.
        self._unclaimed: dict[int, None] = {}
        self._timed_groups: set[str] = set()
        self._default_timed = group_timeout < run_timeout
        # A rank that destroys its groups keeps their connections, as one that ends does (see rank.py).
        self.groups: list[Any] = []
        # One for each function that the program has given to a future and torch has not called to its end.
        self.callbacks: set[object] = set()
        self._begun = False
        self._closed = False

    def begin(self) -> None:
        """The program's function is called next; the making of the default group is not part of it."""
        self._begun = True

    def close(self) -> None:
        """The rank has ended: a thread that outlives it enters nothing more, as if the process had exited."""
        with self._lock:
            self._closed = True

    def forked(self) -> None:
        """In a child that the program has forked: it is no rank, and what it does is not this rank's doing."""
        self._lock = threading.RLock()
        self._begun = False
        self._send = lambda message: None

    def send(self, message: Any) -> None:
        self._send(message)

    def enter(self, operation: operators.Operation) -> int:
        """Record and announce an operation; returns its number."""
        place, call = places.place()
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
        """Run a blocking wait on a remembered Work or future, `key` being its id."""
        with self._lock:
            known = self._works.pop(key, None)
            if known is not None:
                self._unclaimed.pop(known.number, None)
        if known is None:
            return function()
        self.waiting(known.number, timed or known.timed)
        try:
            return function()
        except BaseException:
            # It has given up, and may wait once more.
            with self._lock:
                self._works[key] = known
            raise
        finally:
            self.resumed()

    def wait_for_result(self, tensor: torch.Tensor, function: Callable[[], Any]) -> Any:
        """Run a blocking wait on the result of a functional collective."""
        with self._lock:
            known = self._results.pop(_storage(tensor), None)
            if known is not None:
                self._unclaimed.pop(known[0], None)
        if known is None:
            return function()
        self.waiting(*known)
        try:
            return function()
        finally:
            self.resumed()

    def unfinished(self, thread: int) -> tuple[int, ...]:
        """Numbers of the operations that this thread has issued and that still run; none if one may give up."""
        with self._lock:
            issued = [known for known in self._works.values() if known.thread == thread]
            running = [known for known in issued if not _is_completed(known.work)]
        return () if any(known.timed for known in running) else tuple(known.number for known in running)

    def claimed(self, key: int, future: Any = None) -> None:
        """The program has asked a Work how it stands, or for its future: it does not forget it."""
        with self._lock:
            known = self._works.get(key)
            if known is not None:
                self._unclaimed.pop(known.number, None)
                if future is not None:
                    self._works[id(future)] = replace(known, handle=future)

    def unclaimed(self) -> tuple[int, ...]:
        """Numbers of the operations that the program began and never waited for."""
        return tuple(self._unclaimed)

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
                    self._works[id(work)] = _Issued(work, number, timed, threading.get_ident(), work)
                elif isinstance(value, torch.Tensor):
                    self._results[_storage(value)] = (number, timed)
                else:
                    continue
                if places.handed_to_program():
                    self._unclaimed[number] = None

    def _forget_finished(self) -> None:
        if len(self._works) > 64:
            self._works = {key: known for key, known in self._works.items() if not _is_completed(known.work)}
        if len(self._results) > 4096:
            self._results.clear()


def _storage(tensor: torch.Tensor) -> int:
    # An AsyncCollectiveTensor is a shell around the tensor that the collective returned.
    plain = getattr(tensor, "elem", tensor)
    return int(plain.untyped_storage()._cdata)

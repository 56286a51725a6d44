"""Lets the threads of one run go on one at a time, and decides at each of their accesses who is next.

By itself a thread goes on until it waits or ends, and then the next one in their order that can go on does; when none
can, time passes until the first of the waits with a timeout. Other decisions are *choices*: going on with another
thread although this one could go on, or letting a timeout come early, costs one preemption; which of several threads
goes on when one waits or has ended costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rslint_runtime.testing.reduction import PartialOrder, Visited
from rslint_runtime.testing.thread_accesses import CALL, Access
from rslint_runtime.testing.thread_code import words_of
from rslint_runtime.testing.thread_state import (
    IN_A_LIBRARY,
    Abandoned,
    Alternative,
    Controlled,
    Operation,
    Step,
    Waiting,
    allocate,
    place_of,
)

_LONGEST_TURN = 1_000


@dataclass(eq=False)
class Scheduler:
    """One run: `choices` are made where they say, and nothing but the natural course is taken otherwise."""

    choices: dict[int, str]
    most_steps: int
    visited: Visited | None
    stops: Any
    used: int = 0
    check: Callable[[], str | None] | None = None
    threads: dict[str, Controlled] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)
    order: PartialOrder = field(default_factory=PartialOrder)
    steps: int = 0
    now: float = 0.0
    over: bool = False
    pruned: bool = False
    outcome: tuple[str, str] | None = None
    failure: BaseException | None = None
    missed: Step | None = None
    turn: int = 0
    state: object = None
    changed: bool = True
    running: Controlled | None = None
    ended: Any = field(default_factory=allocate)

    def __post_init__(self) -> None:
        self.last_choice = max(self.choices, default=-1)

    def begin(self) -> Controlled:
        """The thread that goes first."""
        return self._choose(Controlled("", self), None, ended=True)

    # What threads say ---------------------------------------------------------------------------------------

    def point(self, me: Controlled, operation: Operation) -> None:
        """A thread is about to do something that others may see. Comes back when it is its turn to do so."""
        if me.quiet or self.over:
            return
        self.settle(me, None)
        self._look(me)
        chosen = self._choose(me, operation)
        if chosen is not me:
            self._hand_over(me, chosen)
        if operation.access == CALL:
            me.pending = operation
        else:
            self.executed(me, operation)

    def settle(self, me: Controlled, access: Access | None) -> None:
        """Say what the call touches in front of which the thread was last; None: nothing by itself."""
        if (operation := me.pending) is not None:
            me.pending = None
            operation.access = access
            if access is not None:
                self.executed(me, operation)

    def executed(self, me: Controlled, operation: Operation) -> None:
        """A thread does what it was about to do."""
        access = operation.access
        assert access is not None
        self.operations.append(operation)
        accesses = [access]
        if access[1]:
            self.changed = True
            if self.check is not None:
                # The check may look at all that is written: no two writes are independent.
                accesses.append(("observed", True))
        me.last = self.order.add(me.last, me.name, accesses)

    def wait(
        self, me: Controlled, ready: Callable[[], bool], timeout: float | None, words: Callable[[], str]
    ) -> bool:
        """Let others go on until `ready`; False when the time has run out."""
        if me.quiet:
            if self.over:
                raise Abandoned
            raise RuntimeError(f"the scenario waits while no other thread can go on: {words()}")
        if self.over:
            raise Abandoned
        self.settle(me, None)
        deadline = None if timeout is None or timeout < 0 else self.now + timeout
        me.waiting, me.timed_out = Waiting(ready, deadline, words), False
        self._look(me)
        chosen = self._choose(me, None)
        if chosen is not me:
            self._hand_over(me, chosen)
        me.waiting = None
        return not me.timed_out

    def finish(self, me: Controlled) -> None:
        """A thread has ended: another one goes on."""
        me.done = True
        if self.over:
            return
        self.executed(me, Operation(me.name, (f"thread {me.name}", True), words="ends"))
        try:
            self._look(me)
            self._choose(me, None, ended=True).baton.release()
        except Abandoned:
            pass

    def stop(self, outcome: tuple[str, str] | None) -> None:
        """The run is over; the thread that says so is unwound with all others."""
        if not self.over:
            self.over, self.outcome = True, outcome
            self.ended.release()
        raise Abandoned

    def told(self) -> tuple[str, ...]:
        """The run in words: a step for each line of the program, and for each operation of a lock."""
        steps: list[str] = []
        for one in self.operations:
            where = f"at {words_of(one.code, one.row())}" if one.code is not None else one.words
            if not steps or steps[-1] != f"{one.thread}: {where}":
                steps.append(f"{one.thread}: {where}")
        return tuple(steps)

    # Decisions ----------------------------------------------------------------------------------------------

    def _choose(self, me: Controlled, operation: Operation | None, *, ended: bool = False) -> Controlled:
        step = self.steps
        self.steps += 1
        if step >= self.most_steps:
            self.stop(("endless", f"not done after {self.most_steps} steps"))
        able = [one for one in self._others(me) if one.can_go_on()]
        natural = self._natural(me, operation is not None, able)
        if step > self.last_choice:
            self._stop_where_another_run_was(me if operation is not None else None)
        chosen = natural
        for one, cost in self._candidates(natural, able, 0 if operation is None else 1):
            self.alternatives.append(Alternative((step, one.name), cost, operation))
            if self.choices.get(step) == one.name:
                chosen = one
        if step in self.choices and chosen.name != self.choices[step]:
            self.missed = self.missed or (step, self.choices[step])
        self._begin(me, chosen, ended)
        return chosen

    def _stop_where_another_run_was(self, goes_on: Controlled | None) -> None:
        if self.visited is None:
            return
        waits = tuple((one.name, one.waiting.deadline) for one in self._sleepers() if one.waiting is not None)
        on = "" if goes_on is None else goes_on.name
        state = (self.order.state, on, waits, self.now if waits else 0.0)
        # Between two decisions a thread may have touched nothing; that is no second visit.
        before, self.state = self.state, state
        if state != before and self.visited.seen(state, self.used):
            self.pruned = True
            self.stop(None)

    def _begin(self, me: Controlled, chosen: Controlled, ended: bool) -> None:
        self.running = chosen
        if chosen is not me or ended:
            self.turn = 0
        if not chosen.can_go_on() and chosen.waiting is not None and chosen.waiting.deadline is not None:
            chosen.timed_out = True
            self.now = max(self.now, chosen.waiting.deadline)
            self.executed(chosen, Operation(chosen.name, ("clock", True), words="its time has run out"))

    def _natural(self, me: Controlled, can_go_on: bool, able: list[Controlled]) -> Controlled:
        if can_go_on:
            self.turn += 1
            # A thread that only polls would keep the others from what it polls for.
            return able[0] if self.turn > _LONGEST_TURN and able else me
        if me.can_go_on():
            able = [*able, me]
        sleepers = self._sleepers()
        if not any(not one.background for one in self.threads.values() if not one.done):
            self.stop(None)
        if able:
            return able[0]
        if not sleepers:
            self._nobody_can_go_on()
        return min(sleepers, key=lambda one: one.waiting.deadline or 0.0)  # type: ignore[union-attr]

    def _candidates(
        self, natural: Controlled, able: list[Controlled], cost: int
    ) -> Iterator[tuple[Controlled, int]]:
        """Who else could go on, and how many preemptions that costs."""
        for one in able:
            if one is not natural:
                yield one, cost
        for one in self._sleepers():
            if one is not natural and not one.can_go_on():
                yield one, 1

    def _sleepers(self) -> list[Controlled]:
        return [one for one in self.threads.values() if one.may_time_out()]

    def _others(self, me: Controlled) -> list[Controlled]:
        """All other threads, in the order in which they take turns."""
        threads = list(self.threads.values())
        at = threads.index(me) if me in threads else -1
        return [*threads[at + 1 :], *threads[: max(at, 0)]]

    def _nobody_can_go_on(self) -> None:
        stuck = [one for one in self.threads.values() if not one.done and not one.background]
        # A worker of an executor that waits for work keeps nothing from ending.
        stuck = [one for one in stuck if not one.worker or place_of(one) != IN_A_LIBRARY]
        if not stuck:
            self.stop(None)
        told = [
            f"{one.name} waits in {place_of(one)} for {one.waiting.words()}" for one in stuck if one.waiting
        ]
        self.stop(("deadlock", "; ".join(told)))

    def _hand_over(self, me: Controlled, to: Controlled) -> None:
        to.baton.release()
        me.baton.acquire()
        if self.over:
            raise Abandoned

    def _look(self, me: Controlled) -> None:
        """Ask the scenario's check, where something may have changed since it was asked."""
        if self.check is None or not self.changed:
            return
        self.changed = False
        me.quiet += 1
        try:
            broken = self.check()
        except BaseException as error:
            self.failure, broken = error, "the check fails"
        finally:
            me.quiet -= 1
        if broken is not None:
            self.stop(("invariant", broken))

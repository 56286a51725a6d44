"""One run of a scenario's threads, from their start to the last of them being unwound."""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from rslint_runtime.testing import thread_locks
from rslint_runtime.testing.reduction import Visited
from rslint_runtime.testing.scenario import Choice, Further, Run, Scenario, seed_of
from rslint_runtime.testing.thread_code import only_in
from rslint_runtime.testing.thread_scheduler import Scheduler
from rslint_runtime.testing.thread_state import (
    Abandoned,
    Controlled,
    Operation,
    become,
    current,
    place_of,
)
from rslint_runtime.testing.thread_tracing import Monitoring, Tracing, stops
from rslint_runtime.testing.weak_state import stay_on_one_cpu

_start_thread = threading.Thread.start
_PATIENCE = 10.0

Granularity = Literal["instruction", "line"]


def start(thread: threading.Thread) -> None:
    """`Thread.start`: the new thread waits for its turn."""
    me = current()
    if me is None:
        _start_thread(thread)
        return
    me.children += 1
    child = adopt(me, thread, f"{me.name}.{me.children}")
    me.scheduler.point(me, Operation(me.name, (f"thread {child.name}", True), words=f"starts {child.name}"))


def adopt(me: Controlled, thread: threading.Thread, name: str) -> Controlled:
    """Start a thread that is controlled as `name`."""
    child = Controlled(name, me.scheduler, thread, last=me.last, background=thread.daemon)
    child.baton.acquire()
    child.gone.acquire()
    child.worker = getattr(getattr(thread, "_target", None), "__module__", "") == "concurrent.futures.thread"
    vars(thread)["_rslint_controlled"] = child
    vars(thread)["run"] = functools.partial(_run, child, thread.run)
    me.scheduler.threads[name] = child
    me.quiet += 1
    try:
        _start_thread(thread)
    finally:
        me.quiet -= 1
    return child


def _run(child: Controlled, run: Callable[[], None]) -> None:
    """The `run` of a controlled thread."""
    if child.scheduler.over:
        return
    stops: Monitoring | Tracing = child.scheduler.stops
    child.quiet = 0
    stay_on_one_cpu()
    stops.begin()
    try:
        run()
    except (Abandoned, SystemExit):
        pass
    except BaseException as error:
        with contextlib.suppress(Abandoned):
            child.scheduler.stop(("error", f"{child.name} raises {error!r}"))
    finally:
        stops.end()
        child.quiet = 1


def begin_thread(real: Callable[..., Any]) -> Callable[..., Any]:
    """`threading._start_new_thread` (`_start_joinable_thread`), for threads that `start` has adopted too."""

    @functools.wraps(real)
    def begin(bootstrap: Callable[[], None], *arguments: Any, **named: Any) -> Any:
        thread = getattr(bootstrap, "__self__", None)
        child = thread_locks.controlled_of(thread) if isinstance(thread, threading.Thread) else None
        if child is None or thread is None:
            return real(bootstrap, *arguments, **named)

        def body() -> None:
            become(child)
            child.baton.acquire()
            bootstrap()
            child.scheduler.settle(child, None)
            child.scheduler.finish(child)
            become(None)
            child.gone.release()

        started = real(body, *arguments, **named)
        thread._started.set()
        return started

    return begin


@dataclass(eq=False)
class ThreadRuns:
    """Makes the runs of one scenario; while it is entered, what threads wait with is replaced."""

    scenario: Callable[[], Scenario]
    granularity: Granularity
    modules: Sequence[ModuleType] | None
    most_steps: int
    visited: Visited | None

    def __enter__(self) -> ThreadRuns:
        from rslint_runtime.testing.thread_patches import controlled, modules_of

        only_in({file for one in self.modules or () if (file := one.__file__) is not None})
        self._stack = contextlib.ExitStack()
        self._stops = self._stack.enter_context(stops())
        self._stack.callback(only_in, set())
        self._stack.enter_context(_nothing_collected())
        self._stack.enter_context(controlled(self.modules or modules_of(self.scenario)))
        return self

    def __exit__(self, *reason: object) -> None:
        self._stack.close()

    def make(self, choices: tuple[Choice, ...], used: int) -> Run:
        """The run with these choices, which are `used` preemptions."""
        gc.collect()
        scheduler = Scheduler(dict(choices), self.most_steps, self.visited, self._stops, used)
        setup = Controlled("setup", scheduler)
        become(setup)
        try:
            scenario = self.scenario()
            scheduler.check = scenario.check
            go(scheduler, setup, scenario.threads)
            finding = scheduler.outcome
            if finding is None and not scheduler.pruned and scenario.at_end is not None:
                become(setup)
                broken = scenario.at_end()
                finding = None if broken is None else ("invariant", broken)
        finally:
            become(None)
        unmet = scheduler.missed or next((one for one in choices if one[0] >= scheduler.steps), None)
        missed = None if unmet is None else seed_of((unmet,))
        return Run(finding, scheduler.told, missed, self._further(scheduler, choices), _accesses(scheduler))

    def _further(self, scheduler: Scheduler, choices: tuple[Choice, ...]) -> list[Further]:
        after = choices[-1][0] if choices else -1
        found = []
        for one in scheduler.alternatives:
            if one.step[0] <= after:
                continue
            operation, keys = one.operation, frozenset[str]()
            if operation is not None:
                same = operation.line if self.granularity == "line" and operation.line else [operation]
                keys = frozenset(other.access[0] for other in same if other.access is not None)
                if not keys or (same is operation.line and not operation.leads):
                    continue
            found.append(Further(one.step, one.cost, keys))
        return found


@contextlib.contextmanager
def _nothing_collected() -> Iterator[None]:
    """Finalizers come when the program lets go of things, in every run alike. What there is now is not looked at again,
    so that collecting between two runs costs little."""
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()


def _accesses(scheduler: Scheduler) -> set[tuple[str, str, bool]]:
    found = {(one.thread, *one.access) for one in scheduler.operations if one.access is not None}
    if scheduler.check is not None:
        found |= {("the check", key, False) for _, key, writes in found if writes}
    return found


def go(scheduler: Scheduler, setup: Controlled, threads: Mapping[str, Callable[[], Any]]) -> None:
    """Run threads until all that are not daemons have ended, or the run is stopped; then unwind what is left.

    Raises RuntimeError when a thread waits for something that is not controlled, and what the check raises.
    """
    for name, function in threads.items():
        adopt(setup, threading.Thread(target=function, name=name), name)
    become(None)
    scheduler.ended.acquire()
    try:
        with contextlib.suppress(Abandoned):
            scheduler.begin().baton.release()
        _await_end(scheduler)
    finally:
        scheduler.over = True
        _unwind(scheduler)
    if scheduler.failure is not None:
        raise scheduler.failure


def _await_end(scheduler: Scheduler) -> None:
    """Wait until the run is over. A thread that makes no step for long waits for what nobody controls."""
    before = -1
    while not scheduler.ended.acquire(timeout=_PATIENCE):
        if scheduler.steps == before:
            stuck = scheduler.running
            assert stuck is not None
            raise RuntimeError(
                f"{stuck.name} has made no step for {_PATIENCE:.0f} s in {place_of(stuck)}: explore() does not control "
                "what it waits for; name the modules whose locks it uses in modules=, or let it wait for something of "
                "`threading` or `queue` that is made in the scenario"
            )
        before = scheduler.steps


def _unwind(scheduler: Scheduler) -> None:
    for one in list(scheduler.threads.values()):
        if one.thread is not None:
            with contextlib.suppress(RuntimeError):
                one.baton.release()
            one.gone.acquire(timeout=_PATIENCE)

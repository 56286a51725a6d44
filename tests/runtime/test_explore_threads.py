"""Threads under `explore`: what is found, what is left alone, what is said of it, and that it can be run again."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rslint_runtime.testing import Scenario, explore, replay


class Counter:
    """Counted by several threads."""

    def __init__(self) -> None:
        self.count = 0
        self.lock = threading.Lock()

    def careless(self) -> None:
        self.count += 1

    def careful(self) -> None:
        with self.lock:
            self.count += 1


def counting(method: str, threads: int = 2) -> Callable[[], Scenario]:
    def scenario() -> Scenario:
        counter = Counter()
        return Scenario(
            threads={name: getattr(counter, method) for name in "abcd"[:threads]},
            at_end=lambda: None if counter.count == threads else f"counted {counter.count}",
        )

    return scenario


def test_a_lost_update_is_found_said_and_run_again_from_its_seed() -> None:
    found = explore(counting("careless"), preemptions=1)
    assert found.violation is not None
    assert found.violation.message == "counted 1"
    assert "careless (test_explore_threads.py:" in found.report()
    assert f'seed: "{found.violation.seed}"' in found.report()
    assert replay(counting("careless"), found.violation.seed) == found.violation
    assert replay(counting("careless"), found.violation) == found.violation


def test_it_takes_a_preemption_and_stops_between_instructions() -> None:
    assert explore(counting("careless"), preemptions=0).violation is None
    assert explore(counting("careless"), granularity="line").violation is None
    with pytest.raises(ValueError, match="'instruction' or 'line'"):
        explore(counting("careless"), granularity="word")  # type: ignore[arg-type]


def test_with_a_lock_no_update_is_lost() -> None:
    found = explore(counting("careful", 3))
    assert (found.violation, found.complete) == (None, True)


def test_two_runs_find_the_same_in_the_same_run() -> None:
    first, second = explore(counting("careless", 3)), explore(counting("careless", 3))
    assert first == second


def test_a_seed_means_the_same_in_another_process() -> None:
    found = explore(counting("careless", 3)).violation
    assert found is not None
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"import importlib.util as u; s = u.spec_from_file_location('other', {__file__!r})\n"
        "m = u.module_from_spec(s); sys.modules['other'] = m; s.loader.exec_module(m)\n"
        f"print(m.replay(m.counting('careless', 3), {found.seed!r}).report())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert said.stdout.strip() == found.report().strip(), said.stderr


def test_locks_in_two_orders_are_a_deadlock_that_names_who_holds_what() -> None:
    def scenario() -> Scenario:
        left, right = threading.Lock(), threading.Lock()

        def take(first: Any, second: Any) -> None:
            with first, second:
                pass

        return Scenario(threads={"one": lambda: take(left, right), "two": lambda: take(right, left)})

    found = explore(scenario).violation
    assert found is not None
    assert found.kind == "deadlock"
    assert "one waits in take (test_explore_threads.py:" in found.message
    assert "which two holds" in found.message
    assert "which one holds" in found.message


def test_a_lock_that_a_thread_takes_twice_is_a_deadlock_and_a_reentrant_one_is_not() -> None:
    def scenario(make: Callable[[], Any]) -> Scenario:
        lock = make()

        def twice() -> None:
            with lock, lock:
                pass

        return Scenario(threads={"one": twice})

    found = explore(lambda: scenario(threading.Lock)).violation
    assert found is not None
    assert "which it holds" in found.message
    assert explore(lambda: scenario(threading.RLock)).violation is None


def test_a_notification_that_comes_before_the_wait_is_lost() -> None:
    def scenario(tests: bool) -> Scenario:
        changed = threading.Condition()
        ready: list[bool] = []

        def wait() -> None:
            with changed:
                if tests:
                    changed.wait_for(lambda: ready)
                else:
                    changed.wait()

        def notify() -> None:
            with changed:
                ready.append(True)
                changed.notify()

        return Scenario(threads={"waits": wait, "notifies": notify})

    found = explore(lambda: scenario(tests=False)).violation
    assert found is not None
    assert (found.kind, "for a notification" in found.message) == ("deadlock", True)
    assert explore(lambda: scenario(tests=True)).violation is None


def test_events_semaphores_barriers_and_queues_wait_for_other_threads() -> None:
    def scenario() -> Scenario:
        started, room, met = threading.Event(), threading.Semaphore(1), threading.Barrier(2)
        sent: queue.Queue[int] = queue.Queue(1)
        got: list[int] = []

        def produce() -> None:
            started.set()
            for number in range(2):
                with room:
                    pass
                sent.put(number)
            met.wait()

        def consume() -> None:
            started.wait()
            for _ in range(2):
                got.append(sent.get())
            met.wait()

        at_end = lambda: None if got == [0, 1] else f"got {got}"  # noqa: E731
        return Scenario(threads={"produce": produce, "consume": consume}, at_end=at_end)

    found = explore(scenario, preemptions=1)
    assert (found.violation, found.complete) == (None, True)


def test_time_is_not_waited_for_and_a_timeout_may_come_early() -> None:
    def scenario() -> Scenario:
        done = threading.Event()

        def work() -> None:
            time.sleep(3600)
            done.set()

        def wait() -> None:
            if not done.wait(7200):
                raise TimeoutError("too late")

        return Scenario(threads={"work": work, "wait": wait})

    before = time.monotonic()
    assert explore(scenario, preemptions=0).violation is None
    found = explore(scenario, preemptions=1).violation
    assert time.monotonic() - before < 600
    assert found is not None
    assert found.message == "wait raises TimeoutError('too late')"


def test_threads_that_threads_start_and_executors_are_controlled_too() -> None:
    def scenario(locked: bool) -> Scenario:
        counter = Counter()
        work = counter.careful if locked else counter.careless

        def main() -> None:
            others = [threading.Thread(target=work) for _ in range(2)]
            for other in others:
                other.start()
            for other in others:
                other.join()
                assert not other.is_alive()

        return Scenario(threads={"main": main}, at_end=lambda: None if counter.count == 2 else "lost")

    assert explore(lambda: scenario(locked=True)).violation is None
    found = explore(lambda: scenario(locked=False)).violation
    assert found is not None
    assert "main.1: at careless" in found.report()


def test_an_executor_runs_inside_and_its_idle_workers_are_no_deadlock() -> None:
    def scenario(shut: bool) -> Scenario:
        kept: list[Any] = []

        def main() -> None:
            pool = ThreadPoolExecutor(1)
            kept.append(pool)
            assert pool.submit(lambda: 5).result() == 5
            if shut:
                pool.shutdown()

        return Scenario(threads={"main": main})

    for shut in (False, True):
        found = explore(lambda shut=shut: scenario(shut), preemptions=0)  # type: ignore[misc]
        assert (found.violation, found.complete) == (None, True)


def test_daemons_do_not_keep_a_run_from_ending() -> None:
    def scenario() -> Scenario:
        def poll() -> None:
            while True:
                time.sleep(1)

        def main() -> None:
            threading.Thread(target=poll, daemon=True).start()

        return Scenario(threads={"main": main})

    assert explore(scenario).violation is None
    assert not any(thread.name.startswith("main") for thread in threading.enumerate())


def test_an_exception_of_any_thread_is_an_error() -> None:
    def fails() -> None:
        raise KeyError("gone")

    def starts() -> None:
        threading.Thread(target=fails).start()

    found = explore(lambda: Scenario(threads={"task": fails})).violation
    assert found is not None
    assert (found.kind, found.message) == ("error", "task raises KeyError('gone')")
    found = explore(lambda: Scenario(threads={"task": starts})).violation
    assert found is not None
    assert found.message == "task.1 raises KeyError('gone')"


def test_a_thread_that_polls_without_sleeping_lets_others_go_on_in_the_end() -> None:
    def scenario(stopped: bool) -> Scenario:
        state = {"stop": False}

        def poll() -> None:
            while not state["stop"]:
                pass

        def stop() -> None:
            state["stop"] = stopped

        return Scenario(threads={"poll": poll, "stop": stop})

    assert explore(lambda: scenario(stopped=True), preemptions=0).violation is None
    found = explore(lambda: scenario(stopped=False), preemptions=0, most_steps=5_000).violation
    assert found is not None
    assert found.kind == "endless"


def test_a_check_sees_the_states_between_two_writes_of_different_threads() -> None:
    def scenario() -> Scenario:
        class Pair:
            left = right = 0

        pair = Pair()

        def set_left() -> None:
            pair.left = 1

        def set_right() -> None:
            pair.right = 1

        return Scenario(
            threads={"left": set_left, "right": set_right},
            check=lambda: "right alone" if pair.right and not pair.left else None,
        )

    found = explore(scenario).violation
    assert found is not None
    assert (found.kind, found.message) == ("invariant", "right alone")


def module_with_locks() -> ModuleType:
    program: Any = ModuleType("program_with_locks")
    program.__file__ = __file__
    program.lock = threading.Lock()
    program.again = threading.RLock()
    program.full = queue.Queue(1)
    program.Lock, program.sleep = threading.Lock, time.sleep

    class Holder:
        def __init__(self) -> None:
            self.lock, self.changed = threading.Lock(), threading.Condition()

        @cached_property
        def once(self) -> int:
            with program.lock:
                return 1

    Holder.__module__ = __name__
    program.Holder, program.holder = Holder, Holder()
    return program


def test_locks_that_a_module_had_before_are_controlled_and_put_back() -> None:
    program: Any = module_with_locks()
    before = (program.lock, program.holder.lock, program.holder.changed, program.full)

    def scenario() -> Scenario:
        def one() -> None:
            with program.lock, program.holder.lock, program.again:
                program.sleep(1)

        def two() -> None:
            with program.holder.lock, program.lock, program.Lock():
                program.full.put(1)
                program.full.get()

        return Scenario(threads={"one": one, "two": two})

    own = sys.modules[__name__] if __name__ in sys.modules else ModuleType("none")
    found = explore(scenario, modules=[program, own]).violation
    assert found is not None
    assert found.kind == "deadlock"
    assert (program.lock, program.holder.lock, program.holder.changed, program.full) == before


def test_a_wait_that_nobody_controls_is_said_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    from rslint_runtime.testing import thread_run

    monkeypatch.setattr(thread_run, "_PATIENCE", 0.5)
    hidden = [threading.Lock()]  # in no module's reach

    def scenario() -> Scenario:
        def hold() -> None:
            with hidden[0]:
                time.sleep(1)

        return Scenario(threads={"one": hold, "two": hold})

    with pytest.raises(RuntimeError, match=r"two has made no step for .* in hold \(test_explore_threads.py:"):
        explore(scenario)


def test_what_is_chosen_by_chance_is_refused_with_a_word_of_why() -> None:
    runs: list[int] = []

    def scenario() -> Scenario:
        runs.append(1)
        counter = Counter()
        work = counter.careful if len(runs) < 6 else (lambda: None)
        return Scenario(threads={"a": work, "b": work})

    with pytest.raises(RuntimeError, match="does not do the same each time"):
        explore(scenario)


def test_a_scenario_is_of_tasks_or_of_threads() -> None:
    with pytest.raises(ValueError, match=r"tasks .* or threads"):
        explore(lambda: Scenario())


async def waits() -> None: ...


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (None, "a function is needed that makes the scenario"),
        (Scenario(threads={"a": int}), "a function is needed that makes the scenario"),
        (lambda: None, "returned a NoneType, no Scenario"),
        (lambda: {"a": int}, "returned a dict, no Scenario"),
        (lambda: Scenario(threads={"a": 5}), "threads: 'a' is a int, no function"),
        (
            lambda: Scenario(tasks={"a": waits}),
            r"tasks: 'a' is a function, no coroutine: call it, 'a': waits\(\)",
        ),
        (lambda: Scenario(tasks={"a": None}), "tasks: 'a' is a NoneType, no coroutine$"),
    ],
)
def test_what_is_no_scenario_is_one_line(scenario: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        explore(scenario)


def test_a_task_to_cancel_has_to_be_there() -> None:
    with pytest.raises(ValueError, match="cancellable: there is no task 'b'; tasks are a"):
        explore(lambda: Scenario(tasks={"a": waits()}, cancellable=("b",)))


@pytest.mark.parametrize("preemptions", [-1, 0.5, None])
def test_a_bound_on_surprises_is_a_number(preemptions: Any) -> None:
    with pytest.raises(ValueError, match="a number of surprises is needed, from 0 on"):
        explore(counting("careless"), preemptions=preemptions)


def test_text_that_is_no_seed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`3-b` is not of the form `17:name`"):
        replay(counting("careless"), "3-b")


def test_afterwards_nothing_is_replaced() -> None:
    before = (
        threading.Lock,
        threading.RLock(),
        time.sleep,
        time.monotonic,
        queue.SimpleQueue,
        threading.Thread.start,
    )
    explore(counting("careless"))
    after = (
        threading.Lock,
        threading.RLock(),
        time.sleep,
        time.monotonic,
        queue.SimpleQueue,
        threading.Thread.start,
    )
    assert (before[0], type(before[1]), *before[2:]) == (after[0], type(after[1]), *after[2:])


# With and without reduction ---------------------------------------------------------------------------------------

STEPS = (
    "x += 1",
    "y = x",
    "x = 2",
    "with l: x += 1",
    "with m: y += x",
    "with l, m: pass",
    "with m, l: pass",
    "z += 1",
)


class Shared:
    x = y = z = 0


def program_of(bodies: tuple[tuple[int, ...], ...]) -> Callable[[], Scenario]:
    """Threads that make these steps on the attributes of one object."""
    text = ""
    for number, body in enumerate(bodies):
        rows = [STEPS[step] for step in body]
        for name in "xyz":
            rows = [row.replace(f"{name} ", f"s.{name} ").replace(f"= {name}", f"= s.{name}") for row in rows]
        text += f"def body{number}(s, l, m):\n" + "".join(f"    {row}\n" for row in rows) + "\n"
    names: dict[str, Any] = {}
    exec(compile(text, "generated.py", "exec"), names)

    def scenario() -> Scenario:
        shared, left, right = Shared(), threading.Lock(), threading.Lock()
        threads = {
            f"t{number}": lambda number=number: names[f"body{number}"](shared, left, right)
            for number in range(len(bodies))
        }
        ends.append(shared)
        return Scenario(threads=threads, at_end=lambda: note(shared))

    ends: list[Shared] = []
    states: set[tuple[int, int, int]] = set()

    def note(shared: Shared) -> None:
        states.add((shared.x, shared.y, shared.z))

    scenario.states = states  # type: ignore[attr-defined]
    return scenario


def results(bodies: tuple[tuple[int, ...], ...], *, reduction: bool) -> tuple[object, int]:
    """How it can end: the kind of violation, or all the states in which it ends; and in how many runs that was seen."""
    scenario = program_of(bodies)
    found = explore(scenario, preemptions=1, reduction=reduction)
    if found.violation is not None:
        return found.violation.kind, found.runs
    return scenario.states, found.runs  # type: ignore[attr-defined]


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.lists(
        st.lists(st.integers(0, len(STEPS) - 1), min_size=1, max_size=2).map(tuple), min_size=2, max_size=2
    )
)
def test_reduction_changes_nothing_of_what_can_come_out(bodies: list[tuple[int, ...]]) -> None:
    with_it, fewer = results(tuple(bodies), reduction=True)
    without, runs = results(tuple(bodies), reduction=False)
    assert with_it == without
    assert fewer <= runs


def test_reduction_leaves_out_what_no_other_thread_touches() -> None:
    def scenario() -> Scenario:
        own = [Shared(), Shared()]

        def first() -> None:
            for _ in range(3):
                own[0].x += 1

        def second() -> None:
            for _ in range(3):
                own[1].y += 1

        return Scenario(threads={"first": first, "second": second})

    fewer, all_runs = explore(scenario).runs, explore(scenario, reduction=False).runs
    assert fewer * 20 < all_runs

"""What `explore` finds, what it leaves alone, and that what it finds can be run again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rslint_runtime.testing import Scenario, explore, replay


def lazy_pool(locked: bool) -> Callable[[], Scenario]:
    """Two tasks want the one pool; making it takes a reply from outside."""

    def scenario() -> Scenario:
        made: list[int] = []
        lock = asyncio.Lock()
        state: dict[str, int] = {}

        async def connect() -> None:
            if "pool" not in state:
                await asyncio.sleep(0.1)
                made.append(len(made))
                state["pool"] = made[-1]

        async def use() -> None:
            if locked:
                async with lock:
                    await connect()
            else:
                await connect()

        return Scenario({"one": use(), "two": use()}, lambda: "two pools are made" if len(made) > 1 else None)

    return scenario


def test_a_decision_that_is_stale_after_an_await_is_found_and_said() -> None:
    found = explore(lazy_pool(locked=False))
    assert found.violation is not None
    assert found.violation.message == "two pools are made"
    assert "connect (test_explore.py:" in found.report()


def test_a_lock_over_test_and_act_leaves_nothing_to_find() -> None:
    found = explore(lazy_pool(locked=True))
    assert (found.violation, found.complete) == (None, True)
    assert found.runs > 10


def test_what_needs_a_surprise_is_not_found_without_one() -> None:
    def scenario() -> Scenario:
        order: list[str] = []

        async def reply(name: str, after: float) -> None:
            await asyncio.sleep(after)
            order.append(name)

        return Scenario(
            {"soon": reply("soon", 1.0), "late": reply("late", 2.0)},
            at_end=lambda: None if order == ["soon", "late"] else f"arrived as {order}",
        )

    assert explore(scenario, preemptions=0).violation is None
    found = explore(scenario, preemptions=1).violation
    assert found is not None
    assert found.message == "arrived as ['late', 'soon']"
    assert any("out of turn" in step for step in found.steps)
    assert replay(scenario, found) == found


def test_tasks_that_wait_for_each_other_are_a_deadlock_with_their_places() -> None:
    def scenario() -> Scenario:
        left, right = asyncio.Lock(), asyncio.Lock()

        async def take(first: asyncio.Lock, second: asyncio.Lock) -> None:
            async with first:
                await asyncio.sleep(0)
                async with second:
                    pass

        return Scenario({"one": take(left, right), "two": take(right, left)})

    found = explore(scenario).violation
    assert found is not None
    assert found.kind == "deadlock"
    assert "one waits in take (test_explore.py:" in found.message


def test_a_lock_that_a_cancelled_task_keeps_is_found() -> None:
    def scenario() -> Scenario:
        lock = asyncio.Lock()

        async def careless() -> None:
            await lock.acquire()
            await asyncio.sleep(0.1)
            lock.release()

        async def careful() -> None:
            async with lock:
                await asyncio.sleep(0.1)

        return Scenario({"careless": careless(), "careful": careful()}, cancellable=("careless",))

    found = explore(scenario, preemptions=1).violation
    assert found is not None
    assert found.kind == "deadlock"
    assert any("is cancelled at careless" in step for step in found.steps)


def test_an_exception_of_a_task_is_an_error_and_the_scenario_is_left_clean() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("gone")

    found = explore(lambda: Scenario({"task": fails()})).violation
    assert found is not None
    assert (found.kind, found.message) == ("error", "task raises KeyError('gone')")


def test_timeouts_task_groups_and_queues_of_asyncio_run_on_the_chosen_loop() -> None:
    def scenario() -> Scenario:
        queue: asyncio.Queue[int] = asyncio.Queue()
        got: list[int] = []

        async def produce() -> None:
            await asyncio.gather(*(queue.put(number) for number in range(3)))

        async def consume() -> None:
            for _ in range(3):
                got.append(await asyncio.wait_for(queue.get(), timeout=60))

        return Scenario(
            {"consume": consume(), "produce": produce()},
            at_end=lambda: None if got == [0, 1, 2] else f"got {got}",
        )

    assert explore(scenario, preemptions=0).violation is None
    early = explore(scenario, preemptions=1).violation
    assert early is not None
    assert "TimeoutError" in early.message


def test_a_run_without_an_end_is_said() -> None:
    async def spins() -> None:
        while True:
            await asyncio.sleep(0)

    found = explore(lambda: Scenario({"spins": spins()}), preemptions=0, most_steps=50).violation
    assert found is not None
    assert found.kind == "endless"


def test_a_bound_on_runs_is_said() -> None:
    found = explore(lazy_pool(locked=True), most_runs=3)
    assert (found.runs, found.complete) == (3, False)
    assert "there are more runs" in found.report()


def test_a_violation_that_no_longer_fits_its_scenario_cannot_be_replayed() -> None:
    found = explore(lazy_pool(locked=False)).violation
    assert found is not None
    other = explore(
        lambda: Scenario({"one": asyncio.sleep(1.0), "two": asyncio.sleep(2.0)}, lambda: None), preemptions=1
    )
    assert other.complete
    changed = type(found)(found.kind, found.message, ((0, "ends: nobody #99"),), found.steps)
    with pytest.raises(ValueError, match="not offered any more"):
        replay(lazy_pool(locked=False), changed)


def test_inside_of_a_running_loop_it_says_what_to_do() -> None:
    async def inside() -> None:
        explore(lazy_pool(locked=True))

    with pytest.raises(RuntimeError, match="outside of a coroutine"):
        asyncio.run(inside())


# With and without reduction -----------------------------------------------------------------------------------------

STEPS = ("sleep 0", "sleep 1", "sleep 2", "write", "read", "locked", "timeout", "child", "time")


def generated(bodies: list[list[str]], seen: set[str]) -> Callable[[], Scenario]:
    """Tasks that make these steps; `seen` gets what each run comes to."""

    def scenario() -> Scenario:
        log: list[str] = []
        lock = asyncio.Lock()

        async def step(name: str, what: str) -> None:
            if what.startswith("sleep"):
                await asyncio.sleep(float(what[6:]))
            elif what == "locked":
                async with lock:
                    await asyncio.sleep(1)
                    log.append(name)
            elif what == "timeout":
                try:
                    await asyncio.wait_for(asyncio.sleep(1), 2)
                except asyncio.TimeoutError:
                    log.append("timeout")
            elif what == "child":
                await asyncio.gather(step(name + "1", "sleep 1"), step(name + "2", "write"))
            elif what == "time":
                log.append(f"{name} at {asyncio.get_running_loop().time()}")
            else:
                log.append(f"{name} {what}s")

        async def run(name: str, body: list[str]) -> None:
            for what in body:
                await step(name, what)

        def at_end() -> None:
            seen.add(" ".join(log))

        return Scenario(
            {f"t{number}": run(f"t{number}", body) for number, body in enumerate(bodies)}, at_end=at_end
        )

    return scenario


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(STEPS), min_size=1, max_size=2), min_size=2, max_size=3))
def test_reduction_leaves_out_no_outcome(bodies: list[list[str]]) -> None:
    with_it: set[str] = set()
    without: set[str] = set()
    fewer = explore(generated(bodies, with_it), preemptions=1)
    every = explore(generated(bodies, without), preemptions=1, reduction=False)
    assert with_it == without
    assert (fewer.violation, every.violation) == (None, None)
    assert fewer.runs <= every.runs


def test_a_seed_of_tasks_is_one_line_that_replays() -> None:
    found = explore(lazy_pool(locked=False)).violation
    assert found is not None
    assert f'seed: "{found.seed}"' in found.report()
    assert replay(lazy_pool(locked=False), found.seed) == found

"""The pause-aware update lock: in no order of events do requests run while what they use is replaced."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import AsyncUpdateLock, UpdateLock, update_turns
from rslint_runtime.testing import Scenario, explore
from rslint_runtime.update_turns import Turn, UpdateTurns


class Engine:
    """Holds the weights. Requests that are paused make no progress, and end only after they are resumed."""

    def __init__(self) -> None:
        self.lock = AsyncUpdateLock()
        self.running = 0
        self.updating = 0
        self.wrong = ""

    def check(self) -> str | None:
        if self.updating > 1:
            return "two updates at once"
        if self.updating and self.running and not self.lock.paused:
            return "requests run while the weights are replaced"
        return self.wrong or None

    def at_end(self) -> str | None:
        turns = self.lock._turns
        left = turns.requests or turns.updater or turns.waiting or turns.paused
        return f"left behind: {turns}" if left else None

    async def request(self) -> None:
        async with self.lock.request():
            if self.updating:
                self.wrong = "a request was let in during an update"
            self.running += 1
            try:
                await asyncio.sleep(1)
                while self.lock.paused:
                    await asyncio.sleep(1)
            finally:
                self.running -= 1

    async def nested_request(self) -> None:
        async with self.lock.request():
            await asyncio.sleep(1)
            await self.request()

    async def update(self) -> None:
        async with self.lock.update() as paused:
            self.updating += 1
            try:
                await asyncio.sleep(1)
                if paused and not self.lock.paused:
                    self.wrong = "resumed during an update that was let in because of the pause"
            finally:
                self.updating -= 1

    async def pauses(self) -> None:
        await asyncio.sleep(0.5)
        self.lock.pause()
        try:
            await asyncio.sleep(2)
        finally:
            await self.lock.resume()


def server(*names: str, cancellable: tuple[str, ...] = ()) -> Callable[[], Scenario]:
    """Tasks of an engine by the name of its method, several times the same as `update2`."""

    def scenario() -> Scenario:
        engine = Engine()
        tasks: dict[str, Coroutine[Any, Any, Any]] = {
            name: getattr(engine, name.rstrip("0123456789"))() for name in names
        }
        return Scenario(tasks, check=engine.check, at_end=engine.at_end, cancellable=cancellable)

    return scenario


@pytest.mark.parametrize(
    ("tasks", "cancellable", "surprises"),
    [
        (("request", "update", "pauses"), ("request", "update", "pauses"), 2),
        (("request", "update", "request2", "update2"), ("request2", "update"), 2),
        (("nested_request", "update", "pauses"), ("update",), 2),
        (("request", "request2", "pauses", "update", "update2"), ("request", "update", "pauses"), 1),
    ],
)
def test_in_no_order_of_events_are_weights_replaced_under_a_request(
    tasks: tuple[str, ...], cancellable: tuple[str, ...], surprises: int
) -> None:
    found = explore(server(*tasks, cancellable=cancellable), preemptions=surprises)
    assert (found.violation, found.complete) == (None, True), found.report()
    assert found.runs > 50


# --- each rule is needed: without it, an order of events is found that goes wrong


def without_waiting_for(kind: str) -> Callable[[UpdateTurns, Turn], bool]:
    may = UpdateTurns._may
    return lambda turns, turn: turn.kind == kind or may(turns, turn)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("resume", "requests run while"),
        ("update", "requests run while"),
        ("request", "a request was let in|requests run while"),
    ],
)
def test_a_turn_that_is_given_too_soon_is_found(
    monkeypatch: pytest.MonkeyPatch, kind: str, says: str
) -> None:
    monkeypatch.setattr(UpdateTurns, "_may", without_waiting_for(kind))
    found = explore(server("request", "update", "pauses"), preemptions=2).violation
    assert found is not None
    assert found.kind == "invariant"
    assert any(text in found.message for text in says.split("|"))


def test_an_update_that_waits_for_paused_requests_would_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may = UpdateTurns._may
    blind = lambda turns, turn: may(turns, turn) and not (turn.kind == "update" and turns.requests)  # noqa: E731
    monkeypatch.setattr(UpdateTurns, "_may", blind)
    found = explore(server("request", "update", "pauses"), preemptions=1, most_steps=200).violation
    assert found is not None
    assert found.kind in ("deadlock", "endless")


def test_a_cancelled_task_that_kept_its_turn_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    give_back = UpdateTurns.give_back
    keeps = lambda turns, turn: give_back(turns, turn) if not turn.granted else None  # noqa: E731
    monkeypatch.setattr(update_turns.UpdateTurns, "give_back", keeps)
    assert explore(server("request", "update", cancellable=("request",)), preemptions=1).violation is not None


# --- the order of turns


class Callers:
    """Callers of one lock, and which of them have been let in, in order."""

    def __init__(self) -> None:
        self.turns = UpdateTurns()
        self.let_in: list[str] = []
        self.asked: dict[str, Turn] = {}

    def ask(self, kind: Any, name: str = "") -> str:
        name = name or kind
        turn = Turn(kind, name.partition("/")[0], lambda: self.let_in.append(name))
        self.turns.ask(turn)
        self.asked[name] = turn
        return name

    def end(self, name: str) -> None:
        self.turns.give_back(self.asked.pop(name))


def test_neither_requests_nor_updates_starve() -> None:
    callers = Callers()
    for name in ("r1", "r2", "u1", "r3", "u2", "r4"):
        callers.ask("update" if name.startswith("u") else "request", name)
    assert callers.let_in == ["r1", "r2"]
    for ended in ("r1", "r2", "u1", "r3", "u2"):
        callers.end(ended)
    assert callers.let_in == ["r1", "r2", "u1", "r3", "u2", "r4"]


def test_a_pause_lets_an_update_in_that_waits_for_requests() -> None:
    callers = Callers()
    callers.ask("request")
    callers.ask("update")
    assert callers.let_in == ["request"]
    callers.turns.pause()
    assert callers.let_in == ["request", "update"]
    assert callers.asked["update"].paused


def test_updates_and_resume_come_in_order_and_requests_after_them() -> None:
    callers = Callers()
    callers.ask("request", "running")
    callers.turns.pause()
    for kind, name in (
        ("update", "u1"),
        ("request", "r1"),
        ("update", "u2"),
        ("resume", "on"),
        ("update", "u3"),
    ):
        callers.ask(kind, name)
    assert callers.let_in == ["running", "u1"]
    callers.end("u1")
    assert callers.let_in == ["running", "u1", "u2"]
    callers.end("u2")
    assert callers.let_in == ["running", "u1", "u2", "on", "r1"]
    callers.end("running")
    callers.end("r1")
    assert callers.let_in[-1] == "u3"


def test_who_gives_up_lets_those_behind_go_on() -> None:
    callers = Callers()
    for kind, name in (("request", "r1"), ("update", "u"), ("request", "r2")):
        callers.ask(kind, name)
    callers.end("u")
    assert callers.let_in == ["r1", "r2"]


def test_the_last_word_counts() -> None:
    callers = Callers()
    callers.turns.pause()
    callers.ask("update")
    callers.ask("resume")
    callers.turns.pause()
    callers.end("update")
    assert (callers.let_in, callers.turns.paused) == (["update", "resume"], True)


def test_a_request_within_a_request_comes_before_an_update_that_waits_for_it() -> None:
    callers = Callers()
    callers.ask("request", "a")
    callers.ask("update", "u")
    callers.ask("request", "a/inner")
    assert callers.let_in == ["a", "a/inner"]
    callers.end("a/inner")
    callers.end("a")
    assert callers.let_in[-1] == "u"


def test_a_request_within_a_paused_request_waits_for_the_resume_and_then_comes_first() -> None:
    callers = Callers()
    callers.ask("request", "a")
    callers.turns.pause()
    callers.ask("update", "u1")
    callers.ask("resume", "on")
    callers.ask("update", "u2")
    callers.ask("request", "a/inner")
    assert callers.let_in == ["a", "u1"]
    callers.end("u1")
    assert callers.let_in == ["a", "u1", "on", "a/inner"]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("request", "update"), ("update", "update"), ("update", "request"), ("update", "resume")],
)
def test_who_would_wait_for_itself_is_told_and_leaves_nothing_behind(outer: str, inner: str) -> None:
    callers = Callers()
    callers.turns.paused = inner == "resume"
    callers.ask(outer, "a")
    with pytest.raises(RuntimeError, match=rf"{inner}\(\) inside of an? {outer} of the same thread or task"):
        callers.ask(inner, "a/inner")
    callers.end("a")
    assert not callers.turns.waiting


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "update", "resume", "pause", "ends", "gives up"]), st.integers(0, 5)
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_is_asked_for_is_let_in_alone_or_beside_paused_requests_and_nobody_is_forgotten(
    steps: list[tuple[Any, int]],
) -> None:
    turns = UpdateTurns()
    asked: list[Turn] = []

    def has(turn: Turn) -> bool:
        return turn is turns.updater or (turn.kind == "request" and turn.granted and turn in asked)

    for number, (step, which) in enumerate(steps):
        running = [turn for turn in asked if has(turn)]
        waiting = list(turns.waiting)
        if step == "pause":
            turns.pause()
        elif step in ("ends", "gives up"):
            if among := running if step == "ends" else [turn for turn in waiting if turn.kind != "resume"]:
                turn = among[which % len(among)]
                asked.remove(turn)
                turns.give_back(turn)
        else:
            asked.append(Turn(step, number))
            turns.ask(asked[-1])
        new = [turn for turn in asked if has(turn) and turn not in running]
        let_in = [turn for turn in new if turn.kind == "request"]
        assert not (let_in and (turns.paused or turns.updater))
        if turns.updater in new:
            assert turns.paused or not turns.requests
        still = list(turns.waiting)
        turns._advance()
        assert list(turns.waiting) == still

    turns.ask(Turn("resume", "last"))
    while running := [turn for turn in asked if has(turn)]:
        asked.remove(running[0])
        turns.give_back(running[0])
    assert (list(turns.waiting), turns.requests, turns.updater, turns.paused) == ([], {}, None, False)


# --- threads


def in_thread(program: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=program, daemon=True)
    thread.start()
    return thread


def test_threads_update_alone_or_beside_paused_requests() -> None:
    lock = UpdateLock()
    entered, ends = threading.Event(), threading.Event()

    def request() -> None:
        with lock.request():
            entered.set()
            ends.wait(30)

    thread = in_thread(request)
    assert entered.wait(30)
    with (
        pytest.raises(TimeoutError, match=r"update\(\) was not let in within 0.01 s"),
        lock.update(timeout=0.01),
    ):
        pass
    lock.pause()
    with lock.update(timeout=30) as paused:
        assert (paused, lock.paused) == (True, True)
        with pytest.raises(RuntimeError, match=r"resume\(\) inside of an update"):
            lock.resume()
    with pytest.raises(TimeoutError), lock.request(timeout=0.01):
        pass
    lock.resume(timeout=30)
    with lock.request(timeout=30):
        pass
    ends.set()
    thread.join(30)
    with lock.update(timeout=30) as paused:
        assert not paused


def test_a_thread_that_resumes_waits_for_the_update() -> None:
    lock = UpdateLock()
    lock.pause()
    with lock.update():
        thread = in_thread(lock.resume)
        thread.join(0.05)
        assert (thread.is_alive(), lock.paused) == (True, True)
    thread.join(30)
    assert (thread.is_alive(), lock.paused) == (False, False)


def test_a_resume_that_nobody_waits_for_any_more_is_carried_out() -> None:
    lock = UpdateLock()
    lock.pause()
    entered, ends = threading.Event(), threading.Event()

    def update() -> None:
        with lock.update():
            entered.set()
            ends.wait(30)

    thread = in_thread(update)
    assert entered.wait(30)
    with pytest.raises(TimeoutError, match="resume"):
        lock.resume(timeout=0.01)
    ends.set()
    thread.join(30)
    assert not lock.paused


def test_many_threads_never_see_half_an_update() -> None:
    lock = UpdateLock()
    weights = [0, 0]
    torn: list[tuple[int, int]] = []

    def requests() -> None:
        for _ in range(60):
            with lock.request(timeout=60):
                if weights[0] != weights[1]:
                    torn.append((weights[0], weights[1]))

    def updates() -> None:
        for _ in range(20):
            with lock.update(timeout=60):
                weights[0] += 1
                threading.Event().wait(0.0001)
                weights[1] += 1

    threads = [in_thread(program) for program in (requests, requests, requests, updates, updates)]
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert torn == []
    assert weights == [40, 40]


# --- asyncio, beyond what is explored


def test_an_error_inside_gives_the_turn_back() -> None:
    async def program() -> None:
        lock = AsyncUpdateLock()
        for turn in (lock.request, lock.update):
            with pytest.raises(KeyError):
                async with turn():
                    raise KeyError("inside")
        async with lock.update() as paused:
            assert not paused

    asyncio.run(program())


def test_it_belongs_to_one_event_loop() -> None:
    lock = AsyncUpdateLock()

    async def use() -> None:
        async with lock.request():
            pass

    asyncio.run(use())
    with pytest.raises(RuntimeError, match="event loop in which it was first used"):
        asyncio.run(use())


def test_a_turn_that_is_granted_and_cancelled_in_the_same_step_is_given_back() -> None:
    async def program() -> None:
        lock = AsyncUpdateLock()

        async def waits() -> None:
            async with lock.update():
                raise AssertionError("cancelled before it was let in")

        async with lock.request():
            task = asyncio.ensure_future(waits())
            await asyncio.sleep(0)
        task.cancel()  # in the step in which it was let in
        with pytest.raises(asyncio.CancelledError):
            await task
        async with lock.update():
            pass

    asyncio.run(asyncio.wait_for(program(), 30))

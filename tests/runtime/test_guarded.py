"""Guarded values: used under their lock, and never after it."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import AsyncGuarded, Guarded, Held, ReleasedError
from rslint_runtime.testing import Scenario, explore


def test_the_value_is_reached_inside_and_not_after() -> None:
    sessions: Guarded[dict[str, int]] = Guarded({})
    with sessions as held:
        held.value["one"] = 1
        kept = held
    with pytest.raises(ReleasedError, match="take it again, and look again"):
        _ = kept.value
    with pytest.raises(ReleasedError):
        kept.value = {}
    with sessions as held:
        assert held.value == {"one": 1}


def test_a_handle_of_an_earlier_section_does_not_come_back_to_life_with_the_next() -> None:
    sessions = Guarded([1])
    with sessions as first:
        pass
    with sessions, pytest.raises(ReleasedError):
        _ = first.value


def test_another_value_can_be_put_in_its_place() -> None:
    epoch = Guarded(0)
    with epoch as held:
        held.value += 1
    epoch.update(lambda value: value + 10)
    assert epoch.read(lambda value: value) == 11


def test_an_error_inside_gives_the_lock_back_and_leaves_the_value() -> None:
    names = Guarded(["a"])

    def refuse(value: list[str]) -> list[str]:
        raise KeyError("no")

    def fails() -> None:
        with names as held:
            handles.append(held)
            raise ValueError("inside")

    handles: list[Held[list[str]]] = []
    with pytest.raises(ValueError, match="inside"):
        fails()
    with pytest.raises(ReleasedError):
        _ = handles[0].value
    with pytest.raises(KeyError):
        names.update(refuse)
    assert names.read(tuple) == ("a",)


def test_read_does_not_let_the_value_itself_out() -> None:
    for value in ([1], {}, {1}, bytearray(b"a"), object()):
        with pytest.raises(TypeError, match="out of its lock: return a copy"):
            Guarded(value).read(lambda value: value)
    assert Guarded([3]).read(list) == [3]
    assert Guarded("text").read(lambda value: value) == "text"


def test_a_thread_that_would_wait_for_itself_is_told() -> None:
    value = Guarded([1])
    with value as held:
        with pytest.raises(RuntimeError, match="would wait for itself"):
            value.read(len)
        assert held.value == [1]
    assert value.read(len) == 1


def test_a_thread_waits_for_the_other_and_no_longer_than_it_likes() -> None:
    value = Guarded(0)
    entered, leave = threading.Event(), threading.Event()

    def holds() -> None:
        with value as held:
            entered.set()
            leave.wait(30)
            held.value = 5

    other = threading.Thread(target=holds)
    other.start()
    try:
        assert entered.wait(30)
        with pytest.raises(TimeoutError, match=r"for 0.01 s"), value.lock(timeout=0.01):
            pass
        assert "held" in repr(value)
    finally:
        leave.set()
        other.join(30)
    with value.lock(timeout=30) as held:
        assert held.value == 5


def test_no_update_of_several_threads_is_lost() -> None:
    count = Guarded(0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda: [count.update(lambda value: value + 1) for _ in range(300)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert count.read(lambda value: value) == 1200


def test_neither_the_text_of_a_guard_nor_that_of_a_handle_shows_the_value() -> None:
    secret = Guarded(["token"])
    with secret as held:
        assert (repr(secret), repr(held)) == ("<Guarded list, held>", "<Held list>")
    assert (repr(secret), repr(held)) == ("<Guarded list>", "<Held, released>")
    assert repr(AsyncGuarded({})) == "<AsyncGuarded dict>"


# --- a value that is lent


def test_a_lent_value_is_used_like_the_value_and_not_after_the_release() -> None:
    sessions: Guarded[dict[str, list[int]]] = Guarded({})
    with sessions as held:
        kept = held.lent
        kept["one"] = [1]
        kept.setdefault("two", []).append(2)
        assert (len(kept), "one" in kept, [*kept], kept == {"one": [1], "two": [2]}) == (
            2,
            True,
            ["one", "two"],
            True,
        )
        assert isinstance(kept, dict)
        assert (repr(kept), bool(kept), kept | {"three": []}) == (
            "{'one': [1], 'two': [2]}",
            True,
            {"one": [1], "two": [2], "three": []},
        )
    for use in (
        lambda: kept["one"],
        lambda: kept.get("one"),
        lambda: len(kept),
        lambda: bool(kept),
        lambda: repr(kept),
        lambda: kept == {},
        lambda: list(kept),
        lambda: isinstance(kept, dict),
    ):
        with pytest.raises(ReleasedError):
            use()
    with pytest.raises(ReleasedError), sessions:
        kept["one"] = []


def test_a_method_taken_from_it_and_an_iteration_that_has_begun_end_with_the_lock() -> None:
    names = Guarded(["a", "b"])
    with names as held:
        lent = held.lent
        append, items = lent.append, iter(lent)
        append("c")
        assert next(items) == "a"
    with pytest.raises(ReleasedError):
        append("d")
    with pytest.raises(ReleasedError):
        next(items)
    assert names.read(tuple) == ("a", "b", "c")


def test_a_copy_of_it_is_a_copy_of_the_value() -> None:
    names = Guarded(["a"])
    with names as held:
        for made in (copy.copy(held.lent), copy.deepcopy(held.lent), pickle.loads(pickle.dumps(held.lent))):
            assert (made, type(made), made is held.value) == (["a"], list, False)


def test_what_is_changed_in_place_is_the_value_and_what_cannot_be_is_refused() -> None:
    names, count = Guarded(["a"]), Guarded(1)
    with names as held:
        lent = held.lent
        lent += ["b"]
        lent *= 2
        assert lent is not held.value
        assert held.value == ["a", "b", "a", "b"]
    with count as number:
        lent_number = number.lent
        with pytest.raises(TypeError, match=r"cannot be changed in place: assign to `held\.value`"):
            lent_number += 1
        assert number.value == 1


class Pool:
    """A class of the user's."""

    def __init__(self) -> None:
        self.size = 1

    def __call__(self, by: int) -> int:
        return self.size * by


def test_objects_are_lent_with_their_attributes_and_calls() -> None:
    pool = Guarded(Pool())
    with pool as held:
        lent = held.lent
        lent.size = 3
        assert (lent(2), held.value.size, isinstance(lent, Pool)) == (6, 3, True)
        del lent.size
        assert not hasattr(held.value, "size")
    with pytest.raises(ReleasedError):
        lent.size = 4


NUMBERS = st.integers(-20, 20)


@given(
    NUMBERS,
    NUMBERS.filter(bool),
    st.sampled_from(["+", "-", "*", "//", "%", "/", "&", "|", "^", "<", "<=", "=="]),
)
def test_operators_give_what_they_give_for_the_value_on_either_side(left: int, right: int, sign: str) -> None:
    wanted = eval(f"left {sign} right")
    with Guarded(left) as held:
        assert eval(f"lent {sign} right", {"lent": held.lent, "right": right}) == wanted
    with Guarded(right) as held:
        assert eval(f"left {sign} lent", {"lent": held.lent, "left": left}) == wanted


# --- asyncio


def test_the_value_of_tasks_is_reached_inside_and_not_after() -> None:
    async def program() -> None:
        queue: AsyncGuarded[list[int]] = AsyncGuarded([])
        async with queue as held:
            held.value.append(1)
            await asyncio.sleep(0)
            held.value.append(2)
        with pytest.raises(ReleasedError):
            _ = held.value
        async with queue.lock() as again:
            assert again.value == [1, 2]
        await queue.update(lambda value: [*value, 3])
        assert await queue.read(len) == 3
        with pytest.raises(TypeError, match="return a copy"):
            await queue.read(lambda value: value)

    asyncio.run(program())


def test_a_task_that_would_wait_for_itself_is_told() -> None:
    async def program() -> None:
        value = AsyncGuarded(0)
        async with value:
            with pytest.raises(RuntimeError, match="would wait for itself"):
                await value.read(lambda value: value)
        assert await value.read(lambda value: value) == 0

    asyncio.run(program())


def pool_of_connections(give_back: bool) -> Callable[[], Scenario]:
    """Three tasks change one value across an await; two of them may be cancelled at any await."""

    def scenario() -> Scenario:
        state = AsyncGuarded({"open": 0, "made": 0})
        inside: list[str] = []

        async def use(name: str) -> None:
            async with state as held:
                inside.append(name)
                try:
                    made = held.value["made"]
                    await asyncio.sleep(1)
                    held.value["made"] = made + 1
                finally:
                    inside.remove(name)
                    if not give_back:
                        held._release = lambda: None  # type: ignore[method-assign]

        return Scenario(
            {name: use(name) for name in ("a", "b", "c")},
            check=lambda: f"{inside} are inside at once" if len(inside) > 1 else None,
            at_end=lambda: "the lock is kept" if "held" in repr(state) else None,
            cancellable=("a", "b"),
        )

    return scenario


def test_in_no_order_two_tasks_are_inside_and_no_cancelled_one_keeps_the_lock() -> None:
    found = explore(pool_of_connections(give_back=True), preemptions=2)
    assert (found.violation, found.complete) == (None, True), found.report()
    assert found.runs > 30


def test_a_lock_that_is_not_given_back_would_be_found() -> None:
    found = explore(pool_of_connections(give_back=False), preemptions=0)
    assert found.violation is not None


def test_a_cancelled_wait_and_a_timeout_leave_the_lock_to_the_others() -> None:
    async def program() -> None:
        value = AsyncGuarded([0])

        async with value:
            task = asyncio.ensure_future(value.read(len))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.01)
        assert await asyncio.wait_for(value.read(len), 30) == 1

    asyncio.run(program())


def test_importing_the_locks_imports_no_asyncio() -> None:
    program = (
        "import sys, rslint_runtime; print({'asyncio', 'torch', 'numpy', 'multiprocessing'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"

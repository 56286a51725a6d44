"""A flag and a counter in shared memory: what they hold, and how others wait for it.

That they publish what was stored before them is in test_shm_ring_order.py.
"""

from __future__ import annotations

import asyncio
import mmap
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import SharedCounter, SharedFlag, attach, create


@pytest.fixture
def shared() -> Iterator[memoryview]:
    with create(64) as segment:
        yield segment.buf


def test_a_fresh_flag_is_not_set_and_a_fresh_counter_is_zero(shared: memoryview) -> None:
    assert not SharedFlag(shared).is_set()
    assert SharedCounter(shared, 1).load() == 0


def test_a_flag_is_set_and_cleared_for_everybody(shared: memoryview) -> None:
    mine, yours = SharedFlag(shared, 5), SharedFlag(shared, 5)
    mine.set()
    assert yours.is_set()
    yours.clear()
    assert not mine.is_set()
    mine.store(255)
    assert yours.load() == 255


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_a_counter_holds_what_was_stored_last(values: list[int]) -> None:
    memory = bytearray(SharedCounter.nbytes)
    counter = SharedCounter(memory)
    for value in values:
        counter.store(value)
        assert SharedCounter(memory).load() == value


def test_a_counter_counts(shared: memoryview) -> None:
    counter = SharedCounter(shared)
    assert [counter.add(), counter.add(300), counter.add(2**40)] == [1, 301, 301 + 2**40]


@pytest.mark.parametrize("value", [-1, 256])
def test_a_flag_refuses_what_a_byte_does_not_hold(shared: memoryview, value: int) -> None:
    with pytest.raises(ValueError, match="a SharedFlag holds 0 to 255"):
        SharedFlag(shared).store(value)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_counter_refuses_what_eight_bytes_do_not_hold(shared: memoryview, value: int) -> None:
    counter = SharedCounter(shared)
    with pytest.raises(ValueError, match=rf"a SharedCounter holds 0 to 2\*\*64 - 1, not {value}"):
        counter.store(value)
    with pytest.raises(ValueError, match="a SharedCounter holds 0 to"):
        counter.add(value)
    assert counter.load() == 0


@pytest.mark.parametrize("kind", [SharedFlag, SharedCounter])
@pytest.mark.parametrize("value", ["a", 1.0, None])
def test_what_is_no_int_is_neither_stored_nor_waited_for(shared: memoryview, kind: Any, value: Any) -> None:
    one = kind(shared)
    for call in (one.store, one.wait, lambda value: asyncio.run(one.wait_async(value))):
        with pytest.raises(TypeError, match=f"a {kind.__name__} holds an int, not {value!r}"):
            call(value)
    assert one.load() == 0


def test_what_no_flag_holds_is_not_waited_for(shared: memoryview) -> None:
    flag = SharedFlag(shared)
    for call in (flag.wait, lambda value, timeout: asyncio.run(flag.wait_async(value, timeout))):
        with pytest.raises(ValueError, match="a SharedFlag holds 0 to 255, not 256"):
            call(256, timeout=0)


@pytest.mark.parametrize("kind", [SharedFlag, SharedCounter])
def test_any_writable_buffer_of_bytes_will_do(kind: Any) -> None:
    with mmap.mmap(-1, 64) as memory:
        one = kind(memory, 3)
        one.store(7)
        assert kind(memory, 3).load() == 7
        del one
    with pytest.raises(TypeError, match="writable buffer of bytes"):
        kind(b"x" * 64)
    with pytest.raises(TypeError, match="writable buffer of bytes"):
        kind(memoryview(bytearray(64)).cast("I"))
    for offset in (-1, 64):
        with pytest.raises(ValueError, match="bytes at offset"):
            kind(bytearray(64), offset)


def test_waiting_for_what_is_there_already(shared: memoryview) -> None:
    flag, counter = SharedFlag(shared), SharedCounter(shared, 1)
    flag.wait(0, timeout=0)
    counter.store(5)
    assert counter.wait(3, timeout=0) == 5


def test_time_runs_out_and_the_value_is_told(shared: memoryview) -> None:
    with pytest.raises(TimeoutError, match=r"the flag did not become 1 within 0.01 s; it holds 0"):
        SharedFlag(shared).wait(timeout=0.01)
    with pytest.raises(TimeoutError, match=r"the counter did not reach 2 within 0.01 s; it holds 0"):
        SharedCounter(shared, 1).wait(2, timeout=0.01)


def _count(name: str, last: int) -> None:
    segment = attach(name)
    counter, flag = SharedCounter(segment.buf, 1), SharedFlag(segment.buf)
    for number in range(1, 1 + last):
        segment.buf[40:48] = number.to_bytes(8, "little")
        counter.store(number)
    flag.set()
    os._exit(0)


def test_another_process_is_waited_for(shared: memoryview) -> None:
    with create(64) as segment:
        counter, flag = SharedCounter(segment.buf, 1), SharedFlag(segment.buf)
        process = multiprocessing.get_context("fork").Process(target=_count, args=(segment.name, 500))
        process.start()
        try:
            for number in range(0, 500, 50):
                seen = counter.wait(number, timeout=60)
                assert seen <= int.from_bytes(segment.buf[40:48], "little")
            flag.wait(timeout=60)
            assert counter.load() == 500
        finally:
            process.join(20)
            process.kill()


def test_a_counter_whose_writer_is_killed_holds_a_value_that_it_had(shared: memoryview) -> None:
    value = int.from_bytes(bytes(range(1, 9)), "little")
    with create(64) as segment:
        counter = SharedCounter(segment.buf)
        counter.store(value)
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    counter.store(value)
                    counter.store(~value & (2**64 - 1))
            finally:
                os._exit(1)
        for _ in range(200):
            assert counter.load() in (value, ~value & (2**64 - 1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert counter.load() in (value, ~value & (2**64 - 1))


def test_waiting_with_asyncio_lets_other_tasks_run(shared: memoryview) -> None:
    flag, counter = SharedFlag(shared), SharedCounter(shared, 1)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, flag.store, 3)
        loop.call_later(0.02, counter.store, 9)
        await flag.wait_async(3, timeout=60)
        return await counter.wait_async(5, timeout=60)

    assert asyncio.run(main()) == 9


def test_a_cancelled_wait_just_ends(shared: memoryview) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(SharedFlag(shared).wait_async())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError, match="the flag did not become 1"):
            await SharedFlag(shared).wait_async(timeout=0.01)
        with pytest.raises(TimeoutError, match="the counter did not reach 1"):
            await SharedCounter(shared, 1).wait_async(1, timeout=0.01)

    asyncio.run(main())

"""The ring with asyncio: other tasks run while one waits, and a cancelled one has read or sent nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from rslint_runtime import PeerDiedError, RingReader, RingWriter, ShmRing, SlowReaderError


@contextlib.asynccontextmanager
async def ends(slots: int = 2, busy_seconds: float = 0.0002) -> AsyncIterator[tuple[RingWriter, RingReader]]:
    with (
        ShmRing.create(1, slots=slots, slot_bytes=128) as ring,
        ring.writer() as writer,
        ring.reader(0, busy_seconds=busy_seconds) as reader,
    ):
        yield writer, reader


async def ticking(wait: Awaitable[Any]) -> tuple[Any, int]:
    """What an awaitable gives, and how often another task had its turn meanwhile."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(tick())
    try:
        return await wait, turns
    finally:
        other.cancel()


async def cancelled(coroutine: Any) -> None:
    """Let it wait, then cancel it."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_writer_and_reader_take_turns_in_one_loop() -> None:
    sent = [{"number": number, "fill": "x" * number * 9} for number in range(60)]

    async def main() -> list[Any]:
        async with ends() as (writer, reader):

            async def write() -> None:
                for message in sent:
                    await writer.send_async(message)
                await writer.flush_async()
                writer.close()

            writing = asyncio.ensure_future(write())
            received = [message async for message in reader]
            await writing
            return received

    assert asyncio.run(main()) == sent


def test_the_loop_is_not_blocked_while_a_reader_waits() -> None:
    async def main() -> tuple[Any, int]:
        async with ends() as (writer, reader):
            asyncio.get_running_loop().call_later(0.05, writer.write, b"late")
            return await ticking(reader.receive_async())

    message, turns = asyncio.run(main())
    assert message == b"late"
    assert turns > 20


def test_the_loop_is_not_blocked_while_a_writer_waits() -> None:
    async def main() -> int:
        async with ends(slots=1) as (writer, reader):
            writer.write(b"first")
            asyncio.get_running_loop().call_later(0.05, reader.receive)
            turns = (await ticking(writer.write_async(b"second")))[1]
            assert reader.receive() == b"second"
            return turns

    assert asyncio.run(main()) > 20


def test_a_cancelled_read_leaves_the_message_unread() -> None:
    async def main() -> None:
        async with ends() as (writer, reader):
            await cancelled(reader.receive_async())
            writer.write(b"kept")
            assert await reader.receive_async() == b"kept"

    asyncio.run(main())


def test_a_read_that_is_cancelled_when_its_message_comes_reads_it_or_leaves_it() -> None:
    """The message comes before, with or after the cancellation, in every order of the loop's turns."""

    async def attempt(turns: int) -> str:
        async with ends(busy_seconds=60) as (writer, reader):
            task = asyncio.ensure_future(reader.receive_async())
            await asyncio.sleep(0)
            writer.write(b"message")
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                assert await task == b"message"
                with pytest.raises(TimeoutError):
                    reader.receive(timeout=0)
            except asyncio.CancelledError:
                assert reader.receive(timeout=0) == b"message"
                return "left"
            return "read"

    outcomes = {asyncio.run(attempt(turns)) for turns in range(5)}
    assert outcomes == {"read", "left"}


@pytest.mark.parametrize("size", [50, 5000])
def test_a_cancelled_write_sends_nothing(size: int) -> None:
    async def main() -> None:
        async with ends(slots=1) as (writer, reader):
            writer.write(b"first")
            await cancelled(writer.write_async(b"x" * size))
            assert reader.receive() == b"first"
            await writer.write_async(b"next")
            assert await reader.receive_async() == b"next"

    asyncio.run(main())


def test_a_message_is_lent_until_its_block_ends_and_acknowledged_when_that_is_cancelled() -> None:
    async def main() -> None:
        async with ends(slots=1) as (writer, reader):

            async def use() -> None:
                async with reader.read_async() as view:
                    assert bytes(view) == b"first"
                    await asyncio.sleep(60)

            writer.write(b"first")
            task = asyncio.ensure_future(use())
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="still being read"):
                await reader.receive_async()
            assert writer.peers()[1].behind == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await writer.write_async(b"second", timeout=10)
            assert await reader.receive_async() == b"second"

    asyncio.run(main())


def test_two_tasks_that_read_get_different_messages() -> None:
    async def main() -> set[int]:
        async with ends() as (writer, reader):
            tasks = [asyncio.ensure_future(reader.receive_async()) for _ in range(2)]
            await asyncio.sleep(0.005)
            writer.send(1)
            writer.send(2)
            return set(await asyncio.gather(*tasks))

    assert asyncio.run(main()) == {1, 2}


def test_time_runs_out_with_names() -> None:
    async def main() -> None:
        async with ends(slots=1) as (writer, reader):
            with pytest.raises(
                TimeoutError, match=rf"writer \(pid {os.getpid()}\) wrote nothing within 0.01 s"
            ):
                await reader.receive_async(timeout=0.01)
            writer.write(b"")
            with pytest.raises(SlowReaderError, match="reader 0"):
                await writer.write_async(b"", timeout=0.01)
            with pytest.raises(SlowReaderError, match="reader 0"):
                await writer.flush_async(timeout=0.01)
            writer.close()
            await reader.receive_async()
            with pytest.raises(EOFError):
                await reader.receive_async()

    asyncio.run(main())


def test_a_dead_writer_ends_the_wait() -> None:
    async def main(ring: ShmRing, pid: int) -> None:
        with ring.reader(0) as reader:
            assert await reader.receive_async() == b"last words"
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            with pytest.raises(PeerDiedError, match=rf"writer \(pid {pid}\) died"):
                await reader.receive_async()

    with ShmRing.create(1) as ring:
        pid = os.fork()
        if pid == 0:
            try:
                writer = ring.writer()
                writer.write(b"last words")
                signal.pause()
            finally:
                os._exit(1)
        asyncio.run(main(ring, pid))

"""How long something is waited for: every wait of the library takes its timeout in the same way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from rslint_runtime import (
    Guarded,
    SharedCounter,
    SharedFlag,
    ShmRing,
    UpdateLock,
    create,
    unlink_after_peers,
    unlink_after_peers_async,
)
from rslint_runtime.waiting import checked_timeout

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)

Wait = Callable[[float | None], object]


@contextlib.contextmanager
def guarded(ready: bool) -> Iterator[Wait]:
    value = Guarded(0)

    def wait(timeout: float | None) -> None:
        with value.lock(timeout):
            pass

    def elsewhere() -> None:
        with value:
            held.set()
            done.wait(60)

    if ready:
        yield wait
        return
    held, done = threading.Event(), threading.Event()
    holder = threading.Thread(target=elsewhere)
    holder.start()
    held.wait(60)
    yield wait
    done.set()
    holder.join(60)


@contextlib.contextmanager
def update_lock(ready: bool, *, kind: str) -> Iterator[Wait]:
    lock = UpdateLock()

    def wait(timeout: float | None) -> None:
        if kind == "resume":
            lock.resume(timeout)
        else:
            with lock.request(timeout) if kind == "request" else lock.update(timeout):
                pass

    def elsewhere() -> None:
        with lock.update():
            held.set()
            done.wait(60)

    if kind == "resume":
        lock.pause()
    if ready:
        yield wait
        return
    held, done = threading.Event(), threading.Event()
    holder = threading.Thread(target=elsewhere)
    holder.start()
    held.wait(60)
    yield wait
    done.set()
    holder.join(60)


@contextlib.contextmanager
def flag(ready: bool, *, tasks: bool = False) -> Iterator[Wait]:
    one = SharedFlag(bytearray(1))
    one.store(int(ready))
    yield lambda timeout: asyncio.run(one.wait_async(1, timeout)) if tasks else one.wait(1, timeout)


@contextlib.contextmanager
def counter(ready: bool, *, tasks: bool = False) -> Iterator[Wait]:
    one = SharedCounter(bytearray(SharedCounter.nbytes))
    one.store(int(ready))
    yield lambda timeout: asyncio.run(one.wait_async(1, timeout)) if tasks else one.wait(1, timeout)


@contextlib.contextmanager
def ring_writer(ready: bool, *, call: str, tasks: bool = False) -> Iterator[Wait]:
    with ShmRing.create(1, slots=1) as ring, ring.writer() as writer:
        if not ready:
            writer.write(b"nobody reads it")
        method = getattr(writer, f"{call}_async" if tasks else call)
        arguments = () if call == "flush" else (b"data",)

        def wait(timeout: float | None) -> None:
            answer = method(*arguments, timeout=timeout)
            if tasks:
                asyncio.run(answer)

        yield wait


@contextlib.contextmanager
def ring_reader(ready: bool, *, tasks: bool = False) -> Iterator[Wait]:
    with ShmRing.create(1) as ring, ring.writer() as writer, ring.reader(0) as reader:
        if ready:
            writer.write(b"data")
        yield lambda timeout: asyncio.run(reader.receive_async(timeout)) if tasks else reader.receive(timeout)


@contextlib.contextmanager
def peers_of_a_segment(ready: bool, *, tasks: bool = False) -> Iterator[Wait]:
    with create(1) as segment:

        def wait(timeout: float | None) -> None:
            if tasks:
                asyncio.run(unlink_after_peers_async(segment, timeout=timeout, peers=int(not ready)))
            else:
                unlink_after_peers(segment, timeout=timeout, peers=int(not ready))

        yield wait


ROOMS: dict[str, Callable[[bool], contextlib.AbstractContextManager[Wait]]] = {
    "Guarded.lock": guarded,
    "UpdateLock.request": lambda ready: update_lock(ready, kind="request"),
    "UpdateLock.update": lambda ready: update_lock(ready, kind="update"),
    "UpdateLock.resume": lambda ready: update_lock(ready, kind="resume"),
    "SharedFlag.wait": flag,
    "SharedFlag.wait_async": lambda ready: flag(ready, tasks=True),
    "SharedCounter.wait": counter,
    "SharedCounter.wait_async": lambda ready: counter(ready, tasks=True),
    "RingWriter.write": lambda ready: ring_writer(ready, call="write"),
    "RingWriter.write_async": lambda ready: ring_writer(ready, call="write", tasks=True),
    "RingWriter.send": lambda ready: ring_writer(ready, call="send"),
    "RingWriter.send_async": lambda ready: ring_writer(ready, call="send", tasks=True),
    "RingWriter.flush": lambda ready: ring_writer(ready, call="flush"),
    "RingWriter.flush_async": lambda ready: ring_writer(ready, call="flush", tasks=True),
    "RingReader.receive": ring_reader,
    "RingReader.receive_async": lambda ready: ring_reader(ready, tasks=True),
    "unlink_after_peers": peers_of_a_segment,
    "unlink_after_peers_async": lambda ready: peers_of_a_segment(ready, tasks=True),
}


@pytest.mark.parametrize("timeout", [-1, -0.5, float("-inf"), float("nan")])
@pytest.mark.parametrize("ready", [True, False], ids=["there", "not there"])
@pytest.mark.parametrize("primitive", ROOMS)
def test_less_than_no_time_is_refused_whether_or_not_there_is_anything_to_wait_for(
    primitive: str, ready: bool, timeout: float
) -> None:
    with (
        ROOMS[primitive](ready) as wait,
        pytest.raises(
            ValueError, match=f"a timeout is 0 seconds or more, or None for no limit, not {timeout}"
        ),
    ):
        wait(timeout)


@pytest.mark.parametrize("primitive", ROOMS)
def test_what_is_no_number_is_refused(primitive: str) -> None:
    with (
        ROOMS[primitive](False) as wait,
        pytest.raises(TypeError, match="a timeout is a number of seconds, or None for no limit, not '1'"),
    ):
        wait("1")  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e300, 0, 60])
@pytest.mark.parametrize("primitive", ROOMS)
def test_none_and_infinity_are_no_limit(primitive: str, timeout: float | None) -> None:
    with ROOMS[primitive](True) as wait:
        wait(timeout)


@pytest.mark.parametrize("timeout", [0, 0.01])
@pytest.mark.parametrize("primitive", ROOMS)
def test_when_time_is_up_all_say_so_in_the_same_words(primitive: str, timeout: float) -> None:
    words = f"for {timeout} s" if primitive == "Guarded.lock" else f"within {timeout} s"
    with ROOMS[primitive](False) as wait, pytest.raises(TimeoutError, match=words + r"\b"):
        wait(timeout)


def test_a_resume_whose_timeout_is_refused_is_not_carried_out() -> None:
    lock = UpdateLock()
    lock.pause()
    with pytest.raises(ValueError, match="0 seconds or more"):
        lock.resume(timeout=-1)
    assert lock.paused
    lock.resume(timeout=0)
    assert not lock.paused


def test_what_a_timeout_means() -> None:
    assert [checked_timeout(timeout) for timeout in (None, float("inf"), 1e300)] == [None, None, None]
    assert [checked_timeout(timeout) for timeout in (0, 0.5, threading.TIMEOUT_MAX)] == [
        0,
        0.5,
        threading.TIMEOUT_MAX,
    ]

"""A ring with one writer and many readers: what arrives, who waits for whom, and what each error says.

The ends of a ring in one process are separate members, so what needs no second process is tried within this one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rslint_runtime import (
    PeerDiedError,
    RingReader,
    RingWriter,
    ShmRing,
    SlowReaderError,
    create,
    futex,
    waiting,
)
from rslint_runtime.ring_layout import RingLayout
from rslint_runtime.ring_messages import message_of, object_of


@pytest.fixture
def ring() -> Iterator[ShmRing]:
    with ShmRing.create(readers=2, slots=4, slot_bytes=128) as made:
        yield made


@contextlib.contextmanager
def ends(readers: int = 1, **measures: int) -> Iterator[tuple[Any, ...]]:
    """The writer and the readers of a small ring."""
    with (
        ShmRing.create(readers, **{"slots": 4, "slot_bytes": 128, **measures}) as ring,
        contextlib.ExitStack() as stack,
    ):
        yield (
            stack.enter_context(ring.writer()),
            *(stack.enter_context(ring.reader(rank)) for rank in range(readers)),
        )


def segments() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if f"-{os.getpid()}-" in name}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = segments()
    yield
    assert segments() == before


# Messages -----------------------------------------------------------------------------------------------------------


def _echo(ring: ShmRing, rank: int, answers: Any) -> None:
    with ring.reader(rank) as reader:
        answers.put((rank, list(reader)))


def test_two_processes_read_everything_in_order_and_then_the_end(ring: ShmRing) -> None:
    sent = [{"number": number, "text": "x" * number * 10} for number in range(40)]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    readers = [context.Process(target=_echo, args=(ring, rank, answers)) for rank in range(2)]
    for process in readers:
        process.start()
    try:
        with ring.writer() as writer:
            for message in sent:
                writer.send(message, timeout=60)
            writer.flush(timeout=60)
        received = dict(answers.get() for _ in range(2))
    finally:
        for process in readers:
            process.join(20)
            process.kill()
    assert received == {0: sent, 1: sent}


MESSAGES = st.lists(
    st.one_of(st.binary(max_size=200), st.tuples(st.integers(), st.text(max_size=200))), max_size=15
)


@settings(max_examples=25, deadline=None)
@given(MESSAGES, st.integers(1, 5), st.lists(st.integers(1, 4), min_size=1))
def test_whatever_is_sent_is_received_in_order(sent: list[Any], slots: int, batches: list[int]) -> None:
    received: list[Any] = []
    with ends(slots=slots) as (writer, reader):
        waiting = list(sent)
        while waiting:
            for batch in batches:
                now, waiting = waiting[: min(batch, slots)], waiting[min(batch, slots) :]
                for message in now:
                    writer.write(message) if isinstance(message, bytes) else writer.send(message)
                received += [reader.receive(timeout=5) for _ in now]
    assert received == sent


@pytest.mark.parametrize("slots", [1, 3, 100, 128])
def test_counts_wrap_around(slots: int) -> None:
    with ends(slots=slots) as (writer, reader):
        for number in range(1200):
            writer.write(b"%d" % number)
            if number % slots == slots - 1 or number % 7 == 0:
                while reader_behind(writer):
                    last = reader.receive()
                assert last == b"%d" % number


def reader_behind(writer: RingWriter) -> int:
    return writer.peers()[1].behind


def test_a_message_is_lent_where_it_stands_and_acknowledged_behind_the_block() -> None:
    with ends(slots=1) as (writer, reader):
        writer.write(b"abc")
        with reader.read() as view:
            assert (bytes(view), len(view), reader_behind(writer)) == (b"abc", 3, 1)
            with pytest.raises(SlowReaderError):
                writer.write(b"def", timeout=0)
        assert reader_behind(writer) == 0
        with pytest.raises(ValueError, match="released"):
            view[0]


def test_a_message_counts_as_read_when_its_block_raises() -> None:
    with ends() as (writer, reader):
        writer.write(b"first")
        writer.write(b"second")
        with pytest.raises(KeyError), reader.read():
            raise KeyError
        assert reader.receive() == b"second"


def test_a_view_that_is_still_used_behind_its_block_is_an_error_and_the_message_is_read() -> None:
    with ends() as (writer, reader):
        writer.write(b"first")
        with pytest.raises(BufferError, match="copy it there"), reader.read() as view:
            used = pickle.PickleBuffer(view)
        assert reader_behind(writer) == 0
        used.release()


def test_reserved_bytes_are_sent_when_their_block_ends() -> None:
    with ends() as (writer, reader):
        with writer.reserve(5) as view:
            view[:] = b"hello"
            with pytest.raises(TimeoutError):
                reader.receive(timeout=0)
        assert reader.receive() == b"hello"


def test_a_negative_number_of_bytes_is_refused() -> None:
    with (
        ends() as (writer, _),
        pytest.raises(ValueError, match="0 bytes or more, not -1"),
        writer.reserve(-1),
    ):
        pass


@pytest.mark.parametrize("size", [5, 5000])
def test_reserved_bytes_are_not_sent_when_their_block_raises(size: int) -> None:
    with ends() as (writer, reader):
        with pytest.raises(ZeroDivisionError), writer.reserve(size) as view:
            view[:] = b"x" * (size // 0)
        writer.write(b"next")
        assert reader.receive() == b"next"


@pytest.mark.parametrize(
    "use",
    [lambda writer: writer.write(b""), lambda writer: writer.send(1), lambda writer: writer.close()],
    ids=["write", "send", "close"],
)
def test_a_writer_does_one_thing_at_a_time(use: Callable[[RingWriter], None]) -> None:
    with ends() as (writer, _), writer.reserve(3), pytest.raises(RuntimeError, match="still being written"):
        use(writer)


@pytest.mark.parametrize("use", [RingReader.receive, RingReader.close, RingReader.peers])
def test_a_reader_does_one_thing_at_a_time(use: Callable[[RingReader], None]) -> None:
    with ends() as (writer, reader):
        writer.write(b"")
        with reader.read(), pytest.raises(RuntimeError, match="still being read"):
            use(reader)


@pytest.mark.parametrize("buffers", [1, 3])
def test_large_buffers_of_an_object_travel_beside_its_pickle_and_belong_to_it(buffers: int) -> None:
    sent = {number: pickle.PickleBuffer(bytes([number]) * 1000) for number in range(buffers)}
    with ends() as (writer, reader):
        writer.send(sent)
        received = reader.receive()
        writer.send(sent)
        reader.receive()
    assert received == {number: bytearray([number]) * 1000 for number in range(buffers)}


@pytest.mark.parametrize("large", [False, True])
def test_an_object_makes_the_same_message_whether_it_was_thought_large_or_small(large: bool) -> None:
    value = {"bytes": b"x" * 200_000, "small": [1, "two"], "buffer": pickle.PickleBuffer(b"y" * 1000)}
    kind, pieces, size = message_of(value, large=large)
    message = b"".join(pieces)
    assert len(message) == size
    assert object_of(kind, memoryview(message)) == {**value, "buffer": b"y" * 1000}
    kind, pieces, size = message_of([1, "two"], large=large)
    assert object_of(kind, memoryview(b"".join(pieces))) == [1, "two"]


def test_what_cannot_be_pickled_is_not_sent() -> None:
    with ends() as (writer, reader):
        with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
            writer.send(lambda: None)
        writer.send("next")
        assert reader.receive() == "next"


def _refuse_to_be_unpickled() -> None:
    raise KeyError("no")


class Unreadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse_to_be_unpickled, ()


def test_what_cannot_be_unpickled_raises_there_and_counts_as_read() -> None:
    with ends() as (writer, reader):
        writer.send(Unreadable())
        writer.send("next")
        with pytest.raises(KeyError, match="no"):
            reader.receive()
        assert reader.receive() == "next"


@pytest.mark.parametrize(
    "data", [bytearray(b"abcd"), memoryview(b"abcd"), memoryview(bytearray(b"abcd")).cast("I")]
)
def test_any_contiguous_buffer_can_be_written(data: Any) -> None:
    with ends() as (writer, reader):
        writer.write(data)
        assert reader.receive() == b"abcd"


@pytest.mark.parametrize("data", ["text", 3, memoryview(b"abcd")[::2]])
def test_what_is_no_contiguous_buffer_is_refused(data: Any) -> None:
    with ends() as (writer, reader):
        with pytest.raises(TypeError):
            writer.write(data)
        writer.write(b"next")
        assert reader.receive() == b"next"


# Messages longer than a slot ----------------------------------------------------------------------------------------


def overflowed() -> int:
    return sum("-ring-overflow-" in name for name in segments())


def test_a_long_message_has_a_segment_that_is_used_again_and_removed_with_a_short_one() -> None:
    with ends(slots=1) as (writer, reader):
        for fill in (b"a", b"b", b"c"):
            writer.write(fill * 5000)
            assert overflowed() == 1
            assert reader.receive() == fill * 5000
        writer.write(b"short")
        assert overflowed() == 0
        assert reader.receive() == b"short"


def test_a_giant_message_does_not_keep_its_memory() -> None:
    with ends(slots=1) as (writer, reader):
        sizes = []
        for size in (8 << 20, 2000):
            writer.write(bytes(size))
            reader.receive()
            sizes += [os.stat(f"/dev/shm/{name}").st_size for name in segments() if "overflow" in name]
    assert sizes[0] >= 8 << 20 > 1 << 20 > sizes[1]


def test_a_long_message_is_still_there_for_readers_when_the_writer_has_left() -> None:
    with ShmRing.create(1, slots=2, slot_bytes=128) as ring:
        with ring.writer() as writer:
            writer.write(b"x" * 5000)
        with ring.reader(0) as reader:
            assert list(reader) == [b"x" * 5000]


def test_a_long_message_whose_ring_was_removed_is_an_error_with_a_remedy() -> None:
    ring = ShmRing.create(1, slots=2, slot_bytes=128)
    with ring.writer() as writer, ring.reader(0) as reader:
        writer.write(b"x" * 5000)
        ring.unlink()
        with pytest.raises(ConnectionError, match="flush its writer before"):
            list(reader)


def test_no_memory_for_a_long_message_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with ends() as (writer, reader):
        with monkeypatch.context() as patched:
            patched.setattr(os, "posix_fallocate", full)
            with pytest.raises(OSError, match="No space"):
                writer.write(b"x" * 5000)
        writer.write(b"next")
        assert reader.receive() == b"next"


# Waiting ------------------------------------------------------------------------------------------------------------


def test_a_slow_reader_is_named_and_nothing_is_sent() -> None:
    with ends(readers=2, slots=2) as (writer, first, second):
        writer.write(b"1")
        writer.write(b"2")
        assert [first.receive(), first.receive(), second.receive()] == [b"1", b"2", b"1"]
        writer.write(b"3")
        with pytest.raises(
            SlowReaderError, match=rf"reader 1 \(pid {os.getpid()}\) \(attached, 2 behind\)"
        ) as caught:
            writer.write(b"4", timeout=0.01)
        assert [(peer.rank, peer.pid, peer.behind) for peer in caught.value.peers] == [(1, os.getpid(), 2)]
        assert pickle.loads(pickle.dumps(caught.value)).peers == caught.value.peers
        assert [second.receive(), second.receive()] == [b"2", b"3"]
        writer.write(b"5")
        assert [first.receive(), first.receive(), second.receive()] == [b"3", b"5", b"5"]


def test_messages_wait_for_a_reader_that_has_not_come(ring: ShmRing) -> None:
    with ring.writer() as writer, ring.reader(0) as first:
        for number in range(4):
            writer.send(number)
            assert first.receive() == number
        with pytest.raises(
            SlowReaderError, match=r"reader 1 \(expected, 4 behind\) left no slot free within 0.01"
        ):
            writer.send(4, timeout=0.01)
        with pytest.raises(SlowReaderError, match=r"reader 1 .* has not read everything"):
            writer.flush(timeout=0.01)
        with ring.reader(1) as late:
            assert [late.receive() for _ in range(4)] == [0, 1, 2, 3]
            writer.send(4)
            assert late.receive() == 4


def test_a_reader_that_nothing_comes_to_says_who_was_silent(ring: ShmRing) -> None:
    with ring.reader(0) as reader:
        with pytest.raises(TimeoutError, match=r"no writer has come within 0.01 s"):
            reader.receive(timeout=0.01)
        with (
            ring.writer(),
            pytest.raises(TimeoutError, match=rf"writer \(pid {os.getpid()}\) wrote nothing within 0 s"),
        ):
            reader.receive(timeout=0)


def test_a_blocked_writer_goes_on_when_the_slowest_reader_has_read() -> None:
    with ends(slots=1) as (writer, reader):
        writer.write(b"1")
        thread = threading.Thread(target=writer.write, args=(b"2", 60))
        thread.start()
        assert [reader.receive(timeout=60), reader.receive(timeout=60)] == [b"1", b"2"]
        thread.join()


# Coming and going ---------------------------------------------------------------------------------------------------


def test_after_the_writer_has_closed_readers_read_the_rest_and_then_the_end(ring: ShmRing) -> None:
    with ring.writer() as writer:
        writer.send(1)
        writer.send(2)
    with ring.reader(0) as reader:
        assert [reader.receive(), reader.receive()] == [1, 2]
        for _ in range(2):
            with pytest.raises(EOFError, match="its writer has closed it, and everything is read"):
                reader.receive()
    with ring.reader(1) as other:
        assert list(other) == [1, 2]


def test_nobody_waits_for_a_reader_that_has_closed() -> None:
    with ends(readers=2, slots=1) as (writer, first, second):
        second.close()
        for number in range(5):
            writer.send(number, timeout=5)
            assert first.receive() == number
        assert [peer.state for peer in writer.peers()] == ["attached", "attached", "closed"]


def test_without_any_reader_left_the_writer_is_told() -> None:
    with ends(readers=2, slots=1) as (writer, first, second):
        writer.send(1)
        first.close()
        second.close()
        with pytest.raises(BrokenPipeError, match="no reader is left"):
            writer.send(2, timeout=5)


def test_flushing_ends_well_when_the_last_reader_has_read_everything_and_left(
    ring: ShmRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_WATCH_SECONDS", 0)
    with ring.writer() as writer, ring.reader(0) as first, ring.reader(1) as second:
        writer.send(1)

        def leave() -> None:
            time.sleep(0.02)
            for reader in (first, second):
                reader.receive()
                reader.close()

        thread = threading.Thread(target=leave)
        thread.start()
        writer.flush(timeout=60)
        thread.join()


def test_a_reader_that_comes_back_begins_with_the_next_message() -> None:
    with ShmRing.create(2, slots=2, slot_bytes=128) as ring, ring.writer() as writer, ring.reader(1) as other:
        with ring.reader(0) as reader:
            writer.send(0)
            assert [reader.receive(), other.receive()] == [0, 0]
        writer.send(1)
        with ring.reader(0) as again:
            assert again.peers()[1].state == "joining"
            with pytest.raises(TimeoutError):
                again.receive(timeout=0)
            other.receive()
            first = None
            for number in range(2, 1000):
                writer.send(number, timeout=10)
                other.receive()
                with contextlib.suppress(TimeoutError):
                    first = again.receive(timeout=0.001)
                    break
            assert first == number
            writer.send("more")
            assert again.receive() == "more"


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_the_ring_does_not_have_is_refused(ring: ShmRing, rank: int) -> None:
    with pytest.raises(ValueError, match=r"ring .* has readers"):
        ring.reader(rank)


def test_a_place_is_taken_once(ring: ShmRing) -> None:
    with ring.writer(), ring.reader(1):
        with pytest.raises(ConnectionError, match=rf"has a reader 1 \(pid {os.getpid()}\) already"):
            ring.reader(1)
        with pytest.raises(ConnectionError, match=rf"has a writer \(pid {os.getpid()}\) already"):
            ring.writer()
    with pytest.raises(ConnectionError, match=rf"has had its writer \(pid {os.getpid()}\), and has only one"):
        ring.writer()


@pytest.mark.parametrize("end", ["writer", "reader"])
def test_a_closed_end_says_so(end: str) -> None:
    with ends() as (writer, reader):
        writer.close()
        writer.close()
        reader.close()
        reader.close()
        with pytest.raises(ValueError, match=r"this end of ring .* is closed"):
            writer.send(1) if end == "writer" else reader.receive()


def test_a_forked_child_cannot_use_its_parents_ends_nor_remove_the_ring_nor_keep_its_places(
    ring: ShmRing,
) -> None:
    writer, reader = ring.writer(), ring.reader(0)
    writer.send("x" * 1000)
    blocked, stop = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        try:
            refused = 0
            for use in (lambda: writer.send(1), lambda: reader.receive(timeout=0)):
                try:
                    use()
                except ValueError:
                    refused += 1
            writer.close()
            reader.close()
            ring.unlink()
            stop.send(refused)
            stop.poll(60)
        finally:
            os._exit(0)
    try:
        assert blocked.poll(60)
        assert blocked.recv() == 2
        assert reader.receive() == "x" * 1000
        writer.send(1)
        assert reader.receive() == 1
        with ring.reader(1) as other:
            reader.close()
            writer.close()
            assert [peer.state for peer in other.peers()] == ["closed", "closed", "attached"]
            with ring.reader(0):  # would be taken if the child still held its parent's place
                pass
    finally:
        blocked.send(None)
        os.waitpid(pid, 0)
        blocked.close()
        stop.close()


def test_a_ring_that_was_removed_is_not_there() -> None:
    with ShmRing.create(1) as ring:
        name = ring.name
    with pytest.raises(FileNotFoundError, match=name):
        ShmRing(name).reader(0)


def test_a_segment_that_is_no_ring_is_refused() -> None:
    with create(4096) as segment, pytest.raises(ValueError, match="holds no ring of this version"):
        ShmRing(segment.name).reader(0)


def test_only_the_name_of_a_ring_travels(ring: ShmRing) -> None:
    copy = pickle.loads(pickle.dumps(ring))
    assert copy.name == ring.name
    copy.unlink()
    with copy.reader(0) as reader:
        assert reader.peers()[1].pid == os.getpid()


@pytest.mark.parametrize(
    ("measures", "says"),
    [
        ({"readers": 0}, "1 to 4096 readers, not 0"),
        ({"slots": 0}, "1 to 128 slots, not 0"),
        ({"slots": 129}, "1 to 128 slots, not 129"),
        ({"slot_bytes": 0}, "at least 128 bytes, not 0"),
    ],
)
def test_measures_that_make_no_ring_are_refused(measures: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ShmRing.create(**{"readers": 1, **measures})


@given(st.integers(1, 4096), st.integers(1, 128), st.integers(128, 1 << 30))
def test_nothing_in_a_ring_overlaps_and_counts_tell_full_from_empty(
    readers: int, slots: int, slot_bytes: int
) -> None:
    layout = RingLayout(readers, slots, slot_bytes)
    assert slots < layout.modulus <= 256
    assert layout.modulus % slots == 0
    assert layout.reader_cell(readers - 1) + 64 == layout.slot_start(0)
    assert layout.slot_start(slots - 1) + 16 + slot_bytes <= layout.size


# Those who are lost; the killed are in test_shm_ring_deaths.py ------------------------------------------------------


def send_one_and_fail(writer: RingWriter) -> None:
    writer.send(1)
    raise KeyError("lost")


def test_a_writer_that_leaves_with_an_exception_is_no_end(ring: ShmRing) -> None:
    with pytest.raises(KeyError), ring.writer() as writer:
        send_one_and_fail(writer)
    with ring.reader(0) as reader:
        assert reader.receive() == 1
        with pytest.raises(
            PeerDiedError, match=rf"writer \(pid {os.getpid()}\) left with KeyError: 'lost'"
        ) as caught:
            reader.receive()
        assert (caught.value.peers[0].role, caught.value.peers[0].state) == ("writer", "failed")
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_reader_that_leaves_with_an_exception_is_lost_until_it_is_dropped(ring: ShmRing) -> None:
    with ring.writer() as writer, ring.reader(0):
        writer.send(0)
        with pytest.raises(ZeroDivisionError), ring.reader(1):
            raise ZeroDivisionError("x" * 100)
        with pytest.raises(ConnectionError, match=r"reader 1 .* was there and is lost"):
            ring.reader(1)
        with pytest.raises(PeerDiedError, match=r"reader 1 .* left with ZeroDivisionError: xxx"):
            writer.flush(timeout=5)
        assert [peer.rank for peer in writer.drop_dead_readers()] == [1]
        writer.send("on", timeout=5)
        assert writer.peers()[2].state == "dropped"
        with ring.reader(1):
            assert writer.peers()[2].state == "joining"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_a_reader_whose_process_is_told_to_end_has_just_left(
    ring: ShmRing, ending: type[BaseException]
) -> None:
    with ring.writer() as writer:
        with pytest.raises(ending), ring.reader(0):
            raise ending
        assert writer.peers()[1].state == "closed"


def test_an_end_that_is_dropped_without_being_closed_counts_as_dead(ring: ShmRing) -> None:
    writer = ring.writer()
    writer.send(1)
    with ring.reader(0) as reader:
        del writer
        assert reader.receive(timeout=60) == 1
        with pytest.raises(PeerDiedError, match=r"writer .* died"):
            reader.receive(timeout=60)


def test_the_guarantees_name_tests_that_are_there() -> None:
    here = Path(__file__).parent
    page = (here.parents[1] / "docs" / "guarantees" / "order.md").read_text("utf-8")
    tests = "".join(path.read_text("utf-8") for path in here.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)", page)) - {"test_with_its_fences_all_goes_right"}
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in tests} == set()


# Sleeping -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["as it is", "of another machine", "that refuses"])
def test_sleepers_are_woken_or_look_again(
    ring: ShmRing, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "of another machine":
        monkeypatch.setattr(futex, "_number", lambda: None)
    if kernel == "that refuses":
        monkeypatch.setattr(futex.SharedWord, "_wait", lambda *_: False)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_echo, args=(ring, 0, answers))
    process.start()
    try:
        with ring.writer(busy_seconds=0) as writer, ring.reader(1, busy_seconds=0) as other:
            thread = threading.Thread(target=lambda: [other.receive() for _ in range(50)])
            thread.start()
            for number in range(50):
                writer.send(number, timeout=60)
                if number % 10 == 0:
                    time.sleep(0.005)  # long enough for the readers to fall asleep
            writer.flush(timeout=60)
            thread.join(60)
        assert answers.get() == (0, list(range(50)))
    finally:
        process.join(20)
        process.kill()


def test_a_word_sleeps_only_while_nothing_has_changed() -> None:
    with create(64) as segment:
        word = futex.SharedWord(segment.buf, 8)
        segment.buf[9] = 1
        assert word.load() == int.from_bytes(b"\0\1\0\0", sys.byteorder)
        started = time.monotonic()
        word.sleep(0, 60)
        assert time.monotonic() - started < 30
        waker = threading.Timer(0.05, word.wake)
        waker.start()
        word.sleep(word.load(), 60)
        assert time.monotonic() - started < 30
        waker.join()
        word.close()


@pytest.mark.parametrize("measure", ["readers", "slots", "slot_bytes"])
@pytest.mark.parametrize("value", ["2", 2.0, True, None])
def test_the_measures_of_a_ring_are_ints(measure: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"ShmRing: {measure} is an int, not {value!r}"):
        ShmRing.create(**{"readers": 1, measure: value})


def test_the_rank_of_a_reader_is_an_int() -> None:
    with ShmRing.create(1) as ring, pytest.raises(TypeError, match="ShmRing: rank is an int, not '0'"):
        ring.reader("0")  # type: ignore[arg-type]

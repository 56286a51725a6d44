"""The model of weak memory: what it lets happen, what a fence forbids, and which uses of memory it refuses."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import pickle
import queue
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from rslint_runtime import create, memory_fence, order
from rslint_runtime.testing import Overtaken, Stuck, UnsupportedView, WeakMemory, weak_memory

SEEDS = range(150)
DATA, FLAG = 32, 0


@pytest.fixture
def segment() -> Iterator[SharedMemory]:
    made = SharedMemory(create=True, size=64)
    yield made
    made.close()
    made.unlink()


def runs(
    segment: SharedMemory, *cores: Callable[[Any], object], seeds: range = SEEDS
) -> Iterator[tuple[object, ...]]:
    """What the cores return together, seed by seed; the memory is zero before each run."""
    for seed in seeds:
        segment.buf[:] = bytes(len(segment.buf))
        with weak_memory(seed) as memory:
            yield memory.run(*[lambda core=core: core(segment.buf) for core in cores])


def outcomes(segment: SharedMemory, *cores: Callable[[Any], object]) -> set[tuple[object, ...]]:
    return set(runs(segment, *cores))


def sender(fence: bool) -> Callable[[Any], None]:
    def send(view: Any) -> None:
        view[DATA] = 1
        if fence:
            memory_fence()
        view[FLAG] = 1

    return send


def receiver(fence: bool) -> Callable[[Any], tuple[int, int]]:
    def receive(view: Any) -> tuple[int, int]:
        flag = view[FLAG]
        if fence:
            memory_fence()
        return flag, view[DATA]

    return receive


@pytest.mark.parametrize(("writes", "reads"), [(False, False), (False, True), (True, False)])
def test_a_flag_may_be_seen_before_its_data_unless_both_sides_have_a_fence(
    segment: SharedMemory, writes: bool, reads: bool
) -> None:
    assert (None, (1, 0)) in runs(segment, sender(writes), receiver(reads), seeds=range(3000))


def test_fences_on_both_sides_keep_flag_and_data_in_order(segment: SharedMemory) -> None:
    seen = outcomes(segment, sender(True), receiver(True))
    assert (None, (1, 0)) not in seen
    assert {(None, (0, 0)), (None, (1, 1))} <= seen


def test_a_lock_that_is_taken_and_given_back_is_a_fence(segment: SharedMemory) -> None:
    def with_lock(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(view: Any) -> Any:
            return step(view)

        return run

    for seed in SEEDS:
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            lock = threading.Lock()

            def send(view: Any = segment.buf, lock: Any = lock) -> None:
                view[DATA] = 1
                with lock:
                    pass
                view[FLAG] = 1

            def receive(view: Any = segment.buf, lock: Any = lock) -> tuple[int, int]:
                flag = view[FLAG]
                lock.acquire()
                lock.release()
                return flag, view[DATA]

            assert memory.run(send, receive)[1] != (1, 0)


def test_locks_of_a_program_that_was_imported_before_count_too(segment: SharedMemory) -> None:
    program: Any = ModuleType("program")
    program.lock = threading.Lock()
    before = program.lock
    with weak_memory(0, programs=(program,)):
        assert program.lock is not before
    assert program.lock is before


def test_a_lock_keeps_cores_out_while_it_is_held(segment: SharedMemory) -> None:
    for seed in range(30):
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            lock, view = threading.Lock(), segment.buf

            def count(lock: Any = lock, view: Any = view) -> None:
                for _ in range(10):
                    with lock:
                        view[FLAG] += 1

            memory.run(count, count)
        assert segment.buf[FLAG] == 20


def test_a_fence_waits_for_no_other_cores_fence(segment: SharedMemory) -> None:
    """Cores stand for processes, and each process has its own lock inside its fence."""

    def inside(view: Any) -> None:
        with order._lock:
            while not view[FLAG]:
                time.sleep(0)

    def other(view: Any) -> None:
        memory_fence()
        view[FLAG] = 1

    assert set(runs(segment, inside, other, seeds=range(20))) == {(None, None)}


def test_segments_of_the_runtime_library_are_memory_too() -> None:
    def attempt(seed: int) -> object:
        with create(64) as made, weak_memory(seed) as memory:
            return memory.run(
                *[lambda core=core: core(made.buf) for core in (sender(False), receiver(False))]
            )

    seen = {attempt(seed) for seed in range(300)}
    assert {(None, (0, 0)), (None, (1, 1)), (None, (1, 0))} <= seen


def test_stores_to_one_place_are_seen_in_their_order(segment: SharedMemory) -> None:
    def count(view: Any) -> None:
        for number in range(1, 6):
            view[FLAG] = number

    def watch(view: Any) -> tuple[int, ...]:
        return tuple(view[FLAG] for _ in range(8))

    for _, seen in outcomes(segment, count, watch):
        assert list(seen) == sorted(seen)  # type: ignore[arg-type, call-overload]


def test_a_core_sees_its_own_stores_at_once(segment: SharedMemory) -> None:
    def both(view: Any) -> int:
        view[FLAG] = 7
        view[DATA : DATA + 4] = b"abcd"
        return int(view[FLAG] == 7 and bytes(view[DATA + 1 : DATA + 3]) == b"bc")

    assert outcomes(segment, both, both) == {(1, 1)}


def test_both_may_read_zero_where_each_stores_one_place_and_reads_the_other(segment: SharedMemory) -> None:
    """Store buffering, the one reordering that x86 shows as well."""

    def first(view: Any) -> int:
        view[FLAG] = 1
        return int(view[DATA])

    def second(view: Any) -> int:
        view[DATA] = 1
        return int(view[FLAG])

    assert (0, 0) in outcomes(segment, first, second)


def mailbox(fence: bool, segment: SharedMemory) -> tuple[Callable[[], None], Callable[[], list[bytes]]]:
    def send() -> None:
        view: Any = segment.buf
        for number in range(1, 20):
            while view[FLAG]:
                time.sleep(0)
            view[DATA : DATA + 16] = bytes([number]) * 16
            memory_fence()
            view[FLAG] = 1

    def receive() -> list[bytes]:
        view: Any = segment.buf
        received = []
        for _ in range(1, 20):
            while not view[FLAG]:
                time.sleep(0)
            memory_fence()
            received.append(bytes(view[DATA : DATA + 16]))
            if fence:
                memory_fence()
            view[FLAG] = 0
        return received

    return send, receive


def test_an_acknowledgement_that_overtakes_its_loads_is_an_error(segment: SharedMemory) -> None:
    def attempt(seed: int) -> None:
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            memory.run(*mailbox(False, segment))

    with pytest.raises(Overtaken, match="with no fence after it had read bytes"):
        [attempt(seed) for seed in SEEDS]


def test_behind_a_fence_it_overtakes_nothing(segment: SharedMemory) -> None:
    for seed in SEEDS:
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            _, received = memory.run(*mailbox(True, segment))
        assert received == [bytes([number]) * 16 for number in range(1, 20)]


def test_a_loop_that_merely_polls_ends_without_a_fence(segment: SharedMemory) -> None:
    def wait(view: Any) -> str:
        while not view[FLAG]:
            pass
        return "ended"

    assert outcomes(segment, sender(False), wait) == {(None, "ended")}


def test_cores_that_wait_for_ever_are_stuck(segment: SharedMemory) -> None:
    def wait() -> None:
        while not segment.buf[FLAG]:
            time.sleep(0)

    with weak_memory(0, most_accesses=500) as memory, pytest.raises(Stuck, match="500 accesses"):
        memory.run(wait, wait)


def test_what_a_core_raises_is_raised_and_the_others_end(segment: SharedMemory) -> None:
    def fail() -> None:
        raise KeyError("mine")

    def wait() -> None:
        while True:
            time.sleep(0)

    with weak_memory(0) as memory, pytest.raises(KeyError, match="mine"):
        memory.run(wait, fail, wait)


def test_a_seed_decides_everything(segment: SharedMemory) -> None:
    def trace(seed: int) -> list[object]:
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            view: Any = segment.buf
            seen: list[object] = []

            def watch() -> None:
                seen.extend((view[FLAG], view[DATA]) for _ in range(10))

            memory.run(watch, lambda: sender(False)(view), watch)
        return seen

    assert [trace(seed) for seed in range(20)] == [trace(seed) for seed in range(20)]
    assert len({repr(trace(seed)) for seed in range(20)}) > 1


def test_outside_of_run_memory_is_as_it_is_and_afterwards_nothing_is_replaced(segment: SharedMemory) -> None:
    lock, sleep, array = threading.Lock, time.sleep, np.ndarray
    with weak_memory(0):
        segment.buf[3] = 9
    assert segment.buf[3] == 9
    assert isinstance(segment.buf, memoryview)
    assert (threading.Lock, time.sleep, np.ndarray) == (lock, sleep, array)


# Views --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[WeakMemory]:
    with weak_memory(1) as model:
        yield model


@pytest.mark.usefixtures("memory")
def test_what_memoryviews_do(segment: SharedMemory) -> None:
    view: Any = segment.buf
    view[2:6] = b"abcd"
    view[-1] = 7
    with view[2:8] as part:
        assert (len(part), part.nbytes, bytes(part[:4]), part[1]) == (6, 6, b"abcd", ord("b"))
        assert part == b"abcd\0\0"
        assert sum(part[4:]) == 0
        assert int.from_bytes(part[:2], "big") == 0x6162
    assert view.tobytes()[-1] == 7
    struct.pack_into("<Hd", view, 8, 3, 0.5)
    assert struct.unpack_from("<Hd", view, 8) == (3, 0.5)
    with pytest.raises(ValueError, match="different structures"):
        view[0:2] = b"abc"
    with pytest.raises(IndexError):
        view[64]


@pytest.mark.usefixtures("memory")
def test_what_numpy_arrays_do(segment: SharedMemory) -> None:
    array: Any = np.ndarray((2, 3), dtype=np.int16, buffer=segment.buf, offset=4)
    array[:] = [[1, 2, 3], [4, 5, 6]]
    array[1, 0] += 10
    assert array[1].tolist() == [14, 5, 6]
    assert array[:, 1].copy().tolist() == [2, 5]
    assert int(np.frombuffer(segment.buf, dtype=np.int16, offset=4)[3]) == 14
    np.copyto(array[0], 9)
    assert (array.shape, array.size, array.sum()) == ((2, 3), 6, 52)
    assert isinstance(array, np.ndarray)
    assert isinstance(np.zeros(2), np.ndarray)
    loaded = np.asarray(array)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0, 0] = 1


@pytest.mark.usefixtures("memory")
def test_what_tensors_do(segment: SharedMemory) -> None:
    tensor: Any = torch.frombuffer(segment.buf, dtype=torch.float32, count=4, offset=8)
    tensor.fill_(1.5)
    tensor[1:3].copy_(torch.tensor([2.0, 3.0]))
    tensor[0] += 1
    assert tensor.tolist() == [2.5, 2.0, 3.0, 1.5]
    assert (tensor[1].item(), tensor.numel(), float(tensor.sum())) == (2.0, 4, 9.0)
    assert tensor.reshape(2, 2)[1].tolist() == [3.0, 1.5]
    tensor.zero_()
    assert bool((tensor.clone() == 0).all())


@pytest.mark.usefixtures("memory")
def test_what_casts_and_read_only_views_do(segment: SharedMemory) -> None:
    words: Any = segment.buf[:16].cast("I")
    words[1] = 2**31
    words[-1] = 7
    assert (len(words), words.nbytes, words.itemsize, words.format) == (4, 16, 4, "I")
    assert words.tolist() == list(words) == [0, 2**31, 0, 7]
    assert bytes(segment.buf[4:8]) == (2**31).to_bytes(4, sys.byteorder)
    words[2:4] = words[0:2]
    assert words[2:].tolist() == [0, 2**31]
    assert words.cast("B")[12:16] == (2**31).to_bytes(4, sys.byteorder)
    for wrong in (lambda: words.__setitem__(0, -1), lambda: segment.buf.cast("?!")):
        with pytest.raises(ValueError, match="memoryview"):
            wrong()
    with pytest.raises(TypeError, match="multiple of itemsize"):
        segment.buf[:5].cast("I")
    seen: Any = segment.buf.toreadonly()
    for write in (lambda: seen.__setitem__(0, 1), lambda: struct.pack_into("B", seen[4:], 0, 1)):
        with pytest.raises(TypeError, match="read-only"):
            write()


@pytest.mark.usefixtures("memory")
def test_what_struct_and_bytearrays_do(segment: SharedMemory) -> None:
    view: Any = segment.buf
    struct.pack_into("<HH", view, 60, 1, 2)
    assert struct.unpack_from("<H", view, -2) == (2,)
    assert list(struct.iter_unpack("<H", view[60:])) == [(1,), (2,)]
    assert struct.unpack("<HH", view[60:]) == (1, 2)
    assert bytearray(view[60:]) == b"\1\0\2\0"
    with pytest.raises(struct.error, match="at least 68 bytes"):
        struct.unpack_from("<Q", view, 60)
    with pytest.raises(ValueError, match="format 'B'"):
        view[0] = 256


@pytest.mark.usefixtures("memory")
def test_a_map_of_the_same_file_is_the_same_memory(segment: SharedMemory) -> None:
    with open(f"/dev/shm/{segment.name}", "r+b") as file, mmap.mmap(file.fileno(), 64) as mapped:
        segment.buf[3] = 9
        assert mapped[3] == 9
        mapped.seek(8)
        assert (mapped.write(b"abc"), mapped.tell(), mapped.size()) == (3, 11, 64)
        assert bytes(segment.buf[8:11]) == mapped[8:11] == b"abc"
        mapped.seek(-2, 2)
        mapped.write_byte(5)
        assert (mapped.read(), segment.buf[62]) == (b"\0", 5)
        assert np.frombuffer(mapped, dtype=np.uint8, offset=8)[0] == ord("a")
    with pytest.raises(ValueError, match="closed"):
        mapped[0]


@pytest.mark.usefixtures("memory")
def test_what_numpy_and_torch_compute_is_loaded_and_stored(segment: SharedMemory) -> None:
    array: Any = np.ndarray((4,), dtype=np.int16, buffer=segment.buf)
    array[:] = [1, 2, 3, 4]
    array += 1
    array[[0, 3]] = 0
    array[array == 3] = 7
    assert (array + 1).tolist() == [1, 8, 5, 1]
    assert (-array[array > 4]).tolist() == [-7]
    np.multiply(array, 2, out=array)
    assert (array.tolist(), int(np.max(array))) == ([0, 14, 8, 0], 14)
    tensor: Any = torch.frombuffer(segment.buf, dtype=torch.int16, count=4)
    assert torch.add(tensor, 1).tolist() == [1, 15, 9, 1]
    assert torch.stack([tensor, tensor]).shape == (2, 4)
    assert bool(torch.equal(tensor, torch.tensor([0, 14, 8, 0], dtype=torch.int16)))


@pytest.mark.parametrize(
    "make",
    [threading.RLock, multiprocessing.Lock, threading.Condition],
    ids=["RLock", "a lock of multiprocessing", "Condition"],
)
def test_every_kind_of_lock_keeps_cores_apart_and_is_a_fence(
    segment: SharedMemory, make: Callable[[], Any]
) -> None:
    kind = make.__name__
    for seed in range(20):
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            owner: Any = multiprocessing if kind == "Lock" else threading
            lock, view = getattr(owner, kind)(), segment.buf

            def count(lock: Any = lock, view: Any = view) -> None:
                for _ in range(5):
                    with lock:
                        view[FLAG] += 1

            memory.run(count, count, count)
        assert segment.buf[FLAG] == 15


def test_events_and_queues_of_threads_pass_on_what_was_stored_before(segment: SharedMemory) -> None:
    for seed in range(30):
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            done, sent, view = threading.Event(), queue.Queue(1), segment.buf

            def send(view: Any = view, done: Any = done, sent: Any = sent) -> None:
                view[DATA] = 1
                done.set()
                view[FLAG] = 1
                sent.put("flag")

            def receive(view: Any = view, done: Any = done, sent: Any = sent) -> tuple[int, str, int]:
                done.wait()
                return view[DATA], sent.get(timeout=60), view[FLAG]

            assert memory.run(send, receive)[1] == (1, "flag", 1)


def test_timeouts_come_by_the_models_clock(segment: SharedMemory) -> None:
    def attempt(seed: int) -> tuple[bool, float]:
        segment.buf[:] = bytes(64)
        with weak_memory(seed) as memory:
            lock, view = threading.Lock(), segment.buf

            def hold() -> None:
                with lock:
                    while not view[FLAG]:
                        time.sleep(0.5)

            def wait() -> tuple[bool, float]:
                started = time.monotonic()
                got = lock.acquire(timeout=60)
                view[FLAG] = 1
                if got:
                    lock.release()
                return got, time.monotonic() - started

            results: Any = memory.run(hold, wait)
        return results[1]

    before = time.monotonic()
    waited = [attempt(seed) for seed in range(20)]
    assert waited == [attempt(seed) for seed in range(20)]
    assert {got for got, _ in waited} == {True, False}
    assert all(seconds >= 60 for got, seconds in waited if not got)
    assert time.monotonic() - before < 60


def test_a_pipe_that_is_polled_inside_a_core_comes_back(segment: SharedMemory) -> None:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    with receiving, sending, weak_memory(0) as memory:

        def poll() -> bytes:
            while not receiving.poll():
                time.sleep(0)
            return bytes(receiving.recv_bytes())

        assert memory.run(lambda: sending.send_bytes(b"here"), poll)[1] == b"here"
        assert not memory.run(lambda: receiving.poll(0.01))[0]


def test_four_cores_agree_on_the_order_of_two_stores_that_two_of_them_make() -> None:
    """Independent reads of independent writes: with fences between the loads the readers do not disagree."""
    segment = SharedMemory(create=True, size=64)
    try:

        def reader(first: int, second: int) -> Callable[[Any], tuple[int, int]]:
            def read(view: Any) -> tuple[int, int]:
                one = view[first]
                memory_fence()
                return one, view[second]

            return read

        def writer(place: int) -> Callable[[Any], None]:
            return lambda view: view.__setitem__(place, 1)

        cores = (writer(FLAG), writer(DATA), reader(FLAG, DATA), reader(DATA, FLAG))
        seen = outcomes(segment, *cores)
        assert (None, None, (1, 0), (1, 0)) not in seen
        assert len(seen) > 4
    finally:
        segment.close()
        segment.unlink()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "use",
    [
        lambda view: view.cast("I", (2, 8)),
        lambda view: view[::2],
        lambda view: np.ndarray((2,), dtype=np.int16, buffer=view).transpose(),
        lambda view: torch.frombuffer(view, dtype=torch.uint8).numpy(),
        lambda view: torch.clamp_(torch.frombuffer(view, dtype=torch.uint8), 0, 1),
        lambda view: np.add.accumulate([1], out=np.ndarray((1,), dtype=np.int16, buffer=view)),
        lambda view: mmap.mmap(-1, 64),
    ],
    ids=[
        "cast",
        "step",
        "ndarray method",
        "tensor method",
        "torch in place",
        "ufunc method",
        "anonymous mmap",
    ],
)
def test_a_use_that_the_model_does_not_see_is_refused(
    segment: SharedMemory, use: Callable[[Any], object]
) -> None:
    with pytest.raises(UnsupportedView, match="weak_memory"):
        use(segment.buf)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    "use",
    [
        lambda view: memoryview(view),
        lambda view: pickle.loads(view),
        lambda view: struct.Struct("I").pack_into(view, 0, 1),
        lambda view: torch.from_numpy(np.ndarray((2,), dtype=np.int16, buffer=view)),
        lambda view: ctypes.c_uint32.from_buffer(view),
        lambda view: torch.frombuffer(view, dtype=torch.uint8).view(torch.int32),
    ],
    ids=["memoryview", "pickle", "Struct", "from_numpy", "ctypes", "view(dtype)"],
)
def test_what_wants_a_buffer_is_refused_too(segment: SharedMemory, use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        use(segment.buf)

"""Programs around the collectives of rslint_runtime; each is a plain function of (rank, world_size)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from rslint_runtime import (
    PeerError,
    agree,
    broadcast_result,
    byte_transport,
    gather_results,
    process_groups,
    rank_guard,
    use_cpu_group,
)


def told(call: Callable[[], object]) -> object:
    """What the call returns, or the first line of what it raises; then all ranks must still be in step."""
    try:
        outcome = call()
    except BaseException as error:
        outcome = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    dist.barrier()
    return outcome


class OnlyAtHome:
    """A value that the process which made it can unpickle, and others cannot."""

    def __init__(self, fails_on: int) -> None:
        self.fails_on = fails_on

    def __reduce__(self) -> tuple[Any, ...]:
        return (unpickled_here, (self.fails_on,))


def unpickled_here(fails_on: int) -> str:
    if dist.get_rank() == fails_on:
        raise ModuleNotFoundError("no module named 'plugin'")
    return "rebuilt"


# --- what arrives


def gathered(rank: int, world_size: int) -> object:
    return gather_results(lambda: "x" * rank)


def gathered_where_some_fail(rank: int, world_size: int, failing: tuple[int, ...]) -> object:
    def read() -> str:
        if rank in failing:
            raise ConnectionError(f"shard {rank}")
        return "x" * 100_000

    try:
        return gather_results(read)
    except ConnectionError as error:
        dist.barrier()
        failures = getattr(error, "failures", {})
        return str(error).splitlines()[0], {rank: peer.text for rank, peer in failures.items()}


def gathered_with_collectives_inside(rank: int, world_size: int) -> object:
    def total() -> float:
        value = torch.tensor([float(rank)])
        dist.all_reduce(value)
        with rank_guard():
            return value.item() + broadcast_result(lambda: 0.5, src=1)

    return gather_results(total)


def own_objects(rank: int, world_size: int) -> object:
    """The rank that made a value gets that very object."""
    value = [rank]
    sent = broadcast_result(lambda: value, src=1)
    return sent is value, gather_results(lambda: value)[rank] is value


def values_of_all_kinds(rank: int, world_size: int) -> object:
    values = [None, b"", "", [], {"a": torch.ones(2)}, bytearray(3), float("inf"), range(10**9)]
    sent = [broadcast_result(lambda value=value: value, src=0) for value in values]
    collected = gather_results(lambda: values)
    return repr(sent) == repr(values), all(repr(item) == repr(values) for item in collected)


def cannot_be_rebuilt(rank: int, world_size: int, confirm: bool) -> object:
    return told(lambda: type(broadcast_result(lambda: OnlyAtHome(1), src=0, confirm=confirm)).__name__)


def cannot_be_rebuilt_among_all(rank: int, world_size: int, confirm: bool) -> object:
    return told(lambda: len(gather_results(lambda: OnlyAtHome(1), confirm=confirm)))


def confirmed(rank: int, world_size: int) -> object:
    return broadcast_result(lambda: rank, src=1, confirm=True), gather_results(lambda: rank, confirm=True)


def changes_while_it_is_pickled(rank: int, world_size: int) -> object:
    """The value is pickled once, and what pickling does to it is seen at the source alone."""

    class Counted:
        def __reduce__(self) -> Any:
            pickled.append("pickled")
            return list, (tuple(pickled),)

    pickled: list[str] = []
    values = gather_results(Counted)
    return len(pickled), values[1 - rank]


def large_and_in_parts(rank: int, world_size: int, at_once: int) -> object:
    byte_transport._AT_ONCE = at_once
    sent = broadcast_result(lambda: bytes(range(250)) * 10, src=1)
    collected = gather_results(lambda: bytes([rank]) * (1000 + rank))
    return sent == bytes(range(250)) * 10, [(item[0], len(item)) for item in collected]


def no_room(rank: int, world_size: int, primitive: str) -> object:
    """What is large enough to need an agreement does not fit into rank 1's memory."""

    def allocate(size: int) -> bytearray:
        if rank == 1 and size > 1000:
            raise MemoryError
        return bytearray(size)

    byte_transport._CERTAIN_ROOM = 1000
    setattr(byte_transport, "bytearray", allocate)  # noqa: B010 (it shadows the builtin)
    if primitive == "broadcast_result":
        return told(lambda: len(broadcast_result(lambda: "x" * 5000, src=0)))
    return told(lambda: len(gather_results(lambda: "x" * 5000)))


def under_a_default_device(rank: int, world_size: int) -> object:
    """As while a model is loaded: new tensors would be made on a device that the group does not serve."""
    with torch.device("meta"):
        return broadcast_result(lambda: 7, src=0), gather_results(lambda: rank), agree(True)


# --- what is called wrongly


def called_wrongly(rank: int, world_size: int, kind: str) -> object:
    async def coroutine() -> int:
        return 1

    def generator() -> Iterator[int]:
        yield 1

    def collective_inside() -> object:
        return agree(True)

    produce: Any = {
        "coroutine": coroutine,
        "generator": generator,
        "value": 7,
        "collective": collective_inside,
    }[kind]
    return told(lambda: broadcast_result(produce, src=0)), told(
        lambda: gather_results(produce if rank == 0 else lambda: 1) if kind != "collective" else None
    )


def only_the_source_has_the_function(rank: int, world_size: int) -> object:
    produce: Any = (lambda: 7) if rank == 0 else None
    return broadcast_result(produce, src=0)


class Undecided:
    """As an array of several items: neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value is ambiguous")


def neither_true_nor_false(rank: int, world_size: int) -> object:
    ok: Any = Undecided() if rank == 0 else True
    return told(lambda: agree(ok))


def no_group(rank: int, world_size: int) -> object:
    class Coordinator:
        pass

    wrong: Any = Coordinator()
    return told(lambda: agree(True, wrong))


def out_of_step(rank: int, world_size: int) -> object:
    """Rank 0 broadcasts a pair of numbers where its peers expect a result."""
    if rank == 0:
        dist.broadcast(torch.tensor([10**15, 3]), src=0)
        return None
    try:
        return broadcast_result(lambda: 1, src=0)
    except RuntimeError as error:
        return str(error)


def raises_fifty_megabytes(rank: int, world_size: int) -> object:
    def produce() -> None:
        raise ConnectionError("x" * 50_000_000)

    try:
        return broadcast_result(produce, src=0)
    except ConnectionError as error:
        dist.barrier()
        return len(str(error))


# --- groups


class Refusing(dist.ProcessGroup):
    """A group written in Python, which torch knows no devices of."""

    def getBackendName(self) -> str:
        return "refusing"


def register_backends_for_devices_alone() -> None:
    """As NCCL is: groups of these backends take CUDA tensors and no others."""

    def devices_only(store: Any, rank: int, size: int, timeout: Any) -> Any:
        return dist.ProcessGroupGloo(store, rank, size, timeout)

    def refusing(store: Any, rank: int, size: int, timeout: Any) -> Any:
        return Refusing(rank, size)

    dist.Backend.register_backend("devices_only", devices_only, devices=["cuda"])
    dist.Backend.register_backend("refusing", refusing, devices=["cuda"])


def all_primitives(rank: int, group: Any) -> list[object]:
    def guarded() -> str:
        with rank_guard(group):
            return "entered"

    return [
        told(lambda: broadcast_result(lambda: 7, src=1, group=group, confirm=True)),
        told(lambda: gather_results(lambda: rank, group)),
        told(lambda: agree(True, group)),
        told(guarded),
    ]


def a_group_for_devices_alone(rank: int, world_size: int, backend: str) -> object:
    register_backends_for_devices_alone()
    group = dist.new_group(backend=backend)
    refused = all_primitives(rank, group)
    cpu_group = dist.new_group(backend="gloo")
    use_cpu_group(cpu_group, group)
    served = all_primitives(rank, group)
    dist.destroy_process_group(cpu_group)
    del cpu_group
    return refused, served, told(lambda: agree(True, group))


def a_default_group_for_devices_alone(rank: int, world_size: int, path: str) -> object:
    register_backends_for_devices_alone()
    dist.destroy_process_group()
    store = dist.FileStore(path, world_size)  # type: ignore[attr-defined]
    dist.init_process_group("devices_only", store=store, rank=rank, world_size=world_size)
    cpu_group = dist.new_group(backend="gloo")
    use_cpu_group(cpu_group)
    return broadcast_result(lambda: 7, src=1), agree(rank == 0)


def cpu_groups_refused(rank: int, world_size: int) -> list[object]:
    register_backends_for_devices_alone()
    pair, devices = dist.new_group([0, 1]), dist.new_group(backend="devices_only")
    return [told(lambda: use_cpu_group(pair, devices)), told(lambda: use_cpu_group(devices))]


def a_group_that_takes_cpu_tensors_is_used_itself(rank: int, world_size: int) -> object:
    one, other = dist.new_group(), dist.new_group()
    use_cpu_group(other, one)
    agree(True, one)
    return one.group_name


def nested_guards(rank: int, world_size: int) -> object:
    """The inner guard is over ranks 1 and 2 alone, and rank 2 fails in it."""
    pair = dist.new_group([1, 2])

    def work() -> str:
        with rank_guard():
            with rank_guard():
                pass
            if rank:
                with rank_guard(pair):
                    if rank == 2:
                        raise ConnectionError("shard 2")
        return "fine"

    return told(work)


def guards_one_after_the_other(rank: int, world_size: int) -> object:
    """One guard object, entered again within itself and as a decorator."""
    guard = rank_guard()

    @guard
    def decorated(fails: bool) -> str:
        if fails:
            raise StopIteration("no more")
        return "fine"

    with guard, guard:
        outcomes: list[object] = [decorated(False)]
    return [*outcomes, told(lambda: decorated(rank == 1)), told(lambda: decorated(rank == 0))]


def guard_over_a_changed_world(rank: int, world_size: int) -> object:
    """What counts is the group at the entry: here the failing rank ends before it has joined one."""
    dist.destroy_process_group()
    try:
        with rank_guard():
            if rank == 1:
                raise ConnectionError("no rendezvous")
            dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    except ConnectionError:
        return "failed alone"
    return "fine"


def threads_with_a_group_each(rank: int, world_size: int, threads: int) -> object:
    def both(one: int, other: int) -> tuple[int, int]:
        return one, other

    groups = [dist.new_group() for _ in range(threads)]
    outcomes: dict[int, list[object]] = {}

    def work(number: int) -> None:
        group = groups[number]
        outcomes[number] = seen = []
        for step in range(5):
            seen.append(broadcast_result(partial(both, number, step), src=step % world_size, group=group))
            seen.append(gather_results(lambda: (number, rank), group))
            try:
                with rank_guard(group):
                    if rank == number % world_size:
                        raise ConnectionError(f"thread {number}")
            except ConnectionError as error:
                seen.append(f"thread {number}" in str(error))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return all(
        outcomes[number]
        == [
            item
            for step in range(5)
            for item in ((number, step), [(number, peer) for peer in range(world_size)], True)
        ]
        for number in range(threads)
    )


# --- what comes from outside


def leaves(rank: int, world_size: int, kind: str, primitive: str) -> object:
    def leave() -> None:
        if rank == 0:
            raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "close": GeneratorExit()}[kind]

    def guarded() -> None:
        with rank_guard():
            leave()

    calls = {
        "broadcast_result": lambda: broadcast_result(leave, src=0),
        "gather_results": lambda: gather_results(leave),
        "rank_guard": guarded,
    }
    return told(calls[primitive])


class InterruptedWait:
    """A collective during whose wait Ctrl-C comes: Python hears of it when the wait is over."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self.interrupted = False

    def wait(self) -> None:
        self.work.wait()
        if not self.interrupted:
            self.interrupted = True
            signal.raise_signal(signal.SIGINT)


def interrupted_while_it_waits(rank: int, world_size: int, primitive: str) -> object:
    """Ctrl-C reaches rank 1 in every collective in which it learns that rank 0 has failed."""

    def fail() -> None:
        if rank == 0:
            raise ConnectionError("refused")

    def guarded() -> None:
        with rank_guard():
            fail()

    if rank == 1:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        complete = process_groups._GroupTurn.complete
        process_groups._GroupTurn.complete = lambda turn, *works: complete(  # type: ignore[method-assign]
            turn,
            *map(InterruptedWait, works),  # type: ignore[arg-type]
        )
    return told(guarded if primitive == "rank_guard" else lambda: broadcast_result(fail, src=0))


def cancelled_while_it_runs(rank: int, world_size: int) -> object:
    """A coroutine of rank 0 is cancelled, and its thread is in `produce` when the next call is made."""
    if rank:
        return [broadcast_result(lambda: None, src=0), broadcast_result(lambda: None, src=0), agree(True)]
    began, overtaken = threading.Event(), threading.Event()

    def first() -> str:
        began.set()
        return "overtaken" if overtaken.wait(0.3) else "first"

    def second() -> str:
        overtaken.set()
        return "second"

    async def main() -> list[object]:
        running = asyncio.create_task(asyncio.to_thread(broadcast_result, first, 0))
        await asyncio.to_thread(began.wait)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        answers = await asyncio.gather(asyncio.to_thread(broadcast_result, second, 0), return_exceptions=True)
        return [running.cancelled(), *answers, await asyncio.to_thread(agree, True)]

    return asyncio.run(main())


def cancelled_before_it_runs(rank: int, world_size: int, shielded: bool) -> object:
    """A coroutine of rank 0 is cancelled while the only thread of its executor is busy with something else."""
    if rank:
        return broadcast_result(lambda: None, src=0)
    free = threading.Event()

    async def call(executor: ThreadPoolExecutor) -> object:
        waiting = asyncio.get_running_loop().run_in_executor(executor, broadcast_result, lambda: "value", 0)
        return await (asyncio.shield(waiting) if shielded else waiting)

    async def main() -> str:
        with ThreadPoolExecutor(1) as executor:
            executor.submit(free.wait)
            task = asyncio.create_task(call(executor))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            free.set()
        return "cancelled" if task.cancelled() else "done"

    return asyncio.run(main())


def cancelled_inside_a_guard(rank: int, world_size: int) -> object:
    async def work() -> None:
        with rank_guard():
            await asyncio.sleep(60 if rank == 0 else 0)

    async def main() -> str:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        if rank == 0:
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        except PeerError as error:
            return str(error).splitlines()[0]
        return "fine"

    return asyncio.run(main())


def peers_are_gone(rank: int, world_size: int, primitive: str) -> object:
    """Rank 0 fails when nobody is left whom it could tell."""
    if rank == 1:
        os._exit(3)

    def fail() -> None:
        raise KeyError("own")

    def guarded() -> None:
        with rank_guard():
            fail()

    calls: dict[str, Callable[[], object]] = {
        "broadcast_result": lambda: broadcast_result(fail, src=0),
        "gather_results": lambda: gather_results(fail),
        "rank_guard": guarded,
    }
    try:
        calls[primitive]()
    except KeyError as error:
        return "".join(getattr(error, "__notes__", ["no notes before Python 3.11"]))
    return "nothing raised"


def dies_in_the_middle(rank: int, world_size: int) -> object:
    def die() -> None:
        os._exit(3)

    return broadcast_result(die, src=0)


def takes_longer_than_the_groups_timeout(rank: int, world_size: int, seconds: float) -> object:
    try:
        return broadcast_result(lambda: time.sleep(seconds), src=0)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"


def memory_for_a_value(rank: int, world_size: int, size: int) -> list[float]:
    """The most that each primitive allocates on this rank, in sizes of the value."""
    value = b"x" * size
    peaks = []
    calls: list[Callable[[], object]] = [
        lambda: broadcast_result(lambda: value, src=0),
        lambda: gather_results(lambda: value),
    ]
    # Never stopped: until 3.12.9, stopping may crash while another thread allocates (python/cpython#128679).
    tracemalloc.start()
    for call in calls:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        peaks.append((tracemalloc.get_traced_memory()[1] - before) / size)
    return peaks

"""Programs that the tests run on ranks; each is a plain function of (rank, world_size)."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import torch
import torch.distributed as dist
from rslint_runtime import PeerError, agree, broadcast_result, rank_guard


class Client:
    """Stands for the RPC client of a leader."""

    def start(self) -> dict[str, int]:
        return {"session": 7}

    @staticmethod
    def ping() -> str:
        return "pong"


class Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one}/{two}")


class Refused(ConnectionError):
    """An exception that keeps something handlers look at."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.retry_after = 3


# --- what ends by itself


def all_reduced(rank: int, world_size: int) -> list[float]:
    print(f"this is rank {rank}")
    value = torch.full((2,), float(rank))
    dist.all_reduce(value)
    return value.tolist()


def with_arguments(rank: int, world_size: int, base: int, names: tuple[str, ...]) -> str:
    return f"{names[rank]}{base + rank}"


def fails_everywhere(rank: int, world_size: int) -> None:
    dist.barrier()
    raise KeyError(f"rank {rank}")


def fails_last(rank: int, world_size: int) -> str:
    dist.barrier()
    if rank == 1:
        raise Unpicklable(1, 2)
    return "fine"


def keeps_an_executor(rank: int, world_size: int) -> str:
    """An executor that nobody shuts down has idle threads; a process exits all the same."""
    executor = ThreadPoolExecutor(2)
    threading.main_thread().executor = executor  # type: ignore[attr-defined]
    return executor.submit(str, rank).result()


def exits(rank: int, world_size: int, code: int) -> None:
    sys.exit(code)


def returns_lambda(rank: int, world_size: int) -> object:
    return lambda: rank


def trains(rank: int, world_size: int) -> None:
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2))
    model(torch.ones(1, 2)).sum().backward()


# --- controls: slow or unusual, and right


def asleep_before_collective(rank: int, world_size: int, seconds: float) -> None:
    if rank == 0:
        time.sleep(seconds)
    dist.barrier()


def computing_before_collective(rank: int, world_size: int, seconds: float) -> int:
    count = 0
    if rank == 0:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count += 1
    dist.barrier()
    return count


def late_second_thread(rank: int, world_size: int, seconds: float) -> float:
    """Rank 0 waits in A for rank 1's second thread, rank 1's main thread in B for rank 0."""
    a, b = dist.new_group(), dist.new_group()
    value = torch.ones(1)

    def on_a() -> None:
        time.sleep(seconds)
        dist.all_reduce(value, group=a)

    if rank == 0:
        dist.all_reduce(value, group=a)
        dist.barrier(group=b)
    else:
        thread = threading.Thread(target=on_a)
        thread.start()
        dist.barrier(group=b)
        thread.join()
    return value.item()


def two_groups_legal_order(rank: int, world_size: int, seconds: float) -> list[float]:
    a, b = dist.new_group(), dist.new_group()
    one, two = torch.ones(1), torch.ones(1)
    order = [(one, a), (two, b)] if rank == 0 else [(two, b), (one, a)]
    works = [dist.all_reduce(value, group=group, async_op=True) for value, group in order]
    if rank == 1:
        time.sleep(seconds)
    for work in works:
        work.wait()
    return [one.item(), two.item()]


def late_in_new_group(rank: int, world_size: int, seconds: float) -> None:
    if rank == 1:
        time.sleep(seconds)
    dist.barrier(group=dist.new_group([0, 1]))


def daemon_left_waiting(rank: int, world_size: int) -> str:
    """A daemon thread waits for a command that never comes; leaving ends it."""
    commands = dist.new_group()

    def listen() -> None:
        dist.broadcast(torch.zeros(1), src=0, group=commands)

    if rank == 1:
        threading.Thread(target=listen, daemon=True).start()
        time.sleep(0.4)
    return "left"


# --- what hangs


def leader_rpc_then_broadcast(rank: int, world_size: int) -> dict[str, int] | None:
    session = [Client().start()] if rank == 0 else [None]
    dist.broadcast_object_list(session, src=0)
    dist.all_reduce(torch.ones(1))
    return session[0]


def leader_swallows(rank: int, world_size: int) -> str:
    """The serving loop's form: the error is logged, and the leader waits for the next request."""
    try:
        leader_rpc_then_broadcast(rank, world_size)
    except ConnectionError:
        return "logged"
    return "done"


def circular(rank: int, world_size: int) -> None:
    groups = [dist.new_group(), dist.new_group()]
    for group in groups if rank == 0 else reversed(groups):
        dist.all_reduce(torch.ones(1), group=group)


def chain(rank: int, world_size: int) -> None:
    """Rank 2 leaves; 1 waits for 2, and 0 for 1."""
    left, right = dist.new_group([0, 1]), dist.new_group([1, 2])
    if rank == 2:
        return
    if rank == 1:
        dist.barrier(group=right)
    dist.barrier(group=left)


def joined_thread(rank: int, world_size: int) -> None:
    if rank == 0:
        return
    thread = threading.Thread(target=dist.barrier, name="worker")
    thread.start()
    thread.join()


def executor_future(rank: int, world_size: int) -> None:
    if rank == 0:
        return
    with ThreadPoolExecutor(2) as executor:
        executor.submit(int).result()
        executor.submit(dist.barrier).result()


def async_work(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.all_reduce(torch.ones(1), async_op=True).wait()


def process_group_method(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.group.WORLD.allreduce([torch.ones(1)]).wait()


def functional(rank: int, world_size: int) -> None:
    import torch.distributed._functional_collectives as functional_collectives

    result = functional_collectives.all_reduce(torch.ones(1), "sum", list(range(world_size)))
    if rank == 0:
        functional_collectives.wait_tensor(
            functional_collectives.all_reduce(result, "sum", list(range(world_size)))
        )


def new_group_on_one_rank(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.new_group([0, 1])


def receives_nothing(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.send(torch.ones(1), dst=1)
    else:
        dist.recv(torch.ones(1), src=0)
        dist.recv(torch.ones(1), src=0)


def one_of_four_leaves(rank: int, world_size: int) -> None:
    """gloo broadcasts along a tree: a leaf waits for an inner rank, the root perhaps for nobody."""
    if rank != 2:
        dist.broadcast(torch.ones(1), src=0)
        if rank == 0:
            dist.barrier()


def root_of_a_broadcast(rank: int, world_size: int) -> None:
    """gloo's root waits until its receivers have asked for the payload; other backends may not."""
    if rank == 0:
        dist.broadcast(torch.ones(1), src=0)


def thread_behind_the_recorders_back(rank: int, world_size: int, seconds: float) -> None:
    """A thread that threading knows nothing of supplies the collective that the others wait for."""
    import _thread

    group = dist.new_group()

    def late() -> None:
        time.sleep(seconds)
        dist.barrier(group=group)

    if rank == 0:
        _thread.start_new_thread(late, ())
        dist.barrier()
    else:
        dist.barrier(group=group)
        dist.barrier()


def refused_by_torch(rank: int, world_size: int) -> None:
    """An operation that raises before it reaches the backend has not happened."""
    options = dist.BroadcastOptions()
    options.rootRank = 17
    with contextlib.suppress(ValueError, RuntimeError):
        if rank == 0:
            dist.group.WORLD.broadcast([torch.ones(1)], options)
    dist.barrier()


def monitored(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.monitored_barrier(timeout=timedelta(seconds=1))


def own_timeout(rank: int, world_size: int) -> None:
    group = dist.new_group(timeout=timedelta(seconds=1))
    if rank == 0:
        dist.barrier(group=group)


def spins(rank: int, world_size: int) -> None:
    while rank == 0:
        time.sleep(0.01)


# --- what does not match


def other_operation(rank: int, world_size: int) -> None:
    if rank == 0:
        dist.barrier()
    else:
        dist.all_reduce(torch.ones(4))


def other_shape(rank: int, world_size: int) -> None:
    dist.all_reduce(torch.ones(3 + rank))


# --- what dies


def killed(rank: int, world_size: int) -> None:
    if rank == 0:
        print("last words")
        os.kill(os.getpid(), 9)
    dist.barrier()


def exits_hard(rank: int, world_size: int) -> None:
    if rank == 1:
        os._exit(3)
    dist.barrier()


def leaves_children(rank: int, world_size: int, directory: str) -> None:
    child = subprocess.Popen(["sleep", "300"])
    with open(os.path.join(directory, f"pids.{rank}"), "w") as file:
        file.write(f"{os.getpid()} {child.pid} {os.getppid()}")
    if rank == 0:
        dist.barrier()
    raise RuntimeError("rank 1 leaves, its child stays") if rank else AssertionError


def starts_daemons(rank: int, world_size: int, directory: str) -> None:
    """Processes with a session of their own, one whose parent has ended among them; rank 1 dies before its peer."""
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    forked = os.fork()
    if forked == 0:
        os.setsid()
        daemon = subprocess.Popen(["sleep", "300"])
        with open(os.path.join(directory, f"pids.{rank}"), "w") as file:
            file.write(f"{child.pid} {daemon.pid}")
        os._exit(0)
    os.waitpid(forked, 0)
    dist.barrier()
    if rank == 1:
        os._exit(3)
    dist.barrier()


def sleeps_after_start(rank: int, world_size: int, directory: str) -> None:
    with open(os.path.join(directory, f"pids.{rank}"), "w") as file:
        file.write(f"{os.getpid()} {os.getppid()}")
    time.sleep(300)


# --- the collectives of rslint_runtime


def leader_rpc_then_broadcast_result(rank: int, world_size: int) -> dict[str, int]:
    session = broadcast_result(lambda: Client().start(), src=0)
    dist.all_reduce(torch.ones(1))
    return session


def handled_alike(rank: int, world_size: int) -> str:
    try:
        broadcast_result(lambda: Client().start(), src=0)
    except ConnectionError as error:
        dist.barrier()
        return f"{type(error).__name__} {isinstance(error, PeerError)}"
    return "no error"


def describes_failure(rank: int, world_size: int, kind: str) -> dict[str, object]:
    def produce() -> object:
        if kind == "unpicklable value":
            return lambda: None
        if kind == "unpicklable error":
            raise Unpicklable(1, 2)
        if kind == "local type":
            raise type("Local", (LookupError,), {})("here")
        if kind == "chained":
            try:
                {}["missing"]
            except KeyError as error:
                raise Refused("no luck") from error
        if kind == "exit":
            sys.exit(5)
        if kind == "file":
            os.stat("/does/not/exist")
        return b"\xff".decode()

    try:
        broadcast_result(produce, src=0)
    except BaseException as error:
        dist.barrier()
        return {
            "types": [base.__name__ for base in type(error).__mro__],
            "text": str(error),
            "rank": getattr(error, "rank", None),
            "traceback": getattr(error, "traceback_text", ""),
            "cause": repr(error.__cause__),
            "retry_after": getattr(error, "retry_after", None),
            "errno": getattr(error, "errno", None),
            "code": getattr(error, "code", None),
        }
    raise AssertionError("nothing was raised")


def on_a_subgroup(rank: int, world_size: int) -> object:
    group = dist.new_group([1, 2])
    if rank == 0:
        try:
            return broadcast_result(lambda: 1, src=1, group=group)
        except ValueError as error:
            return str(error)
    value = broadcast_result(lambda: {"from": dist.get_rank()}, src=2, group=group)
    try:
        broadcast_result(lambda: 1, src=0, group=group)
    except ValueError as error:
        return value, str(error), agree(rank == 1, group)
    return None


def large_value(rank: int, world_size: int) -> int:
    return len(broadcast_result(lambda: b"x" * 5_000_000, src=world_size - 1))


def guarded(rank: int, world_size: int, failing: tuple[int, ...]) -> str:
    try:
        with rank_guard():
            if rank in failing:
                raise Refused(f"shard {rank}")
    except ConnectionError as error:
        dist.barrier()
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    dist.barrier()
    return "in step"


def collective_inside_guard(rank: int, world_size: int) -> None:
    with rank_guard():
        if rank == 0:
            raise OSError("before the collective")
        dist.barrier()


def agreed(rank: int, world_size: int) -> tuple[bool, bool]:
    return agree(rank == 0), agree(True)


def in_a_group_of_one(rank: int, world_size: int) -> object:
    with rank_guard():
        pass
    return broadcast_result(lambda: [1], src=0), agree(False), agree(True)


def without_a_group(rank: int, world_size: int) -> object:
    dist.destroy_process_group()
    return in_a_group_of_one(rank, world_size)


def imports_of_numpy(rank: int, world_size: int) -> list[str]:
    before = set(sys.modules)
    broadcast_result(lambda: {"a": [1, 2]}, src=0)
    agree(True)
    with rank_guard():
        pass
    return sorted(name for name in set(sys.modules) - before if name.partition(".")[0] == "numpy")

"""A writer or a reader of a ring is killed, wherever it is: the others notice, name it, and lose nothing it had sent.

`ring_victims.py` kills at every line of the ring's modules that an end runs through, one process for each.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime import PeerDiedError, RingReader, RingWriter, ShmRing, SlowReaderError
from rslint_runtime.testing import run_ranks


@pytest.fixture(scope="module", params=["writer", "reader"])
def runs(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What became of each place where this end was killed."""
    program = Path(__file__).with_name("ring_victims.py")
    done = subprocess.run(
        [sys.executable, str(program), request.param], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_step_of_coming_using_and_leaving_is_a_place_to_die(runs: list[dict[str, Any]]) -> None:
    modules = {run["place"][0] for run in runs if run["killed"]}
    assert {
        "peers.py",
        "ring_members.py",
        "ring_overflow.py",
        "shm_ring.py",
        "waiting.py",
        "order.py",
    } < modules
    assert sum(run["killed"] for run in runs) > 90


def test_wherever_it_was_killed_the_others_learn_of_it_or_find_another_in_its_place(
    runs: list[dict[str, Any]],
) -> None:
    """Before it has come, it never came and its place is free; behind its last step, it has left; else it has died."""
    outcomes = {run["outcome"] for run in runs if run["killed"]}
    assert outcomes <= {"died", "never came", "left", "end"}
    assert {"died", "never came"} <= outcomes


def test_whoever_died_is_named(runs: list[dict[str, Any]]) -> None:
    assert [run for run in runs if not run["named"]] == []


def test_what_is_received_is_whole_and_in_order_wherever_it_was_killed(runs: list[dict[str, Any]]) -> None:
    assert [run for run in runs if not run["right"]] == []


def test_nothing_is_left_behind_that_is_no_orphan(runs: list[dict[str, Any]]) -> None:
    assert [run for run in runs if run["left"]] == []


# Waiting for the dead with no timeout at all ------------------------------------------------------------------------


@pytest.fixture
def ring() -> Iterator[ShmRing]:
    with ShmRing.create(readers=2, slots=2, slot_bytes=128) as made:
        yield made


def forked(ring: ShmRing, program: Callable[[ShmRing], None]) -> int:
    """A child that runs the program and then waits to be killed."""
    pid = os.fork()
    if pid == 0:
        try:
            program(ring)
            time.sleep(60)
        finally:
            os._exit(1)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_reader_that_waits_for_ever_does_not_wait_for_a_dead_writer(ring: ShmRing) -> None:
    def write(ring: ShmRing) -> None:
        ring.writer().write(b"last words")
        time.sleep(60)

    pid = forked(ring, write)
    with ring.reader(0) as reader:
        assert reader.receive() == b"last words"
        kill(pid)
        with pytest.raises(PeerDiedError, match=rf"writer \(pid {pid}\) died") as caught:
            reader.receive()
    assert (caught.value.peers[0].role, caught.value.peers[0].rank, caught.value.peers[0].pid) == (
        "writer",
        None,
        pid,
    )


def send_and_read(writer: RingWriter, reader: RingReader, messages: Iterable[Any]) -> list[Any]:
    received = []
    for message in messages:
        writer.send(message)
        received.append(reader.receive())
    return received


def come(ring: ShmRing) -> None:
    reader = ring.reader(1)
    reader.receive()
    time.sleep(60)


def test_a_writer_that_waits_for_ever_does_not_wait_for_a_dead_reader(ring: ShmRing) -> None:
    with ring.writer() as writer, ring.reader(0) as other:
        pid = forked(ring, come)
        writer.send(0)
        while writer.peers()[2].behind:
            time.sleep(0.001)
        kill(pid)
        with pytest.raises(PeerDiedError, match=rf"reader 1 \(pid {pid}\) died") as caught:
            send_and_read(writer, other, range(1, 9))
        assert caught.value.peers[0].rank == 1
        assert [peer.pid for peer in writer.drop_dead_readers()] == [pid]
        writer.send("on")


def test_a_writer_that_drops_the_dead_by_itself_goes_on(ring: ShmRing) -> None:
    with ring.writer(drop_dead_readers=True) as writer, ring.reader(0) as other:
        pid = forked(ring, come)
        writer.send(0)
        while writer.peers()[2].behind:
            time.sleep(0.001)
        kill(pid)
        assert other.receive() == 0
        assert send_and_read(writer, other, range(1, 9)) == list(range(1, 9))
        assert writer.peers()[2].state == "dropped"


def test_a_stopped_reader_is_slow_and_not_dead(ring: ShmRing) -> None:
    with ring.writer() as writer, ring.reader(0) as other:
        pid = forked(ring, come)
        writer.send(0)
        while writer.peers()[2].behind:
            time.sleep(0.001)
        os.kill(pid, signal.SIGSTOP)
        try:
            other.receive()
            for number in (1, 2):
                writer.send(number, timeout=10)
                other.receive()
            with pytest.raises(SlowReaderError, match=rf"reader 1 \(pid {pid}\) \(attached, 2 behind\)"):
                writer.send(3, timeout=0.2)
        finally:
            kill(pid)


IN_ANOTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
READER = """
import sys, time
from rslint_runtime import ShmRing
reader = ShmRing(sys.argv[1]).reader(0)
print(reader.receive(), flush=True)
time.sleep(60)
"""


def test_a_reader_in_another_pid_namespace_is_alive_until_it_is_killed() -> None:
    """As in a container that shares /dev/shm: its pid there is the pid of another process here."""
    if subprocess.run(
        [*IN_ANOTHER_NAMESPACE, "true"], capture_output=True, timeout=20, check=False
    ).returncode:
        pytest.skip("no pid namespace of our own")
    with ShmRing.create(readers=1, slots=1) as ring, ring.writer() as writer:
        order = [*IN_ANOTHER_NAMESPACE, sys.executable, "-c", READER, ring.name]
        with subprocess.Popen(order, stdout=subprocess.PIPE, text=True) as process:
            try:
                writer.send("hello")
                assert process.stdout is not None
                assert process.stdout.readline() == "hello\n"
                writer.flush(timeout=30)
                assert (writer.peers()[1].pid, writer.peers()[1].state) == (1, "attached")
                writer.send("unread")
            finally:
                process.kill()
        with pytest.raises(PeerDiedError, match=r"reader 0 \(pid 1\) died"):
            writer.send("more", timeout=30)


# Ranks --------------------------------------------------------------------------------------------------------------


def broadcast_over_a_ring(rank: int, world_size: int, name: str) -> str:
    """Rank 0 writes, the others read, and rank 2 fails in the middle. Behind it all ranks meet again."""
    import torch.distributed as dist

    outcome = "all sent"
    try:
        if rank == 0:
            with ShmRing(name).writer() as writer:
                for number in range(100):
                    writer.send(number)
                    writer.flush()
        else:
            with ShmRing(name).reader(rank - 1) as reader:
                for number in reader:
                    outcome = f"read {number}"
                    if rank == 2 and number == 7:
                        raise KeyError("rank 2")
    except PeerDiedError as error:
        outcome = f"lost: {error.peers[0]} {error.peers[0].fate}"
    except KeyError:
        outcome = "failed"
    dist.barrier()
    return outcome


def test_among_ranks_one_that_fails_ends_the_broadcast_instead_of_hanging_it() -> None:
    with ShmRing.create(readers=2) as ring:
        result = run_ranks(broadcast_over_a_ring, 3, args=(ring.name,), timeout=60)
    assert result.outcome == "completed", result.report()
    assert re.fullmatch(r"lost: reader 1 \(pid \d+\) left with KeyError: 'rank 2'", result.results[0])
    assert re.fullmatch(r"lost: writer \(pid \d+\) left with .*PeerDiedError.*", result.results[1])
    assert result.results[2] == "failed"

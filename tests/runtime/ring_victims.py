"""Kills the writer or a reader of a ring at every line that it runs through, and tells what the others saw.

    python ring_victims.py writer|reader

Prints one JSON object for each line of the ring's modules: where the victim was killed and how it went for the others.
A process of its own, small and without threads, so that it can fork a victim for each line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import rslint_runtime
from rslint_runtime import PeerDiedError, ShmRing
from rslint_runtime.orphans import remove_if_orphaned
from rslint_runtime.segment_names import generation_of, segment_path

MODULES = ("ring_", "shm_ring.", "peers.", "waiting.", "order.")
PACKAGE = os.path.dirname(rslint_runtime.__file__)
SENT = [b"first", b"second" * 100, b"third", b"fourth" * 100, b"fifth", b"sixth"]
LIMIT = 30.0

Place = tuple[str, int]


def write_all(ring: ShmRing) -> None:
    with ring.writer() as writer:
        for message in SENT[:-1]:
            writer.write(message)
        with writer.reserve(len(SENT[-1])) as view:
            view[:] = SENT[-1]


def read_some(ring: ShmRing) -> None:
    with ring.reader(0) as reader:
        for _ in SENT[:3]:
            reader.receive()
        with reader.read() as view:
            len(view)


def fork_victim(
    program: Callable[[ShmRing], None], ring: ShmRing, place: Place | None, report: int = -1
) -> int:
    """A child that runs the program and kills itself when it comes to a line, or reports all lines at the end."""
    pid = os.fork()
    if pid:
        return pid
    seen: dict[Place, None] = {}

    def trace(frame: Any, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if os.path.dirname(file) != PACKAGE or not os.path.basename(file).startswith(MODULES):
            return None
        if event == "line":
            seen[here := (os.path.basename(file), frame.f_lineno)] = None
            if here == place:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    status = 1
    try:
        sys.settrace(trace)
        program(ring)
        sys.settrace(None)
        if report >= 0:
            os.write(report, json.dumps(list(seen)).encode())
        status = 0
    finally:
        os._exit(status)


class Victim:
    """The forked child, seen from its parent."""

    def __init__(self, pid: int) -> None:
        self.pid, self.status = pid, -1

    def has_ended(self) -> bool:
        if self.status < 0:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if ended else -1
        return self.status >= 0

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < until:
            time.sleep(0.001)

    def kill(self) -> None:
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)
            self.wait(LIMIT)


def against_writer(ring: ShmRing, victim: Victim) -> tuple[str, int, bool]:
    """Read what comes, until the end or until the writer is lost. How it went, who was named, whether all was right."""
    received: list[bytes] = []
    outcome, named = "hung", victim.pid
    until = time.monotonic() + LIMIT
    with ring.reader(0) as reader:
        while outcome == "hung" and time.monotonic() < until:
            dead = victim.has_ended()
            try:
                received.append(reader.receive(timeout=0.005))
            except EOFError:
                outcome = "end"
            except PeerDiedError as error:
                outcome, named = "died", error.peers[0].pid
            except TimeoutError:
                if dead and reader.peers()[0].state == "expected":
                    outcome = "never came"
        if outcome == "never came":  # so another one may
            with ring.writer() as writer:
                writer.write(b"other")
            received.remove(reader.receive()) if received else reader.receive()
    right = received == SENT[: len(received)] and (outcome != "end" or received == SENT)
    return outcome, named, right


def against_reader(ring: ShmRing, victim: Victim) -> tuple[str, int, bool]:
    """Send all to the victim and to another reader; if the victim dies, drop it and go on."""
    received: list[bytes] = []
    outcome, named = "hung", victim.pid
    until = time.monotonic() + LIMIT
    with ring.writer() as writer, ring.reader(1) as other:
        waiting = list(SENT)
        while outcome == "hung" and time.monotonic() < until:
            dead = victim.has_ended()
            try:
                if waiting:
                    writer.write(waiting[0], timeout=0.005)
                    del waiting[0]
                    received.append(other.receive(timeout=LIMIT))
                    continue
                writer.flush(timeout=0.005)
                outcome = "left"
            except PeerDiedError as error:
                outcome, named = "died", error.peers[0].pid
                writer.drop_dead_readers()
            except TimeoutError:
                if dead and writer.peers()[1].state == "expected":
                    outcome = "never came"
        if outcome == "never came":  # so another one may, and finds everything
            with ring.reader(0) as late:
                assert [late.receive(timeout=LIMIT) for _ in received] == received
        for message in waiting:
            writer.write(message, timeout=LIMIT)
            received.append(other.receive(timeout=LIMIT))
    return outcome, named, received == SENT


def one_run(role: str, place: Place | None, report: int = -1) -> dict[str, Any]:
    program, against, slots = (
        (write_all, against_writer, 2) if role == "writer" else (read_some, against_reader, 16)
    )
    with ShmRing.create(1 if role == "writer" else 2, slots=slots, slot_bytes=128) as ring:
        victim = Victim(fork_victim(program, ring, place, report))
        try:
            outcome, named, right = against(ring, victim)
            victim.wait(LIMIT)
        finally:
            victim.kill()
        name = ring.name
    return {
        "place": place,
        "outcome": outcome,
        "named": named == victim.pid,
        "right": right,
        "killed": os.WIFSIGNALED(victim.status),
        "left": leftovers(victim.pid, name),
    }


def leftovers(pid: int, ring: str) -> list[str]:
    """Segments that are neither removed with the ring nor found as orphans."""
    made = [
        name
        for name in os.listdir("/dev/shm")
        if name == ring or name.startswith(f"rslint-ring-overflow-{pid}-")
    ]
    return [name for name in made if not remove_if_orphaned(segment_path(name), generation_of(name) or "")]


def lines(role: str) -> list[Place]:
    """The lines that a victim runs through when nobody kills it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    assert one_run(role, None, writing)["right"]
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return [(file, line) for file, line in json.loads(pipe.read())]


if __name__ == "__main__":
    for where in lines(sys.argv[1]):
        print(json.dumps(one_run(sys.argv[1], where)), flush=True)

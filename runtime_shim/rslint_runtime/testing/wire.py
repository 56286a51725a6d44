"""Length-prefixed pickles over a stream socket, and the messages that ranks, fork server and caller exchange.

Both ends are started by the same user from the same installation; nothing here listens on a network.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rslint_runtime.testing.functions import Sent
from rslint_runtime.testing.records import Collective, RankError

HEADER = struct.Struct("!Q")


@dataclass(frozen=True)
class RunRequest:
    """Everything a rank needs before it can call the function under test.

    `arguments` is the pickle of (args, faults): both may refer to the program's own classes, so they are
    unpickled in the rank, after the program is loaded. With `rewrites_asserts`, asserts of the program tell the values
    they compared. `coverage` says what is measured, if anything.
    """

    world_size: int
    sent: Sent
    rewrites_asserts: bool
    arguments: bytes
    joins_group: bool
    coverage: str | None
    directory: str
    working_directory: str
    search_path: tuple[str, ...]
    environment: dict[str, str]
    group_timeout: float
    run_timeout: float


@dataclass(frozen=True)
class Started:
    """From the fork server: process ids by rank."""

    pids: tuple[int, ...]


@dataclass(frozen=True)
class Died:
    """From the fork server: a rank's process is gone, with its wait status."""

    rank: int
    status: int


@dataclass(frozen=True)
class NotLoaded:
    """The rank could not get as far as calling the function; `usage` when the request itself is at fault."""

    error: RankError
    usage: bool


@dataclass(frozen=True)
class Ready:
    """The rank has its process group and waits for `Go` to call the function, on `thread`."""

    thread: int


@dataclass(frozen=True)
class ThreadStarted:
    """Sent by the starting thread, before the new one can do anything, under a stand-in for its identifier.

    The new thread repeats it with its identifier and the stand-in that this replaces.
    """

    thread: int
    name: str
    replaces: int | None


@dataclass(frozen=True)
class ThreadEnded:
    """The thread has come to its end, or `error` has left it."""

    thread: int
    error: RankError | None = None


@dataclass(frozen=True)
class Entered:
    """Sent before the operation runs: whatever peers may see of it is known here already."""

    thread: int
    number: int
    collective: Collective


@dataclass(frozen=True)
class Withdrawn:
    """The operation raised before it reached the backend."""

    number: int


@dataclass(frozen=True)
class Waiting:
    """The thread is about to block until operation `number` has finished; `timed` if it may give up."""

    thread: int
    number: int
    timed: bool


@dataclass(frozen=True)
class Resumed:
    thread: int


@dataclass(frozen=True)
class Called:
    """The call that the fault of that position is about was met, whether it is the one meant or not."""

    fault: int


@dataclass(frozen=True)
class Fired:
    fault: int


@dataclass(frozen=True)
class Ended:
    """The function returned (`value` is its pickle, or None and `text` says why) or raised (`error`).

    `unclaimed` are the numbers of operations that it began and never waited for.
    """

    value: bytes | None
    text: str
    error: RankError | None
    unclaimed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Go:
    """From the caller, when all ranks are ready: one that failed before would break its peers' connecting."""


@dataclass(frozen=True)
class Look:
    """From the caller: which of your threads are blocked inside the process?"""

    token: int


@dataclass(frozen=True)
class Looked:
    """Threads that sleep until another thread of the process acts.

    `blocked`: in a wait of Python's, without a timeout, with its context switches so far. `inside_torch`: in a wait of
    torch's own while all threads of the process sleep, with the context switches of all of them, and the numbers of
    the operations that the thread has issued and that have not finished: one of them is what it waits for. `unknown`
    is true when Python threads run that were not started through `threading.Thread`.
    """

    token: int
    blocked: tuple[tuple[int, int], ...]
    unknown: bool
    inside_torch: tuple[tuple[int, int, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Conclude:
    """From the caller: the run is over; say what you were doing, and write what is to be kept."""


@dataclass(frozen=True)
class Concluded:
    """The stacks of the rank's threads, as text."""

    stacks: str


def encoded(message: Any) -> bytes:
    """The message as it goes over a stream."""
    payload = pickle.dumps(message)
    return HEADER.pack(len(payload)) + payload


def send(channel: socket.socket, message: Any) -> None:
    """Send one message, however long; OSError when the other end is gone."""
    channel.sendall(encoded(message))


class Decoder:
    """Turns the bytes of a stream into messages, however the stream cuts them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer)
            end = HEADER.size + size
            if len(self._buffer) < end:
                return
            message = pickle.loads(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield message


def receive(channel: socket.socket) -> Any:
    """Block for one message; EOFError when the other end is gone."""
    header = exactly(channel, HEADER.size)
    return pickle.loads(exactly(channel, HEADER.unpack(header)[0]))


def exactly(channel: socket.socket, size: int) -> bytes:
    """Block for that many bytes; EOFError when the other end is gone before."""
    received = bytearray()
    while len(received) < size:
        chunk = channel.recv(min(size - len(received), 1 << 20))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)


def submit(server: socket.socket, request: RunRequest, descriptors: list[int]) -> None:
    """Ask the fork server for a run; descriptors are the run's control socket, then one socket per rank."""
    payload = pickle.dumps(request)
    socket.send_fds(server, [HEADER.pack(len(payload))], descriptors)
    server.sendall(payload)

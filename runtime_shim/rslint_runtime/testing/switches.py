"""Turns faults on and off while a run is under way: a byte for each fault in a file that all of its ranks map."""

from __future__ import annotations

import contextlib
import mmap
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rslint_runtime.testing.faults import Injection

_FILE = "switches"
_OFF = b"\0"


@dataclass(frozen=True)
class Board:
    """The switches of one run, as one of its processes sees them: what happens to one is seen by all at once."""

    names: tuple[str, ...]
    states: mmap.mmap

    def is_on(self, position: int) -> bool:
        """Whether the fault at that position of the run's faults is on."""
        return self.states[position] != 0


_lock = threading.Lock()
_boards: list[Board] = []


def switch(name: str, *, on: bool) -> None:
    """Turn the faults of that name on or off, on all ranks of the run.

    In a rank it is that rank's run; in the process that called `run_ranks`, from another thread, all runs under way. A
    call that has begun is not affected. Calls that are made while a fault is off do not count for its `nth`.

    Args:
        name: a fault's `name`, or its `target` if it has none.
        on: True to turn on.

    Raises:
        LookupError: when no run is under way, or none with a fault of that name.
    """
    with _lock:
        known = sorted({other for board in _boards for other in board.names})
        if name not in known:
            told = (
                f"there are {', '.join(known)}"
                if known
                else "no run with faults is under way in this process"
            )
            raise LookupError(f"no fault to switch is named {name!r}: {told}")
        for board in _boards:
            for position, other in enumerate(board.names):
                if other == name:
                    board.states[position] = on


@contextlib.contextmanager
def opened(directory: str, injections: Sequence[Injection]) -> Iterator[None]:
    """In the caller: lay the switches out for the run that has this directory, and know them while it goes on."""
    states = bytes(injection.active for injection in injections)
    Path(directory, _FILE).write_bytes(states or _OFF)
    board = join(directory, injections)
    try:
        yield
    finally:
        with _lock:
            # By identity: boards of runs with the same faults are equal as long as they are set alike.
            _boards[:] = [other for other in _boards if other is not board]
        board.states.close()


def join(directory: str, injections: Sequence[Injection]) -> Board:
    """Map the switches that `opened` has laid out; in a rank, for as long as it lives."""
    with open(Path(directory, _FILE), "r+b") as file:
        board = Board(tuple(injection.switch_name for injection in injections), mmap.mmap(file.fileno(), 0))
    with _lock:
        _boards.append(board)
    return board

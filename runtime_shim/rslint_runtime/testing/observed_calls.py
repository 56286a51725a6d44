"""Notes which calls the files of a program make on each rank, and which calls led there."""

from __future__ import annotations

import builtins
import json
import os
import sysconfig
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from rslint_runtime.testing import call_watch
from rslint_runtime.testing.faults import Setting

_PACKAGE = str(Path(__file__).parents[1])
_INSTALLED = frozenset({"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox", "node_modules"})
# A recursion has as many ways to a call as it is deep.
_WAYS = 32
_PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")


@dataclass(frozen=True)
class ObservedCall:
    """A call that a file of the program made.

    Attributes:
        rank: on which rank.
        file: which file made it, as an absolute path.
        line: where.
        callee: `module.qualname` of what was called.
        qualname: that without the module.
        occurrence: which call of that callee on that line it was on this rank, from 1.
        own: whether the callee is no library's: its source is neither Python's own nor installed.
        receiver: the class of the object whose method it was, "" for a function.
        timed: whether it was given a timeout.
        mentions: for a function of the program, dotted names of functions elsewhere that its code names.
        chain: `file:line` of the program's calls that led here, this one first.
    """

    rank: int
    file: str
    line: int
    callee: str
    qualname: str
    occurrence: int
    own: bool
    receiver: str
    timed: bool
    mentions: tuple[str, ...]
    chain: tuple[str, ...]


@dataclass(frozen=True)
class Observation:
    """An injection that only looks: writes each rank's calls to a file of its own in `directory`.

    Args:
        directory: where to.
        roots: the program's files, and folders of them.
        occurrences: how many calls of one callee on one line are noted, on each rank and for each way there.
    """

    directory: str
    roots: tuple[str, ...]
    occurrences: int
    switch_name: str = "observation"
    active: bool = True

    def check(self, world_size: int) -> None:
        """Makes sense with any number of ranks."""

    def concerns(self, rank: int) -> bool:
        """Every rank is observed."""
        return True

    def install(self, setting: Setting) -> None:
        """Watch this thread and those that it starts."""
        own = _membership(self.roots)
        written_here = _membership((os.sep,))
        selection = _Selection(self.occurrences)
        path = Path(self.directory, f"calls.{setting.rank}")

        def look(call: call_watch.Call) -> None:
            if call.entered is not None and call.entered.f_code.co_filename.startswith("<"):
                return  # made at run time, as a dataclass's constructor: it does nothing that could fail
            chain = _chain(call.caller, own)
            with selection.lock:
                occurrence = selection.taken(call, chain)
                if occurrence:
                    noted = _noted(call, setting.rank, occurrence, chain, written_here)
                    # At once, so that what a rank did before it was killed is known.
                    with path.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(noted)) + "\n")

        # It acts by being there.
        setting.called()
        setting.fired()
        call_watch.watch(look, own)


class _Selection:
    """Which calls are noted: the first ones of every way that leads to a callee on a line."""

    def __init__(self, occurrences: int) -> None:
        self.lock = threading.Lock()
        self._occurrences = occurrences
        self._calls: Counter[tuple[str, int, str]] = Counter()
        self._ways: defaultdict[tuple[str, int, str], Counter[tuple[str, ...]]] = defaultdict(Counter)

    def taken(self, call: call_watch.Call, chain: tuple[str, ...]) -> int:
        """Which call of that callee on that line it is, from 1; 0 if it is not to be noted."""
        key = (call.file, call.line, call.callee)
        self._calls[key] += 1
        ways = self._ways[key]
        if chain not in ways and len(ways) >= _WAYS:
            return 0
        ways[chain] += 1
        return self._calls[key] if ways[chain] <= self._occurrences else 0


def read(directory: str) -> tuple[ObservedCall, ...]:
    """What all ranks noted, rank by rank, in the order in which each made the calls."""
    calls = []
    for path in sorted(Path(directory).glob("calls.*"), key=lambda path: int(path.suffix[1:])):
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            lists = {name: tuple(fields[name]) for name in ("mentions", "chain")}
            calls.append(ObservedCall(**{**fields, **lists}))
    return tuple(calls)


def project_of(file: Path) -> Path:
    """The folder of the project that a file belongs to: the nearest with a mark of one, else its own."""
    for folder in file.parents:
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return folder
    return file.parent


def _membership(roots: Iterable[str]) -> Callable[[str], bool]:
    """Whether a file is the program's: below a root, not installed, and none of ours."""
    exact = frozenset(roots)
    below = tuple(root.rstrip(os.sep) + os.sep for root in exact)
    library = (sysconfig.get_path("stdlib") + os.sep, _PACKAGE + os.sep)
    known: dict[str, bool] = {}

    def own(file: str) -> bool:
        answer = known.get(file)
        if answer is None:
            path = os.path.abspath(file)
            answer = known[file] = (
                not file.startswith("<")  # frozen, or made at run time
                and (path in exact or path.startswith(below))
                and not path.startswith(library)
                and _INSTALLED.isdisjoint(path.split(os.sep))
            )
        return answer

    return own


def _noted(
    call: call_watch.Call,
    rank: int,
    occurrence: int,
    chain: tuple[str, ...],
    written_here: Callable[[str], bool],
) -> ObservedCall:
    entered = call.entered
    own = entered is not None and written_here(entered.f_code.co_filename)
    return ObservedCall(
        rank=rank,
        file=os.path.abspath(call.file),
        line=call.line,
        callee=call.callee,
        qualname=call.qualname,
        occurrence=occurrence,
        own=own,
        receiver=_receiver(call),
        timed=entered is not None and entered.f_locals.get("timeout") is not None,
        mentions=_mentions(entered) if entered is not None and own else (),
        chain=chain,
    )


def _chain(frame: FrameType | None, own: Callable[[str], bool]) -> tuple[str, ...]:
    places: list[str] = []
    while frame is not None:
        if own(frame.f_code.co_filename):
            place = f"{os.path.abspath(frame.f_code.co_filename)}:{frame.f_lineno}"
            # A comprehension has a frame of its own.
            if place not in places[-1:]:
                places.append(place)
        frame = frame.f_back
    return tuple(places)


def _receiver(call: call_watch.Call) -> str:
    if call.entered is None:
        held = getattr(call.function, "__self__", None)
        return "" if held is None or isinstance(held, ModuleType) else type(held).__name__
    code = call.entered.f_code
    first = code.co_varnames[0] if code.co_argcount else ""
    if first not in ("self", "cls"):
        return ""
    held = call.entered.f_locals.get(first)
    return held.__name__ if isinstance(held, type) else type(held).__name__


def _mentions(entered: FrameType) -> tuple[str, ...]:
    """Functions of other modules that the code may call: it names them, or a module and an attribute of it."""
    names = entered.f_code.co_names
    reached: dict[str, Any] = {}
    for name in names:
        value = entered.f_globals.get(name, getattr(builtins, name, None))
        if value is not None:
            _reach(value, names, reached, 3)
    return tuple(sorted(reached))


def _reach(value: Any, names: tuple[str, ...], reached: dict[str, Any], depth: int) -> None:
    if isinstance(value, ModuleType):
        for name in names if depth else ():
            if name in vars(value):
                _reach(vars(value)[name], names, reached, depth - 1)
    elif callable(value) and hasattr(value, "__qualname__"):
        reached[f"{call_watch.exporter(value)}.{value.__qualname__}"] = value

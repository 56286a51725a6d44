"""What may be made to go wrong in a rank: a call that raises, hangs, kills the process or answers something else.

A fault names the call by what is called (`Client.start`), by where it is called from (`client.py:12`), or both. It
needs no change to the program under test.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, Protocol


class FaultTargetError(LookupError):
    """The target, or the type to raise, names nothing that exists in the rank, or nothing that can be replaced."""


class Unset:
    """The type of `UNSET`: no value was given, not even None."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = Unset()


@dataclass(frozen=True)
class Setting:
    """What an injection gets to know of the rank that it is put into.

    Attributes:
        program: the module of the function under test, loaded.
        rank: global rank.
        fired: to be called just before it acts.
        called: to be called when its call is met, whether it acts or not.
        is_on: whether it is switched on at present (`switch`).
    """

    program: ModuleType
    rank: int
    fired: Callable[[], None]
    called: Callable[[], None] = lambda: None
    is_on: Callable[[], bool] = lambda: True


class Injection(Protocol):
    """What `run_ranks` puts into ranks after the program is loaded and before its function is called."""

    def check(self, world_size: int) -> None:
        """ValueError if it makes no sense with that many ranks."""

    def concerns(self, rank: int) -> bool:
        """Whether it is put into that rank."""

    def install(self, setting: Setting) -> None:
        """Put it there; FaultTargetError if that is not possible."""

    @property
    def switch_name(self) -> str:
        """The name under which `switch` knows it."""

    @property
    def active(self) -> bool:
        """Whether it is on when the function is called."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a call: by default, `raises` at the first call of `target` on `rank`.

    What happens at a call that is meant, in this order: `delays`, `holds`, and then one of `raises`, `kills` and
    `returns`. With none of the five a RuntimeError is raised. Calls count for each rank by itself, over all its
    threads, and only while the fault is switched on.

    A Python function is changed in place, so a fault reaches it whatever it was imported as, also through bound
    methods, callbacks and tables that hold it. Of other functions (written in C, `functools.partial`, `lru_cache`)
    the references in loaded modules are replaced; one that is held elsewhere (a class attribute, a closure) goes on
    unharmed, and the result says that the fault never fired. A class as target means its constructor. A coroutine
    raises when it is awaited, a generator when its first item is asked for, a property when it is read. Calls that
    the harness itself makes are left alone.

    With `at`, calls are watched instead of replaced (`sys.setprofile`): that reaches methods of types written in C
    too (`target="dict.get"`), but not their constructors. Once such a fault has raised in a thread, that thread is
    watched no more, so it raises there once only. `returns` is not possible then.

    Args:
        rank: global rank on which it happens, several of them, or `"every"`.
        target: dotted name: `package.module.function`, `package.module.Class.method`, or, within the module of the
            function under test, just `function` or `Class.method`. With `at` it may be left out (any call there), and
            is compared with the end of the name under which the function is defined.
        nth: which calls, counted from 1: a number, several (`range(2, 5)`), or `"every"`. The others go through.
        raises: an exception type, an instance, a function without arguments that makes one, or the dotted name of
            a type (resolved as `target` is, builtins included).
        message: argument for the type; "" stands for a text that names the fault.
        holds: a function, or its dotted name, that is called with the call's own arguments; the call goes on when it
            comes back. It has to come back by itself, after what it waits for or after a while. For a
            coroutine it may be one too. Together with `at` it gets no arguments.
        delays: seconds that the call is late by.
        kills: a signal that the process sends to itself, SIGKILL for instance: its peers see it die.
        returns: what the caller gets instead of the call being made. For a generator, what it yields.
        until: a function, or its dotted name, that is called with the call's own arguments at each call that is meant;
            as soon as it says true, the fault is over on this rank.
        at: `"file.py:12"`: only calls made from that line, in the file whose path ends so.
        name: for `switch`; `target` if it is "".
        active: False for a fault that does nothing until it is switched on.

    Raises:
        ValueError: for what contradicts itself, with one line that says so.
    """

    rank: int | Collection[int] | Literal["every"]
    target: str = ""
    nth: int | Collection[int] | Literal["every"] = 1
    raises: type[BaseException] | BaseException | Callable[[], BaseException] | str | None = None
    message: str = ""
    holds: Callable[..., object] | str | None = None
    delays: float = field(default=0.0, kw_only=True)
    kills: int | None = field(default=None, kw_only=True)
    returns: Any = field(default=UNSET, kw_only=True)
    until: Callable[..., object] | str | None = field(default=None, kw_only=True)
    at: str = field(default="", kw_only=True)
    name: str = field(default="", kw_only=True)
    active: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        problem = _contradiction(self)
        if problem:
            raise ValueError(f"fault on {self.target or self.at!r}: {problem}")

    def check(self, world_size: int) -> None:
        """ValueError if it concerns a rank that does not exist."""
        for rank in () if self.rank == "every" else _numbers(self.rank):
            if rank >= world_size:
                raise ValueError(
                    f"fault on {self.target!r}: rank {rank} does not exist with world_size={world_size}"
                )

    def concerns(self, rank: int) -> bool:
        """Whether it may happen on that rank."""
        return self.rank == "every" or rank in _numbers(self.rank)

    def meant(self, call: int) -> bool:
        """Whether it happens at the call of that number."""
        return self.nth == "every" or call in _numbers(self.nth)

    def install(self, setting: Setting) -> None:
        """Put it into this rank; FaultTargetError when target, exception type or function cannot be found."""
        from rslint_runtime.testing.fault_calls import install

        install(self, setting)

    @property
    def switch_name(self) -> str:
        return self.name or self.target or self.at

    def which(self) -> str:
        """Which calls are meant, in words."""
        calls = "every call" if self.nth == "every" else f"call {_listed(self.nth)}"
        return (
            f"{calls}{f' of {self.target}' if self.target else ''}{f' made at {self.at}' if self.at else ''}"
        )

    def __str__(self) -> str:
        deeds = [f"delay by {self.delays:g} s"] if self.delays else []
        deeds += ["hold back"] if self.holds is not None else []
        if self.kills is not None:
            deeds.append(f"kill with {signal.Signals(self.kills).name}")
        elif not isinstance(self.returns, Unset):
            deeds.append("answer")
        elif self.raises is not None or not deeds:
            deeds.append(f"raise {_exception_name(self.raises)}")
        ranks = "every rank" if self.rank == "every" else f"rank {_listed(self.rank)}"
        return f"{' and '.join(deeds)} at {self.which()} on {ranks}"


def _contradiction(fault: Fault) -> str:
    """What makes no sense about it, "" if nothing."""
    if fault.rank != "every" and not _all_from(0, fault.rank):
        return f"rank counts from 0, nth from 1; not rank={fault.rank!r}"
    if fault.nth != "every" and not _all_from(1, fault.nth):
        return f"rank counts from 0, nth from 1; not nth={fault.nth!r}"
    if not isinstance(fault.delays, (int, float)) or not 0 <= fault.delays < math.inf:
        return f"delays={fault.delays!r}: seconds, not below 0"
    if fault.kills is not None and fault.kills not in signal.valid_signals():
        return f"kills={fault.kills!r} is no signal"
    answers = not isinstance(fault.returns, Unset)
    if (fault.raises is not None) + (fault.kills is not None) + answers > 1:
        return "one of raises, kills and returns, not several: a call ends in one way"
    if isinstance(fault.raises, type) and not issubclass(fault.raises, BaseException):
        return f"raises={fault.raises.__name__} is no exception"
    if not isinstance(fault.target, str) or not isinstance(fault.at, str):
        return f"the call is named by text, not by target={fault.target!r}, at={fault.at!r}"
    if not fault.at:
        return "" if fault.target else 'it needs a target, or a place: at="file.py:12"'
    file, _, line = fault.at.rpartition(":")
    if not file or not line.isdecimal():
        return f'at={fault.at!r}: a place is "file.py:12"'
    return "returns needs a target that can be replaced, so it cannot go with at" if answers else ""


def _numbers(given: int | Collection[int]) -> Collection[int]:
    return (given,) if isinstance(given, int) else given


def _all_from(lowest: int, given: Any) -> bool:
    if isinstance(given, (str, bool)) or not isinstance(given, (int, Collection)):
        return False
    numbers = _numbers(given)
    if isinstance(numbers, range):
        return bool(numbers) and min(numbers) >= lowest
    return bool(numbers) and all(type(number) is int and number >= lowest for number in numbers)


def _listed(given: int | Collection[int]) -> str:
    numbers = _numbers(given)
    if isinstance(numbers, range) and len(numbers) > 3:
        return f"{numbers[0]} to {numbers[-1]}" if numbers.step == 1 else str(numbers)
    return ", ".join(str(number) for number in numbers)


def _exception_name(raises: Any) -> str:
    if raises is None:
        return "RuntimeError"
    if isinstance(raises, str):
        return raises
    if isinstance(raises, BaseException):
        return type(raises).__name__
    return getattr(raises, "__name__", str(raises))

"""What is explored and what comes of it: a scenario, a run that goes wrong, and the short text that repeats it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

Choice = tuple[int, str]
"""A decision that is not the natural one: the step before which it is made, and what it is. Of tasks "ends: update #4"
or "cancels: update", of threads the name of the one that goes on."""

Finding = tuple[str, str]
"""The kind of a violation, and its message."""


@dataclass(frozen=True)
class Scenario:
    """One fresh start, of tasks or of threads.

    `tasks` are coroutines by name, in the order in which they arrive; `threads` are functions without arguments by
    name. `check` must hold after every step (a text says what is wrong, None that all is well), `at_end` when all have
    ended; both only look, and wait for nothing. Tasks in `cancellable` may be cancelled from outside.
    """

    tasks: Mapping[str, Coroutine[Any, Any, Any]] = field(default_factory=dict)
    check: Callable[[], str | None] | None = None
    at_end: Callable[[], str | None] | None = None
    cancellable: tuple[str, ...] = ()
    threads: Mapping[str, Callable[[], Any]] = field(default_factory=dict)


def checked(made: object) -> Scenario:
    """What a scenario function has returned, its coroutines closed; TypeError or ValueError if it cannot be run."""
    if not isinstance(made, Scenario):
        raise TypeError(
            f"the scenario function returned a {type(made).__name__}, no Scenario(tasks=… or threads=…)"
        )
    for task in made.tasks.values():
        if isinstance(task, Coroutine):
            task.close()
    for name, task in made.tasks.items():
        if not isinstance(task, Coroutine):
            remedy = f": call it, {name!r}: {task.__name__}()" if inspect.iscoroutinefunction(task) else ""
            raise TypeError(f"tasks: {name!r} is a {type(task).__name__}, no coroutine{remedy}")
    for name, thread in made.threads.items():
        if not callable(thread):
            raise TypeError(f"threads: {name!r} is a {type(thread).__name__}, no function without arguments")
    if unknown := [name for name in made.cancellable if name not in made.tasks]:
        raise ValueError(
            f"cancellable: there is no task {unknown[0]!r}; tasks are {', '.join(made.tasks) or 'none'}"
        )
    if bool(made.tasks) == bool(made.threads):
        raise ValueError(
            "a scenario has tasks (coroutines) or threads (functions): one of both, and at least one"
        )
    return made


@dataclass(frozen=True)
class Violation:
    """`kind`: "invariant", "deadlock", "error" or "endless". `choices` are the decisions that lead to it: all that
    `replay` needs. `steps` is the run in words."""

    kind: str
    message: str
    choices: tuple[Choice, ...]
    steps: tuple[str, ...]

    @property
    def seed(self) -> str:
        """The choices as one line of text, for `replay`."""
        return seed_of(self.choices)

    def report(self) -> str:
        """The run, one step a line, what went wrong at its end, and the seed that makes it again."""
        lines = [f"{number:>4}  {step}" for number, step in enumerate(self.steps)]
        return "\n".join([*lines, f"{self.kind}: {self.message}", f'seed: "{self.seed}"'])


@dataclass(frozen=True)
class Further:
    """A choice that a run could have made as well: it costs `cost` preemptions more, and matters if one of `keys` is
    shared; if there are none, it does."""

    choice: Choice
    cost: int = 1
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """One run that was made. `accesses` are (thread, key, whether it writes); `missed` is a choice that was not
    there."""

    finding: Finding | None
    steps: Callable[[], tuple[str, ...]]
    missed: str | None
    further: Sequence[Further]
    accesses: Collection[tuple[str, str, bool]] = ()


@dataclass(frozen=True)
class Exploration:
    """`runs` were made; `complete` tells whether these are all that the bound allows."""

    runs: int
    complete: bool
    violation: Violation | None = None

    def report(self) -> str:
        """What was found, in words."""
        if self.violation is not None:
            return f"found in run {self.runs}:\n{self.violation.report()}"
        return f"{self.runs} runs, no violation" + ("" if self.complete else " (there are more runs)")


def seed_of(choices: tuple[Choice, ...]) -> str:
    """Choices as text: `17:b 42:a`; "natural" where there are none."""
    return " ".join(f"{step}:{quote(what, safe='#')}" for step, what in choices) or "natural"


def choices_of(seed: str) -> tuple[Choice, ...]:
    """The choices that a seed stands for. Raises ValueError for a text that is no seed."""
    found: list[Choice] = []
    for one in seed.split() if seed.strip() != "natural" else ():
        step, colon, what = one.partition(":")
        if not (colon and step.isascii() and step.isdigit() and what):
            raise ValueError(
                f"`{seed}` is no seed: `{one}` is not of the form `17:name` (see Violation.seed)"
            )
        found.append((int(step), unquote(what)))
    return tuple(found)

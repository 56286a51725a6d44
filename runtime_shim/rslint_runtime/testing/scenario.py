"""What is explored and what comes of it: a scenario, a run that goes wrong, and the short text that repeats it."""

from __future__ import annotations

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

"""Which `except` clause stops which exception: class hierarchies by name, nothing is imported.

A label names a class: what is raised is an instance of it or of a subclass. So "Exception" means that
anything may be raised; `except Exception`, `except BaseException` and a bare `except` stop it for sure, a
narrower clause maybe. A label that no table knows is taken for a direct subclass of `Exception` of which
nothing else is known.

The standard library's classes are in `rslint.flow.standard_exceptions`; those of others come with the models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from rslint.flow.standard_exceptions import ALIASES, ALIASES_SINCE_3_11, BASES
from rslint.project import ir
from rslint.project.text import dotted

Answer = Literal["yes", "maybe", "no"]
_ANYTHING = ("Exception", "BaseException")


def as_written(name: str) -> str:
    return name


def catches(
    handler_types: ir.Expr | None,
    exception: str,
    bases: Mapping[str, tuple[str, ...]],
    resolve: Callable[[str], str] = as_written,
) -> Answer:
    """Does `except handler_types:` stop what the label `exception` stands for?

    `bases` gives the direct bases of exceptions outside the standard library, by dotted name; `resolve` turns
    a dotted name as written into that of the class. A name is looked up whole, then by its last part (`except
    RequestException`, `requests.RequestException`). The answer is "maybe" where the handler's expression is
    computed or unknown, the exception is unknown, the handler names a subclass of the label, or the version
    of Python decides.
    """
    if handler_types is None:
        return "yes"
    names = alternatives(handler_types)
    return stops([None if name is None else resolve(name) for name in names], exception, bases)


def alternatives(handler_types: ir.Expr) -> tuple[str | None, ...]:
    """The dotted names, as written, of the classes that a handler stops; None for a computed one."""
    if isinstance(handler_types, ir.Collection) and handler_types.kind == "tuple":
        return tuple(name for item in handler_types.items for name in alternatives(item))
    if isinstance(handler_types, ir.BinOp) and handler_types.operator == "+":
        return (*alternatives(handler_types.left), *alternatives(handler_types.right))
    return (dotted(handler_types),)


def stops(handlers: Sequence[str | None], exception: str, bases: Mapping[str, tuple[str, ...]]) -> Answer:
    """`catches` for a handler of these classes, None for one that is not known.

    A project's own class is named by its ClassId, "module:Class": no library raises it, so it does not stop a
    label of a library, be it a base of the class. Only "Exception" and "BaseException" may be anything.
    """
    found = {"maybe" if handler is None else _stops(handler, exception, bases) for handler in handlers}
    return "yes" if "yes" in found else "maybe" if "maybe" in found else "no"


def _stops(handler: str, exception: str, bases: Mapping[str, tuple[str, ...]]) -> Answer:
    """One answer for all that the names may stand for, in every version of Python."""
    answers: set[Answer] = set()
    for classes in (_Classes(bases, ALIASES), _Classes(bases, {**ALIASES, **ALIASES_SINCE_3_11})):
        for known in classes.named(handler):
            answers.update(classes.stops(known, label) for label in classes.named(exception))
    return answers.pop() if len(answers) == 1 else "maybe"


def ancestors(exception: str, bases: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The exception, as the tables spell it, and all its base classes; what is unknown derives from
    `Exception`."""
    return _Classes(bases, ALIASES).ancestors(exception)


def is_one_of(handler: str, kinds: frozenset[str], bases: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a class, as it is named by a handler, is one of these or derives from one."""
    classes = _Classes(bases, ALIASES)
    return ":" not in handler and any(
        not classes.ancestors(known).isdisjoint(kinds) for known in classes.named(handler)
    )


@dataclass(frozen=True)
class _Classes:
    """The classes known by name, in one version of Python."""

    bases: Mapping[str, tuple[str, ...]]
    aliases: Mapping[str, str]

    def canonical(self, name: str) -> str:
        name = name.removeprefix("builtins.")
        return self.aliases.get(name, name)

    def bases_of(self, name: str) -> tuple[str, ...] | None:
        return self.bases[name] if name in self.bases else BASES.get(name)

    def ancestors(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [self.canonical(name)]
        while waiting:
            current = waiting.pop()
            if current not in found:
                found.add(current)
                above = self.bases_of(current)
                waiting += map(self.spelled, ("Exception",) if above is None else above)
        return frozenset(found)

    def spelled(self, name: str) -> str:
        """The name under which the tables have the class, if just one has it."""
        found = self.named(name)
        return found[0] if len(found) == 1 else self.canonical(name)

    def named(self, name: str) -> tuple[str, ...]:
        """The classes that a name may stand for; the name itself where the tables have none."""
        name = self.canonical(name)
        if ":" in name or self.bases_of(name) is not None:
            return (name,)
        first, _, _ = name.partition(".")
        ending = "." + name.rpartition(".")[2]
        found = {
            self.canonical(known)
            for known in chain(self.bases, BASES, self.aliases)
            if known.endswith(ending) and ("." not in name or known.partition(".")[0] == first)
        }
        return tuple(sorted(found)) or (name,)

    def stops(self, handler: str, exception: str) -> Answer:
        above = self.ancestors(exception)
        if handler in above:
            return "yes"
        if any(self.bases_of(name) is None for name in above):
            return "maybe"
        if ":" in handler and ":" not in exception and exception not in _ANYTHING:
            return "no"
        below = self.ancestors(handler)
        return "maybe" if exception in below or any(self.bases_of(name) is None for name in below) else "no"

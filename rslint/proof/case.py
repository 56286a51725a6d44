"""Reads a case: a folder with bug.py, perhaps fixed.py, and case.toml, which says how the bug is shown.

docs/fixtures.md describes the format for users.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUG, FIXED = "bug.py", "fixed.py"
MOST_RANKS = 128
_ENTRY = re.compile(r"[^:]+\.py:[A-Za-z_]\w*$")
ApplicabilityName = Literal["safe", "unsafe", "display", "none"]


class CaseError(Exception):
    """A case that cannot be read; one line with the file, what is wrong, and the remedy."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of case.toml: an unknown key is an error."""


class StatedFault(_Table, frozen=True):
    """A fault as `rslint_runtime.testing.Fault` takes it, with names instead of functions, types and signals."""

    rank: int | tuple[int, ...] | Literal["every"]
    target: str = ""
    nth: int | tuple[int, ...] | Literal["every"] | msgspec.UnsetType = msgspec.UNSET
    raises: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET
    holds: str | msgspec.UnsetType = msgspec.UNSET
    delays: float | msgspec.UnsetType = msgspec.UNSET
    kills: str | msgspec.UnsetType = msgspec.UNSET
    returns: Any = msgspec.UNSET
    until: str | msgspec.UnsetType = msgspec.UNSET
    at: str | msgspec.UnsetType = msgspec.UNSET

    def given(self) -> dict[str, Any]:
        """What the case states of it."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in named.items() if value is not msgspec.UNSET and value != ""}

    @property
    def deed(self) -> str:
        """What it does: "raises" where nothing is stated."""
        return next(
            (name for name in ("raises", "holds", "delays", "kills", "returns") if name in self.given()),
            "raises",
        )


class Run(_Table, frozen=True):
    """`[[run]]`: a program on gloo ranks. `entry` is `file.py:function` where it is not `main` of the program; it is
    then called with the name of the program's module too. "ended" is "completed" or "failed": no rank waits."""

    kind: ClassVar[str] = "run"
    file: str
    outcome: Literal["completed", "failed", "ended", "deadlock", "mismatch", "peer_died", "timeout"]
    faults: tuple[StatedFault, ...] = ()
    entry: str = ""
    world_sizes: tuple[int, ...] = ()
    results: Literal["", "one answer"] = ""
    raises: str = ""
    astray: int | None = None
    timeout: float = 20.0

    def shows_a_failure(self) -> bool:
        """Whether ranks wait for ever, segments go astray, or a rank ends by what nobody has injected."""
        deeds = {fault.deed for fault in self.faults}
        ended = self.outcome in ("completed", "ended") or (self.outcome == "failed" and "raises" in deeds)
        ended = ended or (self.outcome == "peer_died" and "kills" in deeds)
        return not ended or bool(self.astray) or bool(self.raises)

    def conditions(self) -> tuple[object, ...]:
        return (self.kind, self.faults, self.entry, self.world_sizes)


class Explored(_Table, frozen=True):
    """`[[explore]]`: every order of tasks or threads that so many surprises can bring about. `scenario` is
    `file.py:function`; the function takes the program's module and returns a `Scenario`."""

    kind: ClassVar[str] = "explore"
    file: str
    scenario: str
    outcome: Literal["completed", "invariant", "deadlock", "error", "endless"]
    preemptions: int = 2

    def shows_a_failure(self) -> bool:
        return self.outcome != "completed"

    def conditions(self) -> tuple[object, ...]:
        return (self.kind, self.scenario, self.preemptions)


class Ordered(_Table, frozen=True):
    """`[[weak_memory]]`: writer and readers as the cores of a CPU with a weak memory model. "wrong": with some seed a
    reader gets other messages than were sent, or none; "right": with no seed. `cores` is `file.py:function` where the
    program has not `SIZE`, `produce`, `consume` and `message`."""

    kind: ClassVar[str] = "weak_memory"
    file: str
    outcome: Literal["right", "wrong"]
    cores: str = ""
    messages: int = 40
    seeds: int = 0

    def shows_a_failure(self) -> bool:
        return self.outcome == "wrong"

    def conditions(self) -> tuple[object, ...]:
        return (self.kind, self.cores)


class Checked(_Table, frozen=True):
    """`[[check]]`: what rslint reports. `program = "unchanged"` says that its syntax tree is that of bug.py."""

    kind: ClassVar[str] = "check"
    file: str
    findings: tuple[str, ...]
    program: Literal["", "unchanged"] = ""

    def shows_a_failure(self) -> bool:
        return bool(self.findings)

    def conditions(self) -> tuple[object, ...]:
        return (self.kind,)


Demonstration = Run | Explored | Ordered | Checked


class StatedFix(_Table, frozen=True):
    """`[fix]`: which fix rslint offers and why. `settings` are keys of `[tool.rslint]` that it is made with."""

    applicability: ApplicabilityName
    reason: str = ""
    settings: dict[str, Any] = {}  # msgspec copies it


class _CaseFile(_Table, frozen=True):
    code: str
    reason: str = ""
    world_sizes: tuple[int, ...] = (2,)
    fix: StatedFix | None = None
    run: tuple[Run, ...] = ()
    explore: tuple[Explored, ...] = ()
    weak_memory: tuple[Ordered, ...] = ()
    check: tuple[Checked, ...] = ()


@dataclass(frozen=True)
class Case:
    """One case. `fix` is None where case.toml does not say which fix is offered."""

    folder: Path
    code: str
    reason: str
    world_sizes: tuple[int, ...]
    fix: StatedFix | None
    demonstrations: tuple[Demonstration, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    def of(self, file: str) -> tuple[Demonstration, ...]:
        """The demonstrations of one of its programs."""
        return tuple(one for one in self.demonstrations if one.file == file)


def read_case(folder: Path) -> Case:
    """The case in a folder. Raises CaseError."""
    path = folder / "case.toml"
    try:
        stated = msgspec.convert(tomllib.loads(path.read_bytes().decode("utf-8")), _CaseFile)
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CaseError(f"{path}: broken TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise CaseError(f"{path}: {error}; docs/fixtures.md has the keys of a case") from None
    demonstrations: tuple[Demonstration, ...] = (
        *stated.run, *stated.explore, *stated.weak_memory, *stated.check,
    )  # fmt: skip
    for problem in (
        *_problems(stated.world_sizes),
        *(each for one in demonstrations for each in _wrong(one, folder)),
    ):
        raise CaseError(f"{path}: {problem}")
    return Case(folder, stated.code, stated.reason, stated.world_sizes, stated.fix, demonstrations)


def _problems(world_sizes: tuple[int, ...]) -> Iterator[str]:
    if not world_sizes or not all(1 <= size <= MOST_RANKS for size in world_sizes):
        yield f"world_sizes: 1 to {MOST_RANKS} ranks fit on one machine; write for example [2, 3]"


def _wrong(one: Demonstration, folder: Path) -> Iterator[str]:
    """What the form of a table cannot say."""
    # fixed.py need not be written: it is what the fix makes.
    if one.file != FIXED and not (Path(one.file).name == one.file and (folder / one.file).is_file()):
        yield f"[[{one.kind}]]: there is no {one.file} beside it"
    for entry in (getattr(one, key, "") for key in ("entry", "scenario", "cores")):
        if entry and not _ENTRY.match(entry):
            yield f"[[{one.kind}]]: {entry!r} names no function; write it as file.py:function"
    if isinstance(one, Run) and one.world_sizes:
        yield from _problems(one.world_sizes)

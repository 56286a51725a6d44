"""Carries out the demonstrations of a case, each in the part of the harness that it is written for."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import itertools
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rslint.proof.case import BUG, Case, Checked, Demonstration, Explored, Ordered, Run, StatedFault
from rslint.proof.fixing import findings_of, unmarked

if TYPE_CHECKING:
    from rslint_runtime.testing import RunResult

SEEDS_TO_FAIL = 200  # some programs write only once: one chance a seed
SEEDS_TO_HOLD = 20
_numbers = itertools.count()


@dataclass(frozen=True)
class Shown:
    """What one demonstration came to. `under` says under which conditions, `expected` and `found` how it ended, in the
    words of case.toml; `detail` is the harness's own report where it did not end as stated. `shows_failure` says that
    it is there to show a program that fails."""

    kind: str
    file: str
    under: str
    expected: str
    found: str
    as_stated: bool
    seconds: float
    detail: str = ""
    shows_failure: bool = False


def demonstrate(case: Case, one: Demonstration, folder: Path) -> Iterator[Shown]:
    """Carry out one demonstration with the programs in `folder`, on each number of ranks that it is stated for."""
    if isinstance(one, Run):
        for world_size in one.world_sizes or case.world_sizes:
            yield _timed(partial(_run, one, world_size, folder), one)
    elif isinstance(one, Explored):
        yield _timed(partial(_explored, one, folder), one)
    elif isinstance(one, Ordered):
        yield _timed(partial(_ordered, one, folder), one)
    else:
        yield _timed(partial(_checked, one, folder), one)


def _timed(carry_out: Callable[[], Shown], one: Demonstration) -> Shown:
    """The result with its seconds. What a program says on the way is not for the reader of the table."""
    began = time.monotonic()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            shown = carry_out()
    except Exception as error:  # whatever a program or an entry point raises belongs into its row
        found = f"{type(error).__name__}: {error}".splitlines()[0]
        shown = Shown(
            one.kind, one.file, "", one_word(one), found, False, 0.0, f"{type(error).__name__}: {error}"
        )
    seconds = round(time.monotonic() - began, 3)
    return replace(shown, seconds=seconds, shows_failure=one.shows_a_failure())


def one_word(one: Demonstration) -> str:
    """How a demonstration is stated to end, in one word or two."""
    return ", ".join(one.findings) or "no findings" if isinstance(one, Checked) else one.outcome


# Ranks -----------------------------------------------------------------------------------------------------


def _run(one: Run, world_size: int, folder: Path) -> Shown:
    from rslint_runtime.testing import Fault, run_ranks

    entry = folder / one.entry if one.entry else f"{folder / one.file}:main"
    args = (Path(one.file).stem,) if one.entry else ()
    faults = [Fault(**_arguments(fault)) for fault in one.faults]
    result = run_ranks(str(entry), world_size, faults=faults, args=args, timeout=one.timeout)
    problems = [
        *_other_than_stated(one, result),
        *(_never_called(one.faults[at]) for at in result.unfired),
    ]
    found = "; ".join([_as_found(one, result), *problems])
    under = ", ".join([f"{world_size} ranks" if world_size > 1 else "1 rank", *map(_in_words, one.faults)])
    detail = result.report() if problems else ""
    return Shown(one.kind, one.file, under, _as_expected(one), found, not problems, 0.0, detail)


def _arguments(fault: StatedFault) -> dict[str, Any]:
    """A fault's arguments, with a signal for its name."""
    given = fault.given()
    return given | ({"kills": signal.Signals[given["kills"]]} if "kills" in given else {})


def _in_words(fault: StatedFault) -> str:
    """`Client.get raises OSError on rank 0 (nth = 2)`."""
    given = fault.given()
    done = f"{fault.deed} {given.pop(fault.deed, 'RuntimeError')}"
    rank = given.pop("rank")
    where = "on every rank" if rank == "every" else f"on rank {rank}"
    rest = ", ".join(f"{name} = {value}" for name, value in given.items() if name != "target" and value != 1)
    return f"{fault.target} {done} {where}" + (f" ({rest})" if rest else "")


def _never_called(fault: StatedFault) -> str:
    nth = fault.given().get("nth", 1)
    return f"{fault.target} was never called" + (f" (nth = {nth})" if nth != 1 else "")


def _as_expected(one: Run) -> str:
    extras = [one.raises, one.results, _segments(one.astray) if one.astray is not None else ""]
    return "; ".join(filter(None, [one.outcome, *extras]))


def _as_found(one: Run, result: RunResult) -> str:
    raised = sorted({error.type_name for error in result.errors.values()})
    astray = _segments(_astray(result)) if one.astray is not None else ""
    return "; ".join(filter(None, [result.outcome, ", ".join(raised), astray]))


def _segments(number: int) -> str:
    return f"{number} {'segment' if number == 1 else 'segments'} astray"


def _astray(result: RunResult) -> int:
    """How many names of segments the ranks' `main` returned; -1 where one returned something else."""
    answers = list(result.results.values())
    return sum(map(len, answers)) if all(isinstance(names, Sequence) for names in answers) else -1


def _other_than_stated(one: Run, result: RunResult) -> Iterator[str]:
    if result.outcome not in (("completed", "failed") if one.outcome == "ended" else (one.outcome,)):
        yield f"not {one.outcome}"
    if one.raises and not any(error.is_a(one.raises) for error in result.errors.values()):
        yield f"nobody raised {one.raises}"
    if one.astray is not None and _astray(result) != one.astray:
        yield f"not {_segments(one.astray)}"
    if one.results and len({repr(answer) for answer in result.results.values()}) != 1:
        yield "the ranks do not have one answer"


# In this process -------------------------------------------------------------------------------------------


def load(path: Path, text: str | None = None) -> ModuleType:
    """A program as a module of its own; with other source, where that is given."""
    name = f"program_{next(_numbers)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        source = path.read_text("utf-8") if text is None else text
        exec(compile(source, str(path), "exec"), module.__dict__)
    finally:
        del sys.modules[name]
    return module


def function_at(entry: str, folder: Path) -> Callable[..., Any]:
    """The function that `file.py:function` names. Raises LookupError."""
    file, _, name = entry.partition(":")
    path = folder / file
    found = getattr(load(path), name, None) if path.is_file() else None
    if not callable(found):
        raise LookupError(f"{entry!r} names no function; write it as file.py:function")
    function: Callable[..., Any] = found
    return function


def _explored(one: Explored, folder: Path) -> Shown:
    from rslint_runtime.testing import explore

    program, scenario = load(folder / one.file), function_at(one.scenario, folder)
    result = explore(partial(scenario, program), preemptions=one.preemptions)
    if result.violation is not None:
        found = result.violation.kind
    else:
        found = "completed" if result.complete else f"not all runs were made: {result.runs}"
    as_stated = found == one.outcome
    under = f"{one.scenario.partition(':')[2]}, at most {one.preemptions} surprises"
    detail = "" if as_stated else result.report()
    return Shown(one.kind, one.file, under, one.outcome, found, as_stated, 0.0, detail)


def _ordered(one: Ordered, folder: Path) -> Shown:
    from rslint.proof.cores import under_weak_memory

    seeds = range(one.seeds or (SEEDS_TO_FAIL if one.outcome == "wrong" else SEEDS_TO_HOLD))
    cores = function_at(one.cores, folder) if one.cores else None
    program = load(folder / one.file)
    wrong = next(
        (
            (seed, outcome)
            for seed in seeds
            if (outcome := under_weak_memory(program, seed, one.messages, cores)) != "right"
        ),
        None,
    )
    found = "right" if wrong is None else "wrong"
    which = f"{len(seeds)} seeds" if wrong is None else f"seed {wrong[0]}: {wrong[1]}"
    under = f"{one.messages} messages, {which}"
    return Shown(one.kind, one.file, under, one.outcome, found, found == one.outcome, 0.0)


def _checked(one: Checked, folder: Path) -> Shown:
    with tempfile.TemporaryDirectory(prefix="rslint-prove-") as alone:
        subject = Path(shutil.copy(folder / one.file, Path(alone).resolve()))
        subject.write_bytes(unmarked(subject.read_bytes()))
        found = tuple(sorted(finding.code for finding in findings_of(subject)))
    words = ", ".join(found) or "no findings"
    as_stated = found == tuple(sorted(one.findings))
    if one.program == "unchanged":
        same = _tree(folder / one.file) == _tree(folder / BUG)
        words += "; the same program" if same else "; another program"
        as_stated = as_stated and same
    return Shown(one.kind, one.file, "rslint check", one_word(one), words, as_stated, 0.0)


def _tree(path: Path) -> str:
    return ast.dump(ast.parse(path.read_bytes()))

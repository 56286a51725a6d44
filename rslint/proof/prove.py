"""Proves the fixes of cases: the bug shown, the fix made, the fixed program run under the same conditions."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from rslint.proof.case import BUG, FIXED, Case, Checked, Demonstration, Explored, Ordered, Run
from rslint.proof.demonstrate import Shown, demonstrate
from rslint.proof.fixing import Fixing, fix_of

Verdict = Literal["proven", "shown", "unproven"]


@dataclass(frozen=True)
class Proof:
    """One case. `verdict`: "proven" (all three parts hold), "shown" (the bug is shown, and no fix is offered) or
    "unproven"; `problem` then says why, in one line."""

    case: Case
    bug: tuple[Shown, ...]
    fix: Fixing
    fixed: tuple[Shown, ...]
    verdict: Verdict
    problem: str


def prove(case: Case) -> Proof:
    """Prove one case. The programs run from a copy of its folder, where fixed.py is what the fix made."""
    fix = fix_of(case)
    with copied(case.folder, fix.program) as folder:
        bug = tuple(shown for one in case.of(BUG) for shown in demonstrate(case, one, folder))
        after = after_the_fix(case) if fix.program is not None else ()
        fixed = tuple(shown for one in after for shown in demonstrate(case, one, folder))
    problem = _problem(case, bug, fix, fixed)
    verdict: Verdict = "unproven" if problem else "proven" if fix.program is not None else "shown"
    return Proof(case, bug, fix, fixed, verdict, problem)


def after_the_fix(case: Case) -> tuple[Demonstration, ...]:
    """What the fixed program is put through: what case.toml states for it, and the conditions under which the bug was
    shown, where nothing is stated for them."""
    stated = case.of(FIXED)
    known = [one.conditions() for one in stated]
    return (*stated, *(_repaired(one) for one in case.of(BUG) if one.conditions() not in known))


def _repaired(one: Demonstration) -> Demonstration:
    """How the fixed program is to end under the conditions of a demonstration of the bug."""
    if isinstance(one, Run):
        if not one.shows_a_failure():
            return msgspec.structs.replace(one, file=FIXED)
        astray = None if one.astray is None else 0
        deeds = {fault.deed for fault in one.faults}
        outcome = "peer_died" if "kills" in deeds else "ended" if "raises" in deeds else "completed"
        return msgspec.structs.replace(one, file=FIXED, outcome=outcome, raises="", astray=astray)
    if isinstance(one, Explored):
        return msgspec.structs.replace(one, file=FIXED, outcome="completed")
    if isinstance(one, Ordered):
        return msgspec.structs.replace(one, file=FIXED, outcome="right", seeds=0)
    return Checked(file=FIXED, findings=(), program=one.program)


def _problem(case: Case, bug: Sequence[Shown], fix: Fixing, fixed: Sequence[Shown]) -> str:
    """Why the case is not proven; "" when it is."""
    if not any(one.shows_a_failure() for one in case.of(BUG)):
        return "case.toml states no demonstration in which bug.py fails"
    for shown in (*bug, *fixed):
        if not shown.as_stated:
            return (
                f"{shown.file} ({shown.under or shown.kind}): expected {shown.expected}, found {shown.found}"
            )
    if not fix.is_well:
        return f"the fix: {fix.state}" + (f": {fix.diff.strip()}" if fix.program is None else "")
    return ""


@contextmanager
def copied(folder: Path, program: bytes | None = None) -> Iterator[Path]:
    """A copy of a case's folder, in which fixed.py is that program where one is given."""
    with tempfile.TemporaryDirectory(prefix="rslint-prove-") as temporary:
        copy = Path(temporary).resolve() / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if program is not None:
            (copy / FIXED).write_bytes(program)
        yield copy


def prove_all(cases: Sequence[Case], jobs: int | None, done: Callable[[Proof], None]) -> list[Proof]:
    """Prove cases in several processes; `done` hears of each as it comes. In the order of the cases."""
    workers = min(jobs or os.cpu_count() or 1, len(cases))
    if workers == 1:
        return [_told(prove(case), done) for case in cases]
    proofs: dict[Path, Proof] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            for future in as_completed([pool.submit(prove, case) for case in _longest_first(cases)]):
                proof = _told(future.result(), done)
                proofs[proof.case.folder] = proof
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [proofs[case.folder] for case in cases]


def _told(proof: Proof, done: Callable[[Proof], None]) -> Proof:
    done(proof)
    return proof


def _longest_first(cases: Sequence[Case]) -> list[Case]:
    """What explores or is made of many runs first, so that no long case is left alone at the end."""
    return sorted(
        cases,
        key=lambda case: (
            -sum(4 if isinstance(one, (Explored, Ordered)) else 1 for one in case.demonstrations)
        ),
    )

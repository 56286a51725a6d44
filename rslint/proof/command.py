"""`rslint prove`: what it runs, shows, and ends with."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from rslint.project.config import ConfigError
from rslint.proof.case import Case, Checked, Demonstration, Explored, Run
from rslint.proof.find import cases_for, is_code
from rslint.proof.prove import Proof, prove_all
from rslint.proof.report import as_json, table
from rslint.report.paint import paint_for
from rslint.report.progress import Progress

PROVEN, UNPROVEN = 0, 1


def prove(options: argparse.Namespace) -> int:
    """Prove the cases that the options name: 0 all hold, 1 something is unproven. Raises ConfigError (2)."""
    codes = [text for text in options.what if is_code(text)]
    cases = cases_for(codes, [Path(text) for text in options.what if not is_code(text)])
    _check_installed(cases)
    with Progress() as progress:
        finished: list[Proof] = []

        def done(proof: Proof) -> None:
            finished.append(proof)
            names = f"{proof.case.code} {proof.case.name}"
            progress(f"proving: {len(finished)} of {len(cases)}, {names}", len(finished))

        proofs = prove_all(cases, options.jobs, done)
    if options.output_format == "json":
        sys.stdout.write(as_json(proofs))
    else:
        diffs = options.diff or any(proof.fix.state == "no golden file" for proof in proofs)
        sys.stdout.write(table(proofs, paint_for(sys.stdout), diffs=diffs))
    return UNPROVEN if any(proof.verdict == "unproven" for proof in proofs) else PROVEN


def _check_installed(cases: Sequence[Case]) -> None:
    """One line with the command that installs what is missing."""
    needed = sorted({name for case in cases for one in case.demonstrations for name in _needed(one)})
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        # The extra says which versions of torch the harness knows; the newest may be none of them.
        runtime = "'rslint-runtime[torch]'" if "torch" in missing else "rslint-runtime"
        ours = [runtime] if {"torch", "rslint_runtime"} & {*missing} else []
        names = " ".join([*ours, *(name for name in missing if name not in ("torch", "rslint_runtime"))])
        raise ConfigError(
            f"the proofs run the programs, which needs {', '.join(missing)}: pip install {names}"
        )


def _needed(one: Demonstration) -> tuple[str, ...]:
    if isinstance(one, Checked):
        return ()
    if isinstance(one, Run):
        return ("rslint_runtime", "torch")
    return ("rslint_runtime",) if isinstance(one, Explored) else ("numpy", "rslint_runtime", "torch")

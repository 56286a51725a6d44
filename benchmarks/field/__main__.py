"""Reproduces the bugs and prints a table; exits with 1 when a run did not end as it must.

python -m benchmarks.field [--cache FOLDER] [--report | --sweep] [NAME...]
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from rslint_runtime.testing import RunError, sweep

import benchmarks.field
from benchmarks.field.bugs import Bug, RepairError, Trial, trials
from benchmarks.field.releases import FetchError, cache_folder, tree


def bugs() -> dict[str, Bug]:
    """Every script of this folder that has a BUG, by its name."""
    modules = (f"benchmarks.field.{found.name}" for found in pkgutil.iter_modules(benchmarks.field.__path__))
    scripts = (importlib.import_module(name) for name in modules if not name.endswith("__main__"))
    return {script.BUG.name: script.BUG for script in scripts if hasattr(script, "BUG")}


def main(arguments: list[str]) -> int:
    known = bugs()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.field", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)} [default: all]")
    parser.add_argument(
        "--cache", type=Path, default=cache_folder(), help="where trees are kept [%(default)s]"
    )
    parser.add_argument("--report", action="store_true", help="print the harness's report on each deadlock")
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="instead: fail each call of the buggy release once, and tell what hangs",
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in known:
            parser.error(f"{name!r}: no such bug; there are {', '.join(known)}")
    if not options.sweep:
        print("| bug | run | ended as | seconds |\n|---|---|---|--:|")
    sound = True
    for name in options.names or known:
        try:
            if options.sweep:
                sound &= _swept(known[name], options.cache)
            else:
                sound &= _shown(known[name], options.cache, options.report)
        except (FetchError, RunError, RepairError) as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            sound = False
    return 0 if sound else 1


def _shown(bug: Bug, cache: Path, report: bool) -> bool:
    """Whether every run of the bug ended as it must; prints a row for each."""
    sound = True
    reports: list[str] = []
    for trial in trials(bug, partial(tree, cache=cache)):
        print(_row(bug, trial), flush=True)
        sound &= trial.as_expected
        if not trial.as_expected or (report and trial.observed.startswith("deadlock")):
            reports.append(f"\n{bug.name}, {trial.what}:\n{trial.report}\n")
    sys.stderr.writelines(reports)
    return sound


def _swept(bug: Bug, cache: Path) -> bool:
    """Whether no failing call of the buggy release parts the ranks; prints what was tried."""
    buggy = tree(bug.buggy, cache)
    with tempfile.TemporaryDirectory() as folder:
        result = sweep(bug.program, bug.world_size, args=(str(buggy), folder), timeout=60, within=[buggy])
    print(result.report().replace(f"{buggy}/", ""), flush=True)
    return not result.parted


def _row(bug: Bug, trial: Trial) -> str:
    ending = trial.observed if trial.as_expected else f"**{trial.observed}**, not {trial.expected}"
    return f"| {bug.name} | {trial.what} | {ending} | {trial.seconds:.2f} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

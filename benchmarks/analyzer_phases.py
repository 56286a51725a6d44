"""Where one run of rslint spends its time: the phases of one check of a tree, in one process.

    python benchmarks/analyzer_phases.py TREE

The check is the command line's own (all default rules, fixes computed, collection of cycles as there); the functions
that begin a phase are timed where the run calls them. With one process, what is usually shared among the CPUs
(index, suspects) takes its whole CPU time here. Exit code: 0 measured, 2 wrong use.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import rslint.flow.analysis
import rslint.project.index
import rslint.run
from rslint.project.config import ConfigError
from rslint.project.discover import Request

# (phase, the module whose name is called, the name). No phase is part of another.
PHASES = (
    ("discover", rslint.run, "discover"),
    ("index", rslint.project.index, "build_index"),
    ("effects", rslint.flow.analysis, "compute_effects"),
    ("suspects", rslint.flow.analysis, "find_suspects"),
)
REST = "the rest"


@contextmanager
def timed(module: ModuleType, name: str, add: Callable[[float], None]) -> Iterator[None]:
    """Hand the wall seconds of each call of `module.name` to `add`. Raises AttributeError for an unknown name."""
    function = getattr(module, name)

    def clocked(*arguments: object, **named: object) -> object:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            add(time.perf_counter() - started)

    setattr(module, name, clocked)
    try:
        yield
    finally:
        setattr(module, name, function)


def phases_of(tree: Path) -> tuple[dict[str, float], rslint.run.RunResult]:
    """Wall seconds by phase of one check of the tree, and its result. Raises ConfigError for an unusable path."""
    seconds = {phase: 0.0 for phase, _, _ in PHASES}

    def adds_to(phase: str) -> Callable[[float], None]:
        def add(took: float) -> None:
            seconds[phase] += took

        return add

    request = rslint.run.RunRequest(Request((tree,)), jobs=1, ends_process=True)
    with ExitStack() as stack:
        for phase, module, name in PHASES:
            stack.enter_context(timed(module, name, adds_to(phase)))
        started = time.perf_counter()
        result = rslint.run.check(request)
        total = time.perf_counter() - started
    seconds[REST] = total - sum(seconds.values())
    return seconds, result


def main() -> int:
    """Measure the tree that the command line names and print a Markdown table; return the exit code."""
    if len(sys.argv) != 2:
        print("usage: python benchmarks/analyzer_phases.py TREE", file=sys.stderr)
        return 2
    try:
        seconds, result = phases_of(Path(sys.argv[1]))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not result.files:
        print(f"error: {sys.argv[1]}: no Python file to check; name an unpacked release", file=sys.stderr)
        return 2
    total = sum(seconds.values())
    print(f"{result.files} files, {len(result.findings)} findings, one process, {total:.1f} s of wall time\n")
    print("| phase | s | share |")
    print("|---|--:|--:|")
    for phase, took in seconds.items():
        print(f"| {phase} | {took:.2f} | {took / total:.0%} |")
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(
        status
    )  # as the command line ends: taking a large analysis apart costs seconds and shows nothing

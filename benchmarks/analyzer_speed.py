"""How long rslint takes over a tree, beside ruff and flake8 on the same tree: a Markdown table.

    python benchmarks/analyzer_speed.py TREE [--rounds 3] [--limit 600] [--ruff FILE]

The commands take turns, and a round ends with a loop of plain Python that says how fast the machine is just then:
compare ratios between machines and days, never seconds alone. No tool keeps anything from one run to the next; the
files are read once before the first, so that none pays for the disk. Needs a POSIX system (`os.wait4`).

Exit code: 0 measured, 1 a command failed or took longer than its limit, 2 wrong use.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage
from select import select
from typing import BinaryIO

MEASURED, FAILED, WRONG_USE = 0, 1, 2
REFERENCE = "reference loop"
_REFERENCE_STEPS = 3_000_000
# ru_maxrss counts KiB, on macOS bytes.
_MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


class BenchmarkError(Exception):
    """Nothing can be measured: one line for the user, and the exit code."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Tool:
    """A command that reads a tree: `arguments` come before the tree's path."""

    name: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The command as a user types it, without the tree."""
        return " ".join((self.name, *self.arguments))


@dataclass(frozen=True)
class Cost:
    """Wall and user seconds of a process and the children it waited for; MB of the largest one (None: not taken)."""

    wall: float
    user: float
    peak: float | None


Round = Mapping[str, Cost]


def tools(ruff: str) -> tuple[Tool, ...]:
    """What is compared; rslint, the subject, first. rslint and flake8 are those of this interpreter."""
    return (
        Tool("rslint", (sys.executable, "-m", "rslint"), ("check", "--exit-zero", "--output-format", "json")),
        Tool("ruff", (ruff,), ("check", "--no-cache", "--isolated", "--exit-zero")),
        Tool(
            "flake8",
            (sys.executable, "-m", "flake8"),
            ("--isolated", "--select", "F,E9", "-j", "2", "--exit-zero"),
        ),
    )


def python_files(tree: Path) -> list[Path]:
    """The tree's Python files. Raises BenchmarkError for a path that is no folder or holds none."""
    if not tree.is_dir():
        what = "no folder" if tree.exists() else "no such folder"
        raise BenchmarkError(f"{tree}: {what}; name the folder of an unpacked release", WRONG_USE)
    found = sorted(path for path in tree.rglob("*.py") if path.is_file())
    if not found:
        raise BenchmarkError(f"{tree}: no Python file below this folder; name an unpacked release", WRONG_USE)
    return found


def found_ruff(given: str | None) -> str:
    """The ruff beside this interpreter, else the first on PATH. Raises BenchmarkError where there is none."""
    path = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    found = shutil.which(given or "ruff", path=path)
    if found is None:
        what = f"{given}: no program" if given else "ruff is not installed"
        raise BenchmarkError(f"{what}; pip install ruff, or name it with --ruff", WRONG_USE)
    return found


def version(tool: Tool) -> str:
    """The number that the tool gives itself. Raises BenchmarkError for a tool that does not run."""
    command = [*tool.program, "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{tool.name}: no version after 60 s", FAILED) from None
    number = re.search(r"\d+(\.\d+)+", answer.stdout)
    if answer.returncode or number is None:
        raise BenchmarkError(
            f"{tool.name} does not run: {_last_line(answer.stderr)}; install it beside {sys.executable}",
            WRONG_USE,
        )
    return number[0]


def measured(tool: Tool, tree: Path, limit: float, output: BinaryIO) -> Cost:
    """Run a tool over the tree, its standard output into `output`.

    Raises BenchmarkError when it fails or is still running after `limit` seconds; it is then ended with its children.
    """
    alive, held = os.pipe()
    with tempfile.TemporaryFile() as errors, os.fdopen(alive, "rb") as ends:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                [*tool.program, *tool.arguments, str(tree)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                pass_fds=(held,),
                start_new_session=True,
            )
        finally:
            os.close(held)
        in_time, usage = _awaited(process, ends, limit)
        wall = time.perf_counter() - started
        if not in_time:
            raise BenchmarkError(
                f"{tool.name}: still running after {limit:g} s and ended; see --limit", FAILED
            )
        if process.returncode:
            errors.seek(0)
            said = _last_line(errors.read().decode(errors="replace"))
            raise BenchmarkError(f"{tool.name}: exit code {process.returncode}: {said}", FAILED)
    return Cost(wall, usage.ru_utime, usage.ru_maxrss / _MAXRSS_PER_MB)


def _awaited(process: subprocess.Popen[bytes], ends: BinaryIO, limit: float) -> tuple[bool, struct_rusage]:
    """Wait until nobody holds the pipe open; whether that was in time, and what process and children used.

    The pipe's end is the end of the process and of all it forked. Unlike polling, this costs no precision; unlike a
    timer, it cannot kill another process that got the same number meanwhile.
    """
    in_time = False
    try:
        in_time = bool(select([ends], [], [], limit)[0])
    finally:
        if not in_time:
            os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return in_time, usage


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing said"


def reference() -> Cost:
    """A fixed piece of work for the interpreter alone: arithmetic, branches, a small dictionary."""
    wall, user = time.perf_counter(), os.times().user
    table: dict[int, int] = {}
    for step in range(_REFERENCE_STEPS):
        key = step * 7919 % 1009
        if key & 1:
            table[key] = table.get(key, 0) + step
    return Cost(time.perf_counter() - wall, os.times().user - user, None)


def rounds_of(compared: Sequence[Tool], tree: Path, rounds: int, limit: float) -> Iterator[tuple[Round, int]]:
    """Each round's costs by tool, and the number of rslint's findings; each round begins with another tool."""
    for turn in range(rounds):
        costs: dict[str, Cost] = {}
        findings = 0
        first = turn % len(compared)
        for tool in (*compared[first:], *compared[:first]):
            with tempfile.TemporaryFile() as output:
                costs[tool.name] = measured(tool, tree, limit, output)
                if tool is compared[0]:
                    output.seek(0)
                    findings = len(json.load(output))
        costs[REFERENCE] = reference()
        yield costs, findings


def median_ratio(rounds: Sequence[Round], name: str, other: str) -> float:
    """The median over rounds of one round's ratio of wall times: what slowed a whole round cancels out."""
    return statistics.median(costs[name].wall / costs[other].wall for costs in rounds)


def table(compared: Sequence[Tool], versions: Mapping[str, str], rounds: Sequence[Round]) -> Iterator[str]:
    """Lines of Markdown: a row per tool and one for the reference loop."""
    yield "| command | wall s | fastest–slowest | user s | peak MB | rslint ÷ this |"
    yield "|---|--:|--:|--:|--:|--:|"
    labels = {tool.name: f"{tool.name} {versions[tool.name]}: `{tool.shown}`" for tool in compared}
    for name, label in (*labels.items(), (REFERENCE, REFERENCE)):
        costs = [costs[name] for costs in rounds]
        walls = [cost.wall for cost in costs]
        peaks = [cost.peak for cost in costs if cost.peak is not None]
        peak = f"{statistics.median(peaks):.0f}" if peaks else "–"
        user = statistics.median(cost.user for cost in costs)
        ratio = median_ratio(rounds, compared[0].name, name)
        yield (
            f"| {label} | {statistics.median(walls):.2f} | {min(walls):.2f}–{max(walls):.2f}"
            f" | {user:.2f} | {peak} | {ratio:.2f} |"
        )


def run(options: argparse.Namespace) -> None:
    """Measure and print. Raises BenchmarkError."""
    tree: Path = options.tree
    files = python_files(tree)
    compared = tools(found_ruff(options.ruff))
    versions = {tool.name: version(tool) for tool in compared}
    try:
        lines = sum(path.read_bytes().count(b"\n") for path in files)
    except OSError as error:
        raise BenchmarkError(
            f"{error.filename}: {error.strerror}; make the tree readable", WRONG_USE
        ) from None
    done = list(rounds_of(compared, tree.resolve(), options.rounds, options.limit))
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{tree.resolve().name}: {len(files)} files, {lines} lines; {options.rounds} rounds, medians; "
        f"Python {platform.python_version()}, {cpus} CPUs, {sys.platform} {platform.machine()}; "
        f"rslint's findings: {', '.join(map(str, sorted({findings for _, findings in done})))}"
    )
    print()
    for line in table(compared, versions, [costs for costs, _ in done]):
        print(line)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tree", type=Path, metavar="TREE", help="the folder of an unpacked release")
    parser.add_argument("--rounds", type=_positive, default=3, help="runs of each command (%(default)s)")
    parser.add_argument("--limit", type=_positive, default=600, help="seconds for one run (%(default)s)")
    parser.add_argument("--ruff", metavar="FILE", help="the ruff to compare with")
    try:
        run(parser.parse_args(arguments))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return MEASURED


if __name__ == "__main__":
    sys.exit(main())

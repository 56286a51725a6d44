"""The benchmarks run and print what their README says. No figure is judged here: that would test the machine."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.analyzer_speed import BenchmarkError, Tool, measured

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# Stands for ruff, which the tests do not need: says what it was given, then does what the test wants.
RUFF = """#!{python}
import sys, time, pathlib
if "--version" in sys.argv:
    sys.exit(print("ruff 1.2.3"))
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
{then}
"""
MODULE = """import torch.distributed as dist

def settle(rank):
    if rank == 0:
        dist.barrier()
"""
# Sleeps in two processes, which hold a lock on the file it is given.
SLEEPER = """
import fcntl, os, sys, time
held = open(sys.argv[1], "w")
fcntl.flock(held, fcntl.LOCK_EX)
if os.fork() == 0:
    held.write("both run")
    held.flush()
time.sleep(99)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of one file with one finding."""
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[project]\nname = 'release'\n")
    (folder / "publish.py").write_text(MODULE)
    return folder


def ruff(tmp_path: Path, then: str = "") -> str:
    program = tmp_path / "ruff"
    program.write_text(RUFF.format(python=sys.executable, log=str(tmp_path / "ruff.log"), then=then))
    program.chmod(0o755)
    return str(program)


def measure(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def cells(output: str) -> dict[str, list[str]]:
    """The rows of the Markdown table below its head, by the first word of the first column."""
    rows = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    return {row[0].split()[0]: row for row in rows[1:]}


def test_a_round_gives_a_row_for_each_command_and_the_reference(tree: Path, tmp_path: Path) -> None:
    done = measure("analyzer_speed.py", tree, "--rounds", "1", "--ruff", ruff(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    head, *_ = done.stdout.splitlines()
    assert head.startswith("release: 1 files, 5 lines; 1 rounds")
    assert head.endswith("rslint's findings: 1")
    rows = cells(done.stdout)
    assert list(rows) == ["rslint", "ruff", "flake8", "reference"]
    assert "`rslint check --exit-zero --output-format json`" in rows["rslint"][0]
    assert "ruff 1.2.3: `ruff check --no-cache --isolated --exit-zero`" in rows["ruff"][0]
    assert "`flake8 --isolated --select F,E9 -j 2 --exit-zero`" in rows["flake8"][0]
    for name, (_, wall, span, user, peak, ratio) in rows.items():
        assert span == f"{wall}–{wall}"
        assert all(re.fullmatch(r"\d+\.\d\d", number) for number in (wall, user, ratio))
        assert peak == "–" if name == "reference" else int(peak) > 0
    assert rows["rslint"][-1] == "1.00"


def test_every_round_runs_every_command_on_the_tree(tree: Path, tmp_path: Path) -> None:
    done = measure("analyzer_speed.py", tree, "--rounds", "2", "--ruff", ruff(tmp_path))

    assert done.returncode == 0, done.stderr
    said = f"check --no-cache --isolated --exit-zero {tree.resolve()}\n"
    assert (tmp_path / "ruff.log").read_text() == said * 2


@pytest.mark.parametrize("script", ["analyzer_speed.py", "analyzer_phases.py"])
@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_tree_that_cannot_be_measured_is_one_line_and_exit_2(
    script: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    done = measure(script, tmp_path / name)

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(str(tmp_path / name))}: no .+; .+\n", done.stderr)


def test_an_absent_ruff_is_said_with_the_remedy(tree: Path, tmp_path: Path) -> None:
    done = measure("analyzer_speed.py", tree, "--ruff", tmp_path / "absent")

    assert done.returncode == 2
    assert (
        done.stderr == f"error: {tmp_path / 'absent'}: no program; pip install ruff, or name it with --ruff\n"
    )


def test_a_command_that_fails_is_no_measurement(tree: Path, tmp_path: Path) -> None:
    done = measure("analyzer_speed.py", tree, "--ruff", ruff(tmp_path, "sys.exit('broken\\ncause')"))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: ruff: exit code 1: cause\n"


@pytest.mark.timeout(60)
def test_a_command_over_its_limit_is_ended_with_its_children(tree: Path, tmp_path: Path) -> None:
    held = tmp_path / "held"
    tool = Tool("sleeper", (sys.executable, "-c", SLEEPER, str(held)), ())

    with pytest.raises(BenchmarkError, match="sleeper: still running after 2 s and ended") as error:
        measured(tool, tree, 2, (tmp_path / "output").open("wb"))

    assert error.value.status == 1
    with held.open() as lock:
        assert lock.read() == "both run"
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for whoever still holds it


def test_the_phases_of_a_check_are_a_row_each(tree: Path) -> None:
    done = measure("analyzer_phases.py", tree)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 files, 1 findings, one process, ")
    rows = cells(done.stdout)
    assert list(rows) == ["discover", "index", "effects", "suspects", "the"]
    assert all(float(row[1]) >= 0 for row in rows.values())
    assert sum(float(row[2].rstrip("%")) for row in rows.values()) == pytest.approx(100, abs=3)


def finding(row: int) -> dict[str, object]:
    return {
        "code": "RS101",
        "severity": "error",
        "message": f"a | b {row}",
        "filename": "/tree/pkg/a.py",
        "location": {"row": row, "column": 1},
    }


def test_findings_are_drawn_by_the_seed_alone(tmp_path: Path) -> None:
    report = tmp_path / "tree-1.0.json"
    report.write_text(json.dumps([finding(row) for row in range(1, 100)]), encoding="utf-8")
    command = [
        sys.executable,
        str(BENCHMARKS / "draw_findings.py"),
        "--seed",
        "7",
        "--count",
        "20",
        str(report),
    ]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert first == second
    assert first.startswith("20 of 99 findings, seed 7\n")
    rows = [line for line in first.splitlines() if line.startswith("| tree-1.0")]
    assert len(set(rows)) == 20
    assert all("a \\| b" in row and row.endswith("| | |") for row in rows)


def test_a_report_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "draw_findings.py"), str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_messages_over_each_channel_are_timed_as_times_of_the_ring() -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "ring_throughput.py"),
        "--quick",
        "--rounds",
        "1",
        "--without-vllm",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    lines = done.stdout.splitlines()
    assert re.fullmatch(r".+, \d+ CPUs, Python [\d.]+\w*, load average [\d.]+", lines[0])
    assert lines[2] == "| | ShmRing | multiprocessing.Pipe | multiprocessing.Queue |"
    rows = [re.fullmatch(r"\| (.+?) (\| \d+ µs \([\d.]+\) ){3}\|", line) for line in lines[4:]]
    assert [row and row[1] for row in rows] == [
        "100 bytes, 1 reader(s)",
        "10,000 bytes, 1 reader(s)",
        "1,000,000 bytes, 1 reader(s)",
        "100 bytes, 2 reader(s)",
        "10,000 bytes, 2 reader(s)",
        "1,000,000 bytes, 2 reader(s)",
        "round trip of 100 bytes",
    ]


def test_the_cost_of_a_fence_is_printed_for_each_call_that_the_readme_lists() -> None:
    command = [sys.executable, str(BENCHMARKS / "fence_cost.py"), "200"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    head, *rows = done.stdout.splitlines()
    assert re.fullmatch(r".+, Python [\d.]+\w*, [12] lock pair\(s\) in a fence, 200 calls", head)
    labels = [re.fullmatch(r"(.+?) +(\d+) ns", row) for row in rows]
    assert [found and found[1] for found in labels] == [
        "nothing()",
        "lock pair",
        "memory_fence()",
        "message, no fence",
        "message, two fences",
    ]


def test_the_cost_of_each_collective_is_a_row() -> None:
    pytest.importorskip("torch")
    command = [sys.executable, str(BENCHMARKS / "collective_overhead.py"), "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert re.match(r"torch \S+, \d+ CPUs, load average [\d.]+, 2 pairs, medians\n", done.stdout)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| `")]
    assert [row[0].split("`")[1] for row in rows] == [
        "agree",
        "rank_guard",
        *["broadcast_result"] * 5,
        *["gather_results"] * 2,
    ]
    for _, theirs, ours, more, ratio in rows:
        assert float(ours) / float(theirs) == pytest.approx(float(ratio), rel=0.05)
        assert re.fullmatch(r"[+-]\d+", more)

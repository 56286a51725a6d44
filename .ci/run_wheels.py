"""Install the wheels under each interpreter, repeat the run on the fixtures in an empty folder, compare the JSON.

    python .ci/run_wheels.py WHEELS WORK PYTHON3.11 PYTHON3.10 PYTHON3.12 PYTHON3.13

WORK/copy is a copy of the tree. The reference is what the running interpreter, which has the project installed,
reports; an empty name is an interpreter that was not found. Under 3.10, 3.12 and 3.13 the analyzer's tests run too,
from a folder that has the tests but not the packages, so that what they import is what the wheel holds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OTHERS = ("3.10", "3.12", "3.13")
TEST_TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
ANALYZER_TESTS = ("project", "flow", "models", "rules", "faces", "fix", "packaging")
TESTED_WITH = ("tests", "fixtures", "docs", "README.md", "CHANGELOG.md", "pyproject.toml")


def environment(python: str, folder: Path, wheels: Path, extras: tuple[str, ...] = ()) -> Path:
    """A new virtual environment with both wheels, and no torch."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    found = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", *found, *extras], check=True)
    return folder / "bin"


def findings(rslint: Path, fixtures: Path, empty: Path) -> list[object]:
    command = [rslint, "check", "--exit-zero", "--output-format", "json", fixtures]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{rslint} exited {done.returncode}: {done.stderr[-2000:]}")
    found: list[object] = json.loads(done.stdout)
    if not found:
        sys.exit(f"{rslint}: no findings on the fixtures")
    return found


def must_agree(who: str, found: list[object], wanted: list[object]) -> None:
    for one in (f for f in found if f not in wanted):
        print(f"{who} only: {json.dumps(one)}")
    for one in (f for f in wanted if f not in found):
        print(f"not under {who}: {json.dumps(one)}")
    if found != wanted:
        sys.exit(f"{who}: other findings on the fixtures than the reference, or another order")
    print(f"{who}: the same {len(found)} findings on the fixtures", flush=True)


def without_the_packages(copy: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in TESTED_WITH:
        source = copy / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def run_tests(who: str, python: Path, folder: Path) -> None:
    began = time.monotonic()
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    tests = [f"tests/{name}" for name in ANALYZER_TESTS]
    command = [python, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *tests]
    if subprocess.run(command, cwd=folder, env=clean).returncode:
        sys.exit(f"{who}: the analyzer's tests failed")
    print(f"{who}: the analyzer's tests passed in {time.monotonic() - began:.0f} s", flush=True)


def main(wheels: Path, work: Path, python: str, others: list[str]) -> None:
    empty = work / "empty"
    empty.mkdir()
    tested = without_the_packages(work / "copy", work / "tested")
    wanted = findings(Path(sys.executable).with_name("rslint"), tested / "fixtures", empty)
    installed = environment(python, work / "wheel-3.11", wheels)
    must_agree(
        "Python 3.11, from the wheels", findings(installed / "rslint", tested / "fixtures", empty), wanted
    )
    for version, other in zip(OTHERS, others, strict=True):
        who = f"Python {version}"
        if not other:
            print(f"{who}: not found, not tested")
            continue
        installed = environment(other, work / f"wheel-{version}", wheels, TEST_TOOLS)
        must_agree(
            f"{who}, from the wheels", findings(installed / "rslint", tested / "fixtures", empty), wanted
        )
        run_tests(who, installed / "python", tested)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:7])

"""Install the wheels under each interpreter, run the fixtures from an empty folder, and compare the JSON.

    python .ci/run_wheels.py WHEELS WORK PYTHON3.11 PYTHON3.10 PYTHON3.12 PYTHON3.13

The first interpreter's output is the reference; an empty name is an interpreter that was not found.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OTHERS = ("3.10", "3.12", "3.13")
ANALYZER_TESTS = ("project", "flow", "models", "rules", "faces", "fix")


def environment(python: str, folder: Path, wheels: Path, extras: list[str]) -> Path:
    subprocess.run([python, "-m", "venv", folder], check=True)
    (wheel,) = wheels.glob("rslint-*.whl")
    subprocess.run(
        [folder / "bin/python", "-m", "pip", "install", "--quiet", str(wheel), *extras], check=True
    )
    return folder / "bin/python"


def findings(python: Path, fixtures: Path, empty: Path) -> str:
    command = [python, "-m", "rslint", "check", "--exit-zero", "--output-format", "json", str(fixtures)]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{python} exited {done.returncode}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    if not found:
        sys.exit(f"{python}: no findings on the fixtures")
    return json.dumps(found, indent=1)


def main(wheels: Path, work: Path, reference: str, others: list[str]) -> int:
    empty, fixtures = work / "empty", work / "fixtures"
    empty.mkdir()
    shutil.copytree(work / "copy" / "fixtures", fixtures)
    wanted = findings(environment(reference, work / "wheel-reference", wheels, []), fixtures, empty)
    print(f"reference: {len(json.loads(wanted))} findings on the fixtures")
    for version, python in zip(OTHERS, others, strict=True):
        if not python:
            print(f"Python {version}: not found, not tested")
            continue
        found = environment(
            python, work / f"wheel-{version}", wheels, ["pytest", "pytest-timeout", "hypothesis"]
        )
        if findings(found, fixtures, empty) != wanted:
            print(f"Python {version}: other findings on the fixtures than the reference")
            return 1
        tests = [f"tests/{name}" for name in ANALYZER_TESTS if (work / "copy" / "tests" / name).is_dir()]
        clean = {**os.environ, "PYTHONPATH": ""}
        ran = subprocess.run([found, "-m", "pytest", "-q", *tests], cwd=work / "copy", env=clean)
        if ran.returncode:
            return ran.returncode
        print(f"Python {version}: the same findings, tests passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:7]))

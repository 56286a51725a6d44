"""Install the wheels under each interpreter, and run in an empty folder what they hold.

    python .ci/run_wheels.py WHEELS WORK PYTHON3.11 PYTHON3.10 PYTHON3.12 PYTHON3.13

WORK/copy is a copy of the tree. The reference is what the running interpreter, which has the project installed,
reports on the fixtures; an empty name is an interpreter that was not found. Under each the same findings are
reported, and `rslint shim` writes a file that can be imported with nothing else installed. Under 3.11 `rslint prove`
runs a sample of the fixtures that the wheel holds (the tests prove all of them); torch is borrowed from the running
interpreter. Under 3.10, 3.12 and 3.13 the analyzer's tests run too, from a folder that has the tests but not the
packages, so that what they import is what the wheel holds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OTHERS = ("3.10", "3.12", "3.13")
TEST_TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist")
ANALYZER_TESTS = ("project", "flow", "models", "rules", "faces", "fix", "packaging")
# What differs most from one Python to the next: tracing, monitoring, locks, shared memory.
RUNTIME_TESTS = (
    "explore",
    "explore_threads",
    "faults",
    "guarded",
    "litmus",
    "order",
    "peer_error",
    "segments",
    "shared_flag",
    "shm_ring",
    "update_lock",
)
PROVEN = ("RS206", "RS301", "RS303", "RS402", "RS900")
TESTED_WITH = ("tests", "fixtures", "docs", "README.md", "CHANGELOG.md", "pyproject.toml")


def environment(python: str, folder: Path, wheels: Path, extras: tuple[str, ...] = ()) -> Path:
    """A new virtual environment with both wheels, and no torch. One pip, this interpreter's, fills all of them."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    found = sorted(str(wheel) for wheel in wheels.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, *found, *extras], check=True)
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
    tests += [f"tests/runtime/test_{name}.py" for name in RUNTIME_TESTS]
    command = [python, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *tests]
    if subprocess.run(command, cwd=folder, env=clean).returncode:
        sys.exit(f"{who}: the tests failed")
    print(f"{who}: the tests passed in {time.monotonic() - began:.0f} s", flush=True)


def must_end(command: list[str | Path], folder: Path, status: int, words: str = "") -> str:
    """Run a command; what it printed, once it has ended with this status and said these words."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != status or words not in done.stdout + done.stderr:
        sys.exit(
            f"{command}: exit {done.returncode}, not {status} with {words!r}: {done.stdout}{done.stderr[-2000:]}"
        )
    return done.stdout


def vendor(who: str, tools: Path, folder: Path) -> None:
    """The one-file form is written, current, and all that its importer needs."""
    folder.mkdir()
    must_end([tools / "rslint", "shim", "--vendor", "rank_safety.py"], folder, 0, "written: rslint-runtime")
    must_end([tools / "rslint", "shim", "--check", "rank_safety.py"], folder, 0, "current")
    program = "import rank_safety as r; r.memory_fence(); print(r.broadcast_result(lambda: 'it runs', src=0))"
    must_end([tools / "python", "-S", "-E", "-c", program], folder, 0, "it runs")
    print(f"{who}: the vendored file runs alone", flush=True)


def prove(tools: Path, empty: Path) -> None:
    """Without torch what needs none is proven, and the rest says what to install; with it a sample of the codes is."""
    must_end([tools / "rslint", "prove", "RS900"], empty, 0, "proven")
    must_end([tools / "rslint", "prove", "RS206"], empty, 2, "pip install 'rslint-runtime[torch]'")
    (own,) = tools.parent.glob("lib/python*/site-packages")
    (own / "torch_of_another_environment.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    began = time.monotonic()
    command = [tools / "rslint", "prove", *PROVEN, "--output-format", "json"]
    done = subprocess.run(command, cwd=empty, capture_output=True, text=True)
    proofs = json.loads(done.stdout or "[]")
    for proof in (proof for proof in proofs if proof["verdict"] == "unproven"):
        print(json.dumps(proof, indent=2), flush=True)
    if done.returncode or not proofs:
        unproven = [f"{one['code']} {one['case']}: {one['problem']}" for one in proofs if one["problem"]]
        sys.exit(
            f"rslint prove: exit {done.returncode}; unproven: {unproven}; stderr: {done.stderr[-2000:]!r}"
        )
    if not all(proof["folder"].startswith(str(own)) for proof in proofs):
        sys.exit(f"rslint prove: not the fixtures of the wheel: {proofs[0]['folder']}")
    proven = sum(proof["verdict"] == "proven" for proof in proofs)
    print(
        f"{len(proofs)} cases of {', '.join(PROVEN)}, {proven} proven, in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    if any(empty.iterdir()):
        sys.exit(f"left behind: {[path.name for path in empty.iterdir()]}")


def main(wheels: Path, work: Path, python: str, others: list[str]) -> None:
    empty = work / "empty"
    empty.mkdir()
    tested = without_the_packages(work / "copy", work / "tested")
    found = {"3.11": python} | {
        version: other for version, other in zip(OTHERS, others, strict=True) if other
    }
    for version in OTHERS:
        if version not in found:
            print(f"Python {version}: not found, not tested")

    def installed(version: str) -> Path:
        extras = TEST_TOOLS if version in OTHERS else ()
        return environment(found[version], work / f"wheel-{version}", wheels, extras)

    with ThreadPoolExecutor(len(found)) as pool:
        tools = dict(zip(found, pool.map(installed, found), strict=True))
    wanted = findings(Path(sys.executable).with_name("rslint"), tested / "fixtures", empty)
    for version, folder in tools.items():
        who = f"Python {version}, from the wheels"
        must_agree(who, findings(folder / "rslint", tested / "fixtures", empty), wanted)
        vendor(who, folder, work / f"vendored-{version}")
    prove(tools["3.11"], empty)
    for version in OTHERS:
        if version in tools:
            run_tests(f"Python {version}", tools[version] / "python", tested)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:7])

"""flake8 and rslint report the same places on a released package: the distributed part of the installed torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PARTS = ("checkpoint", "optim", "pipelining")
ENOUGH = 20


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its top modules and three packages as a project of their own, preview rules included."""
    torch = find_spec("torch")
    if torch is None or torch.origin is None:
        pytest.skip("torch is not installed for this interpreter")
    source = Path(torch.origin).parent / "distributed"
    root = tmp_path_factory.mktemp("release")
    target = root / "torch" / "distributed"
    target.mkdir(parents=True)
    for file in source.glob("*.py"):
        shutil.copy(file, target)
    for part in PARTS:
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pyproject.toml").write_text("[tool.rslint]\npreview = true\n")
    return root


@pytest.fixture(scope="module")
def reported(release: Path) -> list[str]:
    """What rslint prints, as `path:row:column: code`."""
    command = [sys.executable, "-m", "rslint", "check", "--exit-zero", "--output-format", "json", "."]
    done = subprocess.run(command, cwd=release, capture_output=True, text=True, check=True)
    return sorted(
        f"{Path(item['filename']).relative_to(release).as_posix()}:"
        f"{item['location']['row']}:{item['location']['column']}: {item['code']}"
        for item in json.loads(done.stdout)
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_same_places_columns_and_codes(release: Path, reported: list[str], jobs: str) -> None:
    assert len(reported) >= ENOUGH
    command = [sys.executable, "-m", "flake8", "--isolated", "--select", "RS", "-j", jobs, "torch"]
    done = subprocess.run(command, cwd=release, capture_output=True, text=True)
    assert sorted(" ".join(line.split()[:2]) for line in done.stdout.splitlines()) == reported, done.stderr

"""The hooks, run by the real pre-commit in a scratch repository: it clones and installs this one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.faces.support import write

ROOT = Path(__file__).parents[2]
BUG = """\
import torch.distributed as dist


def publish(rank, value):
    if rank == 0:
        dist.barrier()
    return value


x = 1  # noqa: RS102
"""


@pytest.mark.timeout(600)
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a git repository can be tried")
@pytest.mark.skipif(find_spec("pre_commit") is None, reason="pre-commit is not installed")
def test_the_hooks_report_and_fix(tmp_path: Path) -> None:
    repository = tmp_path / "scratch"
    write(repository, {"pyproject.toml": "", "publish.py": BUG, "build/generated.py": BUG})
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)

    run("git", "init", "-q")
    run("git", "add", "-A")

    def hook(name: str) -> subprocess.CompletedProcess[str]:
        pre_commit = (sys.executable, "-m", "pre_commit", "try-repo", str(ROOT), name)
        return run(*pre_commit, "--verbose", "--all-files")

    reported = hook("rslint")
    assert reported.returncode == 1, reported.stdout + reported.stderr
    assert "RS102" in reported.stdout, reported.stdout
    assert "publish.py:6:9" in reported.stdout
    assert "RS900" in reported.stdout
    assert "generated.py" not in reported.stdout
    fixed = hook("rslint-fix")
    assert fixed.returncode == 1
    assert "1 fixed" in fixed.stdout, fixed.stdout
    assert (repository / "publish.py").read_text().endswith("x = 1\n")

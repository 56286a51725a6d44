"""The tests' rules, found through their entry point, and the command line run in this process."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.faces.support import RULES, Outcome, RunRslint


@pytest.fixture(scope="session")
def rule_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on sys.path, is an installed distribution offering RS190 to RS192."""
    folder = tmp_path_factory.mktemp("rule-package")
    (folder / "marked_rules.py").write_text(RULES)
    metadata = folder / "marked_rules-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: marked-rules\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[rslint.rules]\nmarked = marked_rules:rules\n")
    return folder


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a pyproject.toml, and the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.rslint]\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def rslint(
    rule_package: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> RunRslint:
    """`rslint(*arguments, stdin=...)` in this process; the tests' rules and RS9 unless told otherwise."""
    monkeypatch.syspath_prepend(str(rule_package))
    from rslint.cli import main

    def run(*arguments: str, stdin: bytes = b"", select: str | None = "RS19,RS9") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        extra = ["--select", select] if select and "--select" not in arguments else []
        if arguments[:1] in (("explain",), ("rules",)):
            extra = []
        capsysbinary.readouterr()
        hook = sys.excepthook
        try:
            status = main([*arguments, *extra])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        finally:
            sys.excepthook = hook
        captured = capsysbinary.readouterr()
        return Outcome(status, captured.out.decode(), captured.err.decode())

    return run

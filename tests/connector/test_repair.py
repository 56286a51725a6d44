"""The connector's fixed.py is what `rslint --fix` makes of bug.py, byte for byte."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from rslint import cli

CONNECTOR = Path(__file__).parents[2] / "fixtures" / "RS101" / "connector"
MARK = re.compile(rb"[ \t]*# expect: RS\d{3}[ \t]*$", re.MULTILINE)


@pytest.mark.parametrize("names", [("bug.py",), ("bug.py", "client.py", "transfer.py", "manager.py")])
def test_the_fix_makes_fixed_of_bug(names: tuple[str, ...], tmp_path: Path) -> None:
    """Also where the modules that the connector imports are not known."""
    (tmp_path / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    for name in names:
        shutil.copy(CONNECTOR / name, tmp_path)
    subject = tmp_path / "bug.py"
    subject.write_bytes(MARK.sub(b"", subject.read_bytes()))
    assert cli.main(["check", "--isolated", "--fix", str(subject)]) == 0
    assert subject.read_bytes() == (CONNECTOR / "fixed.py").read_bytes()

"""The connector's fixed.py is what `rslint --fix` makes of bug.py, byte for byte."""

from __future__ import annotations

import json
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


def test_denying_the_agreement_on_the_first_rank_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The correction that suggests itself for FinishWriteCache: `flag = False` behind the reduction."""
    finish = "            self._finish_write(session_id, [flag] * len(missing), trace_id)\n"
    guarded = (
        f"            try:\n    {finish}            except Exception:\n"
        '                logger.exception("finish failed: %s", trace_id)\n'
        "                flag = False\n"
    )
    text = (CONNECTOR / "fixed.py").read_text(encoding="utf-8")
    assert text.count(finish) == 1
    (tmp_path / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    subject = tmp_path / "connector.py"
    subject.write_text(text.replace(finish, guarded), encoding="utf-8")
    assert cli.main(["check", "--isolated", "--output-format", "json", str(subject)]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["code"] == "RS106"
    lines = subject.read_text(encoding="utf-8").splitlines()
    assigned = [row for row, line in enumerate(lines, start=1) if line.strip() == "flag = False"]
    assert len(assigned) == 2, "the fix's own, before the reduction, and the one behind it"
    assert finding["location"]["row"] == assigned[-1]

"""The repairs that fixtures state: offered as case.toml says, and fixed.py is what they make of bug.py."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rslint import cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parents[2] / "fixtures"
MARK = re.compile(rb"[ \t]*# (?:expect|todo-miss|todo-false): RS\d{3}(?:, RS\d{3})*[ \t]*$", re.MULTILINE)


def stated(case: Path) -> dict[str, Any]:
    with case.open("rb") as file:
        return tomllib.load(file)


CASES = {
    f"{path.parent.parent.name}-{path.parent.name}": path
    for path in FIXTURES.glob("RS*/*/case.toml")
    if "fix" in stated(path)
}
REPAIRED = sorted(name for name, path in CASES.items() if (path.parent / "fixed.py").exists())


@pytest.fixture
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The case's bug.py without its marks, as a project of its own, with the settings that the case states."""
    settings = stated(CASES[request.param])["fix"].get("settings", {})
    lines = ["[tool.rslint]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    (tmp_path / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    copy = tmp_path / "bug.py"
    copy.write_bytes(MARK.sub(b"", (CASES[request.param].parent / "bug.py").read_bytes()))
    return copy


@pytest.mark.parametrize(("name", "subject"), [(name, name) for name in sorted(CASES)], indirect=["subject"])
def test_the_repair_is_offered_as_stated(name: str, subject: Path) -> None:
    case = stated(CASES[name])
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.main(["check", "--output-format", "json", str(subject)]) == 1
    offered = {
        "none" if finding["fix"] is None else finding["fix"]["applicability"]
        for finding in json.loads(output.getvalue())
        if finding["code"] == case["code"]
    }
    assert offered == {case["fix"]["applicability"]}


@pytest.mark.parametrize(("name", "subject"), [(name, name) for name in REPAIRED], indirect=["subject"])
def test_the_repair_makes_fixed_of_bug(name: str, subject: Path) -> None:
    unsafe = ["--unsafe-fixes"] if stated(CASES[name])["fix"]["applicability"] == "unsafe" else []
    assert cli.main(["check", "--fix", *unsafe, str(subject)]) == 0
    assert subject.read_bytes() == (CASES[name].parent / "fixed.py").read_bytes()


def test_every_repair_that_is_offered_is_written_down() -> None:
    offered = {
        name for name, path in CASES.items() if stated(path)["fix"]["applicability"] in ("safe", "unsafe")
    }
    assert offered == set(REPAIRED)

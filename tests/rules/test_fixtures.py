"""What the rules say about every fixture: the findings stand exactly on the lines that expect them.

A fixture marks a line with `# expect: RS101`. `# todo-miss: RS101` marks a line whose finding is known to be
missing, `# todo-false: RS101` a line with a finding that is known to be wrong. One that has become
right fails the test, so that the mark is removed. The analyzer never sees the marks. Programs of opt-in rules are
checked with `--preview` and that rule alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from rslint import cli

FIXTURES = Path(__file__).parents[2] / "fixtures"
MARK = re.compile(r"[ \t]*# (expect|todo-miss|todo-false): (RS\d{3}(?:, RS\d{3})*)[ \t]*$", re.MULTILINE)
PROGRAMS = sorted(
    path
    for path in FIXTURES.glob("RS*/*/*.py")
    if path.parent.parent.name != "RS901" and path.name in ("bug.py", "right.py", "fixed.py", "hardened.py")
)
UNREADABLE = sorted((FIXTURES / "RS901").glob("*.txt"))
Marks = Counter[tuple[int, str]]


def identifier(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.parent.name}-{path.stem}"


def marks_of(text: str) -> dict[str, Marks]:
    """(row, code) by kind of mark, each as often as it is written."""
    found: dict[str, Marks] = {"expect": Counter(), "todo-miss": Counter(), "todo-false": Counter()}
    for row, line in enumerate(text.splitlines(), start=1):
        match = MARK.search(line)
        if match:
            found[match[1]].update((row, code) for code in match[2].split(", "))
    return found


OPT_IN = ("RS305",)


def findings_below(folder: Path, report: Path, *options: str) -> dict[Path, Marks]:
    """(row, code) of the findings by file, from one run over the folder; `report` lies outside of it."""
    arguments = [
        "check",
        "--isolated",
        "--exit-zero",
        "--output-format",
        "json",
        "--output-file",
        str(report),
        *options,
    ]
    assert cli.main([*arguments, str(folder)]) == 0
    found: dict[Path, Marks] = {}
    for finding in json.loads(report.read_text(encoding="utf-8")):
        place = (finding["location"]["row"], finding["code"])
        found.setdefault(Path(finding["filename"]), Counter())[place] += 1
    return found


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Marks]:
    """Findings by fixture. Each program is a project of its own, so that none lends evidence to another."""
    root = tmp_path_factory.mktemp("fixtures").resolve()
    copies: dict[Path, Path] = {}
    for program in PROGRAMS:
        project = root / program.relative_to(FIXTURES).with_suffix("")
        project.mkdir(parents=True)
        (project / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
        copies[program] = project / program.name
        copies[program].write_text(MARK.sub("", program.read_text(encoding="utf-8")), encoding="utf-8")
    report = tmp_path_factory.mktemp("report") / "findings.json"
    found = findings_below(root, report)
    for code in OPT_IN:
        below = findings_below(root / code, report, "--preview", "--select", code)
        found = {path: marks for path, marks in found.items() if root / code not in path.parents} | below
    unknown = set(found) - set(copies.values())
    assert not unknown
    return {program: found.get(copy, Counter()) for program, copy in copies.items()}


@pytest.mark.parametrize("program", PROGRAMS, ids=identifier)
def test_findings_stand_where_the_fixture_expects_them(program: Path, findings: dict[Path, Marks]) -> None:
    marks = marks_of(program.read_text(encoding="utf-8"))
    wanted = marks["expect"] + marks["todo-false"]
    assert not marks["todo-miss"] & findings[program], (
        "a missing finding is there now: turn todo-miss into expect"
    )
    assert not marks["todo-false"] - findings[program], "a wrong finding has gone: remove todo-false"
    assert findings[program] == wanted


@pytest.mark.parametrize("program", [path for path in PROGRAMS if path.stem == "bug"], ids=identifier)
def test_a_bug_says_which_line_its_own_rule_reports(program: Path) -> None:
    marks = marks_of(program.read_text(encoding="utf-8"))
    code = program.parent.parent.name
    assert code in {marked for _, marked in marks["expect"] + marks["todo-miss"]}


@pytest.mark.parametrize("program", [path for path in PROGRAMS if path.stem == "right"], ids=identifier)
def test_a_right_program_expects_nothing(program: Path) -> None:
    marks = marks_of(program.read_text(encoding="utf-8"))
    assert not marks["expect"]
    assert not marks["todo-miss"]


def test_every_rule_has_bugs_and_right_looking_programs() -> None:
    counts = Counter((path.parent.parent.name, path.stem) for path in PROGRAMS)
    for code in (
        "RS101", "RS102", "RS103", "RS105", "RS106",
        "RS201", "RS202", "RS203", "RS204", "RS206", "RS207", "RS208",
        "RS301", "RS302", "RS303", "RS304", "RS305", "RS306",
        "RS401", "RS402", "RS403", "RS404", "RS405",
    ):  # fmt: skip
        assert counts[code, "bug"] >= 4
        assert counts[code, "right"] >= 4


def bytes_of(description: Path) -> tuple[int | None, bytes]:
    """The row where reading fails (None: not stated) and the bytes that a description in ASCII stands for."""
    head, _, body = description.read_text(encoding="ascii").partition("\n---\n")
    row = re.search(r"^row: (\d+)$", head, re.MULTILINE)
    data = body.encode("ascii").decode("unicode_escape").encode("latin-1")
    return (int(row[1]) if row else None), data


@pytest.mark.parametrize("description", UNREADABLE, ids=lambda path: path.stem)
def test_an_unreadable_file_is_one_finding_and_the_rest_is_checked(description: Path, tmp_path: Path) -> None:
    row, data = bytes_of(description)
    project = tmp_path.resolve() / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    broken, sound = project / "broken.py", project / "sound.py"
    broken.write_bytes(data)
    program = FIXTURES / "RS102" / "barrier-two-calls-below" / "bug.py"
    sound.write_text(MARK.sub("", program.read_text(encoding="utf-8")), encoding="utf-8")
    found = findings_below(project, tmp_path / "findings.json")
    assert set(found) == {broken, sound}
    assert found[sound] == marks_of(program.read_text(encoding="utf-8"))["expect"]
    (place,) = found[broken].elements()
    assert place[1] == "RS901"
    assert row is None or place[0] == row

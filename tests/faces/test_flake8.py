"""flake8 shows what rslint shows, however flake8 runs its plugins; nothing is done when RS is deselected."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.faces.support import in_new_process, write

ROOT = Path(__file__).parents[2]
FILES = {
    "a.py": "x = 1\nif x:\n    marked()\n",
    "b.py": "s = 'ä€𝄞'; marked()\nmarked(\n    1,\n    2,\n)  # rslint: ignore[RS190] -- last line\n",
    "c.py": "y = 1  # noqa: RS190\nearly()\n",
    "sub/d.py": "marked(touches='../a.py')\nmarked()  # noqa: RS190\nmarked()  # noqa: E501\n",
    "broken.py": "def\n",
}
START = """
import multiprocessing, sys
from flake8.main.cli import main
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv.pop(1))
    sys.exit(main())
"""


@pytest.fixture
def flake8_package(rule_package: Path, tmp_path: Path) -> Path:
    """The tests' rules, and the plugin registered once whether or not rslint is installed."""
    folder = tmp_path / "plugins"
    write(folder, {"rslint_start.py": START})
    if not _is_installed():
        metadata = folder / "rslint-0.dist-info"
        write(metadata, {"METADATA": "Metadata-Version: 2.1\nName: rslint\nVersion: 0\n"})
        points = "[flake8.extension]\nRS = rslint.flake8_plugin:Plugin\n"
        points += "[rslint.rules]\nrslint_rules = rslint_rules:rules\n"
        write(metadata, {"entry_points.txt": points})
    return folder


def _is_installed() -> bool:
    from importlib.metadata import entry_points

    return any(point.name == "RS" for point in entry_points(group="flake8.extension"))


def flake8(
    tree: Path, rule_package: Path, plugins: Path, *arguments: str, start: str = "fork", stdin: str = ""
) -> tuple[list[str], str]:
    """The lines flake8 prints, sorted, and its standard error."""
    command = [sys.executable, str(plugins / "rslint_start.py"), start, *arguments]
    more = {"env": {"PYTHONPATH": ":".join([str(plugins), str(rule_package), *sys.path])}}
    done = in_new_process(command, tree, rule_package, input=stdin, **more)
    return sorted(done.stdout.splitlines()), done.stderr


def rslint_lines(tree: Path, rule_package: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "rslint", "--output-format", "json", *arguments, "."]
    found = json.loads(in_new_process(command, tree, rule_package).stdout)
    return sorted(
        f"./{Path(item['filename']).relative_to(tree).as_posix()}:{item['location']['row']}:"
        f"{item['location']['column']}: {item['code']} {' '.join(item['message'].split())}"
        for item in found
        if item["code"] != "RS901"
    )


@pytest.mark.parametrize(("jobs", "start"), [("1", "fork"), ("2", "fork"), ("2", "spawn")])
def test_same_places_columns_and_codes(
    jobs: str, start: str, tree: Path, rule_package: Path, flake8_package: Path
) -> None:
    write(tree, FILES)
    lines, errors = flake8(
        tree, rule_package, flake8_package, "--select", "RS19,RS9", "-j", jobs, ".", start=start
    )
    expected = rslint_lines(tree, rule_package, "--select", "RS19,RS9")
    assert lines == expected
    assert errors == ""
    assert [line.split()[:2] for line in lines] == [
        ["./a.py:3:5:", "RS190"],
        ["./b.py:1:12:", "RS190"],
        ["./c.py:1:8:", "RS900"],
        ["./sub/d.py:1:1:", "RS190"],
        ["./sub/d.py:3:1:", "RS190"],
    ]


def test_preview_is_the_configurations_word(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    """`--select` alone cannot switch preview rules on, although it beats flake8's own default ignores."""
    write(tree, {"c.py": "early()\n"})
    assert flake8(tree, rule_package, flake8_package, "--select", "RS191", "c.py")[0] == []
    write(tree, {"pyproject.toml": "[tool.rslint]\npreview = true\n"})
    lines, _ = flake8(tree, rule_package, flake8_package, "--select", "RS191", "c.py")
    assert lines == ["c.py:1:1: RS191 a marked call"]


def test_disable_noqa_shows_suppressed_findings(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    write(tree, {"a.py": "marked(\n    1,\n)  # noqa: RS190\n"})
    assert flake8(tree, rule_package, flake8_package, "--select", "RS19", "a.py")[0] == []
    lines, _ = flake8(tree, rule_package, flake8_package, "--select", "RS19", "--disable-noqa", "a.py")
    assert lines == ["a.py:1:1: RS190 a marked call"]


def test_flake8s_selection_decides(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    write(tree, {"a.py": "marked()\n"})

    def codes(*arguments: str) -> list[str]:
        lines, _ = flake8(tree, rule_package, flake8_package, *arguments, "a.py")
        return [line.split()[1] for line in lines]

    assert codes("--extend-ignore", "RS1,F") == []
    assert codes("--select", "RS19", "--extend-ignore", "RS190") == []
    assert codes("--select", "RS190") == ["RS190"]
    assert "RS190" in codes()


def test_nothing_is_done_when_rs_is_deselected(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    write(tree, {"a.py": "marked()\n", "pyproject.toml": "[tool.rslint]\nnonsense = 1\n"})
    lines, errors = flake8(
        tree, rule_package, flake8_package, "--select", "F", "-j", "1", "a.py", start="fork"
    )
    assert lines == ["a.py:1:1: F821 undefined name 'marked'"]
    assert errors == ""
    code = (
        "import sys\nfrom flake8.main.cli import main\nmain(['--select', 'F', '-j', '1', 'a.py'])\n"
        "print([name for name in sys.modules if name.startswith('rslint.')])"
    )
    more = {"env": {"PYTHONPATH": ":".join([str(flake8_package), str(rule_package), *sys.path])}}
    done = in_new_process([sys.executable, "-c", code], tree, rule_package, **more)
    assert done.stdout.splitlines()[-1] == "['rslint.flake8_plugin']"


def test_wrong_configuration_is_one_line(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    write(tree, {"a.py": "", "pyproject.toml": "[tool.rslint]\nnonsense = 1\n"})
    lines, errors = flake8(tree, rule_package, flake8_package, "--select", "RS19", "a.py")
    text = "\n".join([*lines, errors])
    assert f"rslint: {tree}/pyproject.toml:2: nonsense: unknown key" in text
    assert "Traceback" not in text


def test_standard_input(tree: Path, rule_package: Path, flake8_package: Path) -> None:
    write(tree, {"a.py": ""})
    arguments = ("--select", "RS19", "--stdin-display-name", "a.py", "-")
    lines, _ = flake8(tree, rule_package, flake8_package, *arguments, stdin="x = 1\nmarked()\n")
    assert lines == ["a.py:2:1: RS190 a marked call"]


def test_a_path_that_does_not_exist_is_flake8s_to_report(
    tree: Path, rule_package: Path, flake8_package: Path
) -> None:
    write(tree, {"a.py": "marked()\n"})
    lines, errors = flake8(tree, rule_package, flake8_package, "--select", "RS19,E9", "a.py", "no.py")
    assert [line.split()[1] for line in lines] == ["RS190", "E902"]
    assert errors == ""


def test_no_file_is_left_behind(tree: Path, rule_package: Path, flake8_package: Path, tmp_path: Path) -> None:
    write(tree, FILES)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [
        sys.executable,
        str(flake8_package / "rslint_start.py"),
        "spawn",
        "--select",
        "RS19",
        "-j",
        "2",
        ".",
    ]
    paths = ":".join([str(flake8_package), str(rule_package), *sys.path])
    in_new_process(command, tree, rule_package, env={"PYTHONPATH": paths, "TMPDIR": str(scratch)})
    assert list(scratch.iterdir()) == []


def test_all_fixtures_alike(tree: Path, flake8_package: Path) -> None:
    """With the rules that ship: every place, column and code of the fixtures' own findings, in one process or two."""
    shutil.copytree(ROOT / "fixtures", tree / "fixtures")
    expected = [line.split(" ")[:2] for line in rslint_lines(tree, flake8_package)]
    for jobs in ("1", "2"):
        lines, errors = flake8(tree, flake8_package, flake8_package, "--select", "RS", "-j", jobs, ".")
        assert [line.split(" ")[:2] for line in lines] == expected, jobs
        assert errors == ""
    assert {code[:4] for _, code in expected} >= {"RS10", "RS90"}

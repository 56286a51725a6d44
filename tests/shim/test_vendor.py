"""`rslint shim`: what it writes, what it leaves alone, and how it tells whether a file is current."""

from __future__ import annotations

import contextlib
import io
import stat
from pathlib import Path

import pytest

from rslint import cli
from rslint.shim.one_file_form import parts_of, read, written
from rslint.shim.vendor import CARRIED

CARRIED_TEXT = CARRIED.read_text(encoding="utf-8")


def shim(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `rslint shim`."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = cli.main(["shim", *map(str, arguments)])
    return status, output.getvalue(), errors.getvalue()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A place in a package of a project."""
    (tmp_path / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    package = tmp_path / "src" / "engine" / "utils"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    return package / "rank_safety.py"


def outdated(path: Path) -> None:
    """The file as another version has written it: its digest is right, its text another."""
    whole = read(CARRIED_TEXT)
    path.write_text(written(type(whole)(**{**vars(whole), "version": "0.0.9"})), encoding="utf-8")


def test_it_writes_the_library_and_says_how_fixes_find_it(target: Path) -> None:
    status, output, _ = shim("--vendor", target)
    assert status == 0
    assert target.read_text(encoding="utf-8") == CARRIED_TEXT
    assert 'runtime-module = "engine.utils.rank_safety"' in output
    assert [path.name for path in sorted(target.parent.iterdir())] == ["__init__.py", "rank_safety.py"]


def test_where_the_configuration_names_it_already_nothing_more_is_said(tmp_path: Path, target: Path) -> None:
    table = '[tool.rslint]\nruntime-module = "engine.utils.rank_safety"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    _, output, _ = shim("--vendor", target)
    assert len(output.splitlines()) == 1


def test_a_current_file_is_not_written_again(target: Path) -> None:
    shim("--vendor", target)
    written_at = target.stat().st_mtime_ns
    status, output, _ = shim("--vendor", target)
    assert (status, target.stat().st_mtime_ns) == (0, written_at)
    assert "already current" in output


def test_only_the_parts_that_are_asked_for_are_written_and_kept(target: Path) -> None:
    shim("--vendor", target, "--parts", "memory_fence")
    order = target.read_text(encoding="utf-8")
    assert order == written(parts_of(read(CARRIED_TEXT), ["order"]))
    shim("--vendor", target)
    assert target.read_text(encoding="utf-8") == order
    assert shim("--check", target)[0] == 0
    assert shim("--check", target, "--parts", "collectives")[0] == 1
    shim("--vendor", target, "--parts", "collectives,order")
    assert "broadcast_result" in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["--check", "{}"], ["--vendor", "{}", "--check"]])
def test_check_says_current_outdated_changed_foreign_and_missing(target: Path, arguments: list[str]) -> None:
    def checked() -> tuple[int, str]:
        status, output, _ = shim(*(argument.format(target) for argument in arguments))
        return status, output

    assert checked()[0] == 1
    assert "there is no such file" in checked()[1]
    shim("--vendor", target)
    assert checked() == (0, f"{target}: current: {checked()[1].partition(': current: ')[2]}")
    outdated(target)
    assert checked()[0] == 1
    assert "outdated: it is rslint-runtime 0.0.9" in checked()[1]
    target.write_text(CARRIED_TEXT + "# ours\n", encoding="utf-8")
    assert checked()[0] == 1
    assert "changed by hand" in checked()[1]
    target.write_text("import os\n", encoding="utf-8")
    assert checked()[0] == 1
    assert "not written by `rslint shim`" in checked()[1]


def test_check_writes_nothing(target: Path) -> None:
    shim("--vendor", target, "--check")
    assert not target.exists()


def test_line_ends_do_not_count(target: Path) -> None:
    target.write_bytes(CARRIED_TEXT.replace("\n", "\r\n").encode())
    assert shim("--check", target)[0] == 0


def test_an_outdated_file_is_renewed_and_keeps_its_mode(target: Path) -> None:
    outdated(target)
    target.chmod(0o640)
    assert shim("--vendor", target)[0] == 0
    assert target.read_text(encoding="utf-8") == CARRIED_TEXT
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("text", ["import os\n", "", CARRIED_TEXT + "# ours\n", "\ufeff" + CARRIED_TEXT])
def test_what_is_not_ours_or_was_changed_is_left_alone_without_force(target: Path, text: str) -> None:
    target.write_text(text, encoding="utf-8")
    status, _, errors = shim("--vendor", target)
    assert (status, target.read_text(encoding="utf-8")) == (2, text)
    assert "left alone without --force" in errors
    assert shim("--vendor", target, "--force")[0] == 0
    assert target.read_text(encoding="utf-8") == CARRIED_TEXT


def test_bytes_that_are_no_text_are_not_ours(target: Path) -> None:
    target.write_bytes(b"\xff\xfe")
    assert shim("--vendor", target)[0] == 2
    assert target.read_bytes() == b"\xff\xfe"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one file"),
        (["--check"], "name one file"),
        (["--vendor", "a.py", "--check", "b.py"], "name one file"),
        (["--vendor", "pyproject.toml"], "is to be a Python file"),
        (["--vendor", "."], "is to be a Python file"),
        (["--vendor", "missing/a.py"], "the folder missing is not there; make it first"),
        (["--vendor", "a.py", "--parts", "foo"], 'no part "foo"; there are '),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, output, errors = shim(*arguments)
    assert (status, output) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


PROGRAM = """\
import torch.distributed as dist


def look_up(rank, client, key):
    objects = [None]
    if rank == 0:
        objects[0] = client.get(key)
    dist.broadcast_object_list(objects, src=0)
    found = objects[0]
    return found


def step(rank, manager_client, key):
    try:
        return look_up(rank, manager_client, key)
    except Exception:
        return None
"""


def test_fixes_of_a_project_import_the_vendored_file_and_it_has_no_findings(
    tmp_path: Path, target: Path
) -> None:
    shim("--vendor", target)
    table = '[tool.rslint]\nruntime-module = "engine.utils.rank_safety"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    program = target.with_name("scheduler.py")
    program.write_text(PROGRAM, encoding="utf-8")
    assert cli.main(["check", "--select", "RS1", str(tmp_path)]) == 1
    assert cli.main(["check", "--fix", "--unsafe-fixes", "--select", "RS1", str(tmp_path)]) == 0
    after = program.read_text(encoding="utf-8")
    assert "from engine.utils.rank_safety import broadcast_result\n" in after
    assert "found = broadcast_result(lambda: client.get(key), src=0)\n" in after


def test_an_explicit_style_decides_over_the_module(tmp_path: Path, target: Path) -> None:
    shim("--vendor", target)
    table = '[tool.rslint]\nruntime-module = "engine.utils.rank_safety"\nfix-style = "inline"\n'
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    program = target.with_name("scheduler.py")
    program.write_text(PROGRAM, encoding="utf-8")
    cli.main(["check", "--fix", "--unsafe-fixes", "--exit-zero", "--select", "RS1", str(tmp_path)])
    assert "rank_safety" not in program.read_text(encoding="utf-8")

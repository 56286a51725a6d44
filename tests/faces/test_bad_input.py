"""What bad input leads to: one clear line, the right exit code, and the rest of the run unharmed."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faces.support import RunRslint, in_new_process, write

GOOD = {"good.py": "marked()\n"}


@dataclass(frozen=True)
class WrongUse:
    """Files, arguments, and the one line on standard error that the run ends with."""

    files: dict[str, str | bytes]
    arguments: tuple[str, ...]
    line: str


def configured(text: str, line: str, *arguments: str) -> WrongUse:
    return WrongUse({"pyproject.toml": text}, arguments, line)


WRONG_USES = {
    "path-that-does-not-exist": WrongUse({}, ("nowhere",), r"nowhere: no such file or folder; correct .*"),
    "path-below-a-file": WrongUse({}, ("good.py/x.py",), r"good\.py/x\.py: no such file or folder; .*"),
    "unknown-code": WrongUse({}, ("--select", "RS77"), r'--select: unknown code "RS77"; .*`rslint rules`.*'),
    "unknown-ignored-code": WrongUse({}, ("--ignore", "RS19,XX1"), r'--ignore: unknown code "XX1"; .*'),
    "mistyped-code": WrongUse({}, ("--extend-select", "RS910"), r".*did you mean RS9\d\d\? .*"),
    "stdin-and-paths": WrongUse({}, ("-", "good.py"), r"`-` stands alone: .*"),
    "name-without-stdin": WrongUse(
        {}, ("--stdin-filename", "a.py"), r"--stdin-filename names .*; pass `-` .*"
    ),
    "config-and-isolated": WrongUse({}, ("--config", "c.toml", "--isolated"), r".* exclude each other; .*"),
    "config-that-does-not-exist": WrongUse({}, ("--config", "c.toml"), r".*/c\.toml: cannot be read: .*"),
    "output-folder-that-does-not-exist": WrongUse({}, ("-o", "no/x"), r"--output-file no/x: .*; name a .*"),
    "unknown-key": configured(
        "[project]\nname = 'x'\n[tool.rslint]\nselekt = ['RS1']\n",
        r".*/pyproject\.toml:4: selekt: unknown key in \[tool\.rslint\]; did you mean select\?",
    ),
    "unknown-table": configured(
        "[tool.rslint.lint]\nselect = ['RS1']\n",
        r".*/pyproject\.toml:1: lint: unknown key in \[tool\.rslint\]; known keys: select, .*",
    ),
    "string-for-a-list": configured(
        "[tool.rslint]\nselect = 'RS1'\n", r".*/pyproject\.toml:2: select: expected a list of strings, .*"
    ),
    "number-in-a-list": configured("[tool.rslint]\nignore = [1]\n", r".*:2: ignore: expected a list .*"),
    "text-for-a-boolean": configured(
        "[tool.rslint]\npreview = 'yes'\n", r".*:2: preview: expected true or false"
    ),
    "unknown-style": configured(
        "[tool.rslint]\nfix-style = 'rt'\n", r".*:2: fix-style: expected one of 'inline', 'runtime'"
    ),
    "unknown-confidence": configured(
        "[tool.rslint]\nmin-confidence = 3\n", r".*:2: min-confidence: expected .*"
    ),
    "no-module-name": configured(
        "[tool.rslint]\nruntime-module = 'a/b.py'\n", r".*:2: runtime-module: .* write it dotted, .*"
    ),
    "no-version": configured(
        "[tool.rslint]\ntarget-version = '3'\n", r'.*:2: target-version: .* as "py310" .*'
    ),
    "no-code": configured("[tool.rslint]\nselect = ['rs-1']\n", r'.*:2: select: "rs-1" is no rule code .*'),
    "configured-code-without-rule": configured(
        "[tool.rslint]\nignore = ['RS77']\n", r'.*/pyproject\.toml: ignore: unknown code "RS77"; .*'
    ),
    "per-file-ignores-that-are-no-table": configured(
        "[tool.rslint]\nper-file-ignores = ['RS1']\n", r".*:2: per-file-ignores: expected a table .*"
    ),
    "per-file-ignored-code-without-rule": configured(
        "[tool.rslint.per-file-ignores]\n'a*' = ['RS77']\n", r'.*per-file-ignores "a\*": unknown code .*'
    ),
    "tool-rslint-that-is-no-table": configured(
        "[tool]\nrslint = 3\n", r".*: tool\.rslint is no table; write .*"
    ),
    "broken-pyproject": configured(
        "[tool.rslint]\nselect = [\n",
        r".*/pyproject\.toml:\d+(:\d+)?: broken TOML: .*; correct it or pass --isolated",
    ),
    "pyproject-of-another-encoding": WrongUse(
        {"pyproject.toml": "[tool.rslint]\n# ä\n".encode("latin-1")}, (), r".*: broken TOML: not UTF-8 .*"
    ),
    "model-file-that-does-not-exist": configured(
        "[tool.rslint]\nmodels = ['m.toml']\n",
        r".*/pyproject\.toml:2: models: .*/m\.toml does not exist; correct .*",
    ),
    "broken-model-file": WrongUse(
        {"pyproject.toml": "[tool.rslint]\nmodels = ['m.toml']\n", "m.toml": "[[collective]]\nx = \n"},
        (),
        r".*/m\.toml:2: not valid TOML: .*",
    ),
    "model-file-with-an-unknown-table": WrongUse(
        {"pyproject.toml": "[tool.rslint]\nmodels = ['m.toml']\n", "m.toml": "[[colective]]\nx = 1\n"},
        (),
        r".*/m\.toml.*colective.*",
    ),
}


@pytest.mark.parametrize("case", WRONG_USES.values(), ids=WRONG_USES.keys())
def test_wrong_use_is_one_line_and_exit_code_2(case: WrongUse, rslint: RunRslint, tree: Path) -> None:
    write(tree, {**GOOD, **case.files})
    done = rslint(*case.arguments, select=None)
    assert done.status == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert re.fullmatch(f"error: {case.line}", line), line


@pytest.mark.parametrize("option", ["--selekt", "--output-format=xml", "--jobs=0", "--jobs=x"])
def test_unknown_options_are_wrong_use(option: str, rslint: RunRslint, tree: Path) -> None:
    assert rslint(option).status == 2


UNREADABLE = {
    "undecodable": (b"x = 1\ny = '\xff\xfe'\n", 2, r"cannot be decoded: .*"),
    "unknown-encoding": (b"# coding: klingon\n", 1, r"cannot be decoded: unknown encoding: klingon.*"),
    "encoding-that-is-no-text": (b"# coding: hex\n6162\n", 1, r"cannot be decoded: .*"),
    "no-python": (b"x = 1\ndef f(:\n    pass\n", 2, r"invalid syntax"),
    "unclosed": (b"x = (1,\n", 1, r"'\(' was never closed"),
    "null-bytes": (b"x = 1\n\0\n", 2, r".*null bytes"),
    "twenty-thousand-nested-terms": (
        b"x = " + b"(" * 20_000 + b"1" + b")" * 20_000 + b"\n",
        1,
        r".*(nest|paren|deep).*",
    ),
    "twenty-thousand-nested-calls": (
        b"x = " + b"f(" * 20_000 + b")" * 20_000 + b"\n",
        1,
        r".*(nest|paren|deep).*",
    ),
    "twenty-thousand-nested-minuses": (b"x = " + b"-" * 20_000 + b"1\n", 1, r".*(nest|deep|recursion).*"),
}


@pytest.mark.parametrize(("data", "row", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("marker", [b"", b"# broadcast all_reduce\n"], ids=["plain", "with-marker"])
def test_files_that_cannot_be_read_are_rs901(
    data: bytes, row: int, reason: str, marker: bytes, rslint: RunRslint, tree: Path
) -> None:
    write(tree, {**GOOD, "bad.py": data + (marker if b"coding" in data else b"")})
    done = rslint("--output-format", "json")
    found = {item["code"]: item for item in json.loads(done.out)}
    assert done.status == 1
    assert sorted(found) == ["RS190", "RS901"]
    assert re.fullmatch(reason, found["RS901"]["message"]), found["RS901"]["message"]
    assert found["RS901"]["location"]["row"] == row
    assert done.err == ""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python parses template strings")
def test_a_file_that_needs_a_newer_python_says_so(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"new.py": "try:\n    pass\nexcept* A, B:\n    pass\n", "old.py": "print 1\n"})
    found = json.loads(rslint("--output-format", "json").out)
    assert [Path(item["filename"]).name for item in found] == ["new.py", "old.py"]


def test_another_users_file_is_rs901(rule_package: Path) -> None:
    """Root reads everything, so root's run drops its rights, after one run that loads what Python needs."""
    code = """
import contextlib, io, os, sys
import rslint.run
from rslint.cli import main
rules = rslint.run.load_rules()
rslint.run.load_rules = lambda: rules
arguments = ["--select", "RS190,RS901", "--output-format", "concise", "."]
with contextlib.redirect_stdout(io.StringIO()):
    main(arguments)
if hasattr(os, "geteuid") and os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
os.chdir(sys.argv[1])
sys.exit(main(arguments))
"""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as harmless:
        tree = Path(name)
        write(tree, {**GOOD, "pyproject.toml": "", "secret.py": "x = 1\n"})
        write(Path(harmless), {**GOOD, "pyproject.toml": ""})
        tree.chmod(0o755)
        (tree / "secret.py").chmod(0o000)
        done = in_new_process([sys.executable, "-c", code, name], Path(harmless), rule_package)
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert lines[0].startswith("good.py:1:1: RS190")
    assert lines[1] == "secret.py:1:1: RS901 cannot be read: Permission denied"
    assert done.returncode == 1


def test_a_generated_file_of_5_mb_is_analysed(rslint: RunRslint, tree: Path) -> None:
    rows = "TABLE = [\n" + "    'broadcast', 12345678,\n" * 190_000 + "]\nmarked()\n"
    write(tree, {"generated.py": rows})
    assert (tree / "generated.py").stat().st_size > 4_900_000
    assert "generated.py:190003:1: RS190" in rslint("--output-format", "concise").out


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and FIFOs are POSIX's")
def test_what_is_no_file_is_skipped_and_said(rslint: RunRslint, tree: Path) -> None:
    write(tree, {**GOOD, "pkg/a.py": ""})
    (tree / "loop.py").symlink_to("loop.py")
    (tree / "pkg/up").symlink_to("..")
    (tree / "twin.py").symlink_to("good.py")
    os.mkfifo(tree / "pipe.py")
    done = rslint("--output-format", "concise")
    assert done.out.splitlines()[0] == "good.py:1:1: RS190 [*] a marked call"
    assert "Found 1 error" in done.out
    assert done.err.splitlines() == [
        f"{tree}/loop.py: skipped: Too many levels of symbolic links",
        f"{tree}/pipe.py: skipped: no regular file",
        f"{tree}/pkg/up: skipped: a symbolic link to a folder that holds it",
    ]
    assert done.status == 1


@pytest.mark.skipif(os.name != "posix", reason="FIFOs are POSIX's")
def test_a_fifo_named_on_the_command_line_is_skipped_and_said(rslint: RunRslint, tree: Path) -> None:
    os.mkfifo(tree / "pipe.py")
    done = rslint("pipe.py")
    assert (done.status, done.err) == (0, f"{tree}/pipe.py: skipped: no regular file\n")


def test_a_file_that_vanishes_is_skipped_and_said(
    rslint: RunRslint, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rslint.run as run

    write(tree, {**GOOD, "brief.py": "x = 1\n"})
    discover = run.discover

    def discover_then_remove(request: run.Request) -> object:
        found = discover(request)
        (tree / "brief.py").unlink()
        return found

    monkeypatch.setattr(run, "discover", discover_then_remove)
    done = rslint("--output-format", "concise", select="RS901")
    assert (done.status, done.out) == (0, "All checks passed!\n")
    assert done.err == f"{tree}/brief.py: skipped: it vanished during the run\n"


def test_a_file_changed_between_check_and_fix_is_left_alone_and_said(
    rslint: RunRslint, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rslint.fix as fix

    write(tree, {"a.py": "marked()\n", "b.py": "marked()\n"})
    write_all = fix.write_all

    def edited_meanwhile(repaired: fix.Repaired) -> tuple[str, ...]:
        (tree / "a.py").write_text("marked()  # mine\n")
        return write_all(repaired)

    monkeypatch.setattr(fix, "write_all", edited_meanwhile)
    done = rslint("--fix")
    assert (tree / "a.py").read_text() == "marked()  # mine\n"
    assert (tree / "b.py").read_text() == "unmarked()\n"
    assert f"{tree}/a.py: left alone: it changed between check and fix" in done.err
    assert "1 fixed" in done.out


def test_a_rule_that_raises_costs_only_its_own_findings(rslint: RunRslint, tree: Path) -> None:
    write(tree, {**GOOD, "b.py": "explode()\n"})
    done = rslint("--output-format", "concise")
    assert done.status == 2
    assert [line[:17] for line in done.out.splitlines()[:2]] == ["b.py:1:1: RS192 a", "good.py:1:1: RS19"]
    (line,) = done.err.splitlines()
    assert re.fullmatch(
        rf"error: RS192 \(raising-rule\) failed in its check on {tree}/b\.py: "
        r"RuntimeError: a bug in the rule \(at marked_rules\.py:\d+\)",
        line,
    )


def test_a_fix_that_raises_costs_only_itself(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked('explode_fix')\n", "b.py": "marked()\n"})
    done = rslint("--output-format", "concise")
    assert done.status == 2
    assert "a.py:1:1: RS190 a marked call" in done.out
    assert "b.py:1:1: RS190 [*] a marked call" in done.out
    assert "error: RS190 (marked-call) failed in its fix on" in done.err


def test_an_internal_error_exits_with_2(tree: Path, rule_package: Path) -> None:
    code = (
        "import sys, rslint.cli as cli\n"
        "def broken(options): raise ZeroDivisionError\n"
        "cli._COMMANDS['rules'] = broken\n"
        "sys.exit(cli.main(['rules']))"
    )
    done = in_new_process([sys.executable, "-c", code], tree, rule_package)
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr

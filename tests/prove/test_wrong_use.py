"""Wrong use of `rslint prove` is one line that names what, where and the remedy, and exit code 2."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
from pathlib import Path

import pytest

from rslint import cli
from rslint.proof.find import is_code


def prove(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and standard error; nothing is printed otherwise."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = cli.main(["prove", *map(str, arguments)])
    assert output.getvalue() == ""
    return status, errors.getvalue()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "Object missing required field `code`"),
        ('code = "RS101', "broken TOML"),
        ('code = "RS101"\nworld = [2]\n', "unknown field `world`"),
        ('code = "RS101"\n[[run]]\nfile = "bug.py"\noutcome = "hangs"\n', "Invalid enum value 'hangs'"),
        (
            'code = "RS101"\n[[run]]\nfile = "bug.py"\noutcome = "failed"\nfault = 1\n',
            "unknown field `fault`",
        ),
        ('code = "RS101"\n[[run]]\nfile = "other.py"\noutcome = "failed"\n', "[[run]]: there is no other.py"),
        ('code = "RS101"\nworld_sizes = "two"\n', "Expected `array`"),
        ('code = "RS101"\n[fix]\napplicability = "maybe"\n', "Invalid enum value 'maybe'"),
        ('code = "RS101"\nworld_sizes = [0]\n', "world_sizes: 1 to 128 ranks"),
        (
            'code = "RS101"\n[[explore]]\nfile = "bug.py"\nscenario = "x"\noutcome = "deadlock"\n',
            "file.py:function",
        ),
    ],
)
def test_a_case_that_cannot_be_read(tmp_path: Path, toml: str, message: str) -> None:
    (tmp_path / "case.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "bug.py").touch()
    status, error = prove(tmp_path)
    assert status == 2
    assert error.startswith(f"error: {tmp_path / 'case.toml'}: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_path_that_does_not_exist_or_holds_no_case(tmp_path: Path) -> None:
    assert prove(tmp_path / "nowhere") == (
        2,
        f"error: {tmp_path / 'nowhere'}: no such file or folder; correct the path\n",
    )
    status, error = prove(tmp_path)
    assert status == 2
    assert error.startswith(f"error: {tmp_path}: there is no case.toml; ")


def test_a_code_that_no_rule_has() -> None:
    status, error = prove("RS999")
    assert status == 2
    assert 'unknown code "RS999"' in error


def test_a_code_without_a_case(tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text('code = "RS101"\n', encoding="utf-8")
    (tmp_path / "bug.py").touch()
    status, error = prove("RS103", tmp_path)
    assert status == 2
    assert f"no case of RS103 in {tmp_path}" in error


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
        return None if name in ("torch", "rslint_runtime") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    status, error = prove("RS101")
    assert status == 2
    assert error == (
        "error: the proofs run the programs, which needs rslint_runtime, torch: pip install 'rslint-runtime[torch]'\n"
    )


def test_a_code_is_what_looks_like_one_and_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_code("RS101")
    assert is_code("RS1")
    assert not is_code("cases")
    (tmp_path / "RS101").mkdir()
    assert not is_code("RS101")
    assert not is_code("./RS1")

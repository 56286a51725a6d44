"""Finds cases: the fixtures that come with rslint, and a user's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import rslint
from rslint.project.config import ConfigError
from rslint.proof.case import BUG, Case, CaseError, read_case
from rslint.registry import check_selectors, load_rules, matches

_CODE = re.compile(r"[A-Z]+[0-9]+$")


def shipped_fixtures() -> Path:
    """The folder of the fixtures: in the wheel below the package, in a checkout beside it."""
    package = Path(rslint.__file__).parent
    return next(folder for folder in (package / "fixtures", package.parent / "fixtures") if folder.is_dir())


def is_code(text: str) -> bool:
    """Whether an argument means a rule, not a path."""
    return _CODE.match(text) is not None and not Path(text).exists()


def fixable_codes() -> tuple[str, ...]:
    """The codes of the installed rules that offer a fix."""
    return tuple(rule.code for rule in load_rules() if rule.fix_summary != "none")


def cases_for(codes: Sequence[str], paths: Sequence[Path]) -> list[Case]:
    """The cases with a bug of these codes (of every fixable one when none is given), in these folders (the shipped
    fixtures when none is given).

    Raises ConfigError for an unknown code, a path without a case, and a case that cannot be read.
    """
    check_selectors(load_rules(), codes, "rslint prove")
    folders = _case_folders(paths) if paths else sorted(file.parent for file in _below(shipped_fixtures()))
    wanted = codes or (() if paths else fixable_codes())
    try:
        cases = [read_case(folder) for folder in folders if (folder / BUG).is_file()]
    except CaseError as error:
        raise ConfigError(str(error)) from None
    found = [case for case in cases if not wanted or any(matches(case.code, code) for code in wanted)]
    if not found:
        where = ", ".join(map(str, paths)) if paths else "the fixtures that come with rslint"
        raise ConfigError(
            f"no case of {', '.join(wanted) or 'any code'} in {where}; docs/fixtures.md describes one"
        )
    return found


def _below(folder: Path) -> Iterable[Path]:
    return folder.rglob("case.toml")


def _case_folders(paths: Sequence[Path]) -> list[Path]:
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path}: no such file or folder; correct the path")
        folder = (path if path.is_dir() else path.parent).resolve()
        below = {file.parent for file in _below(folder)} if path.is_dir() else {folder}
        if not any((one / "case.toml").is_file() for one in below):
            raise ConfigError(f"{path}: there is no case.toml; docs/fixtures.md describes a case")
        found |= below
    return sorted(found)

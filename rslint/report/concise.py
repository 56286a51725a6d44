"""The concise output: one line per finding, `file:row:column: CODE [*] message`, as ruff has it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from rslint.finding import Applicability, Finding


def format_concise(findings: Iterable[Finding], folder: Path, allowed: Collection[Applicability]) -> str:
    """Names below `folder` are shown relative to it. `allowed` are the fixes that `--fix` would apply."""
    return "".join(f"{headline(finding, folder, allowed)}\n" for finding in findings)


def headline(finding: Finding, folder: Path, allowed: Collection[Applicability]) -> str:
    place = finding.place
    mark = "[*] " if fixable(finding, allowed) else ""
    level = "" if finding.severity.value == "error" else f"{finding.severity.value}: "
    shown = shown_name(place.filename, folder)
    return f"{shown}:{place.row}:{place.column}: {finding.code} {mark}{level}{one_line(finding.message)}"


def fixable(finding: Finding, allowed: Collection[Applicability]) -> bool:
    return finding.fix is not None and finding.fix.applicability in allowed


def one_line(text: str) -> str:
    return " ".join(text.split())


def shown_name(filename: str, folder: Path) -> str:
    """The name as the user would type it: relative below the current folder, else absolute."""
    prefix = str(folder).rstrip(os.sep) + os.sep
    return filename.removeprefix(prefix)

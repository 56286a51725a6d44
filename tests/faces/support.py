"""A rule package of the tests' own, and files and processes for the tests of the faces."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RULES = '''
"""Rules for tests: they look at calls by name and need no analysis of flow."""
import ast
from pathlib import Path

from rslint.finding import *
from rslint.rule import Rule


def calls(analysis, name):
    for file in analysis.project.files:
        data = analysis.project.overrides.get(file.path)
        if data is None:
            try:
                data = file.path.read_bytes()
            except OSError:
                continue
        if name.encode() not in data:
            continue
        try:
            tree = ast.parse(data)
        except SyntaxError:
            continue
        rows = data.decode("utf-8").splitlines()
        for statement in ast.walk(tree):
            if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
                continue
            call = statement.value
            if isinstance(call.func, ast.Name) and call.func.id == name:
                yield file, statement, call, rows


def place_of(path, node, rows):
    def column(row, offset):
        return len(rows[row - 1].encode()[:offset].decode()) + 1
    return Place(str(path), node.lineno, column(node.lineno, node.col_offset),
                 node.end_lineno, column(node.end_lineno, node.end_col_offset))


def finding(code, name, file, statement, call, rows, **more):
    keywords = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    related = ()
    if "touches" in keywords:
        other = file.path.parent / keywords["touches"]
        related = (Related(Place(str(other), 1, 1, 1, 1), "touched"),)
    return Finding(
        code=code, name=name, severity=Severity.ERROR,
        confidence=Confidence(keywords.get("confidence", "high")),
        message="a marked\\ncall", place=place_of(file.path, call, rows), function="",
        noqa_rows=(statement.lineno, statement.end_lineno), related=related,
        preview=keywords.get("preview", False), **more)


def check_marked(analysis):
    for file, statement, call, rows in calls(analysis, "marked"):
        yield finding("RS190", "marked-call", file, statement, call, rows)


def fix_marked(request):
    place = request.finding.place
    text = request.source.rows[place.row - 1][place.column - 1 :]
    if "explode_fix" in text:
        raise RuntimeError("no fix today")
    kind = Applicability.UNSAFE if "unsafe" in text else Applicability.SAFE
    end = place.column + len("marked")
    edit = Edit(Place(place.filename, place.row, place.column, place.row, end), "unmarked")
    return Fix(kind, "Unmark it", (edit,))


def check_early(analysis):
    for file, statement, call, rows in calls(analysis, "early"):
        yield finding("RS191", "early-call", file, statement, call, rows)


def check_raising(analysis):
    for file, statement, call, rows in calls(analysis, "explode"):
        yield finding("RS192", "raising-rule", file, statement, call, rows)
        raise RuntimeError("a bug in\\nthe rule")


def rules():
    return (
        Rule("RS190", "marked-call", "calls of marked()", "# marked-call (RS190)", check_marked, fix_marked,
             "unmark it (safe)"),
        Rule("RS191", "early-call", "calls of early()", "# early-call (RS191)", check_early, preview=True),
        Rule("RS192", "raising-rule", "calls of explode()", "# raising-rule (RS192)", check_raising),
        *_hygiene(),
    )


def _hygiene():
    from importlib.metadata import entry_points
    if any(point.value == "rslint_rules:rules" for point in entry_points(group="rslint.rules")):
        return ()
    from rslint_rules.hygiene import rs900_unused_suppression, rs901_unreadable_file
    return rs900_unused_suppression.RULE, rs901_unreadable_file.RULE
'''


@dataclass(frozen=True)
class Outcome:
    """What one call of the command line did."""

    status: int
    out: str
    err: str


RunRslint = Callable[..., Outcome]


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Create files by name; text is dedented."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(textwrap.dedent(content), encoding="utf-8")


def in_new_process(
    arguments: list[str], folder: Path, rule_package: Path, **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command with the tests' rules installed."""
    paths = [str(rule_package), *(path for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more.pop("env", {})}
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, **more
    )

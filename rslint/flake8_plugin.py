"""The flake8 plugin: one rslint run in flake8's main process, its findings handed out file by file.

flake8 runs every installed plugin even when its codes are deselected, so its decision engine is asked first
and nothing else is imported unless it selects one of our codes. Worker processes inherit the findings under
fork; under spawn they parse the options again and read the findings from a file that this process names in
the environment.
"""

from __future__ import annotations

import argparse
import ast
import atexit
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rslint import __version__

if TYPE_CHECKING:
    from rslint.run import RunRequest

# flake8 itself reports files that cannot be read or parsed (E902, E999) and gives no plugin a chance to.
_REPORTED_BY_FLAKE8 = frozenset({"RS901"})
_SHARED = "RSLINT_FLAKE8_FINDINGS"

# By absolute file name: row from 1, column from 1, text.
FindingsByFile = Mapping[str, list[tuple[int, int, str]]]


class Plugin:
    """What flake8 calls once per file."""

    name = "rslint"
    version = __version__
    findings: ClassVar[FindingsByFile] = {}

    def __init__(self, tree: ast.AST, filename: str) -> None:
        self.filename = filename

    @classmethod
    def parse_options(cls, options: argparse.Namespace) -> None:
        """Check everything flake8 was asked to check; flake8 calls this once per process before any file."""
        codes = _selected_codes(options)
        if not codes:
            cls.findings = {}
            return
        shared = os.environ.get(_SHARED)
        if multiprocessing.parent_process() is not None and shared:
            cls.findings = _received(shared)
            return
        cls.findings = _check(options, codes)
        if options.jobs.is_auto or options.jobs.n_jobs > 1:
            _hand_out(cls.findings)

    def run(self) -> Iterator[tuple[int, int, str, type[Any]]]:
        """The findings of this file. flake8 counts columns from 0 here and adds 1."""
        for row, column, text in self.findings.get(_absolute(self.filename), ()):
            yield row, column - 1, text, type(self)


def _selected_codes(options: argparse.Namespace) -> frozenset[str]:
    """The codes of installed rules that flake8 would show. Rules are imported only if their prefix can be."""
    from flake8.style_guide import Decision, DecisionEngine  # type: ignore[import-untyped]

    engine = DecisionEngine(options)
    if not _may_select(engine, options):
        return frozenset()
    from rslint.registry import load_rules

    codes = (rule.code for rule in load_rules())
    return frozenset(
        code
        for code in codes
        if code not in _REPORTED_BY_FLAKE8 and engine.decision_for(code) is Decision.Selected
    )


def _may_select(engine: Any, options: argparse.Namespace) -> bool:
    """Whether any code that begins with RS can be selected, judged without importing a rule."""
    from flake8.style_guide import Decision

    if engine.decision_for("RS") is Decision.Selected:
        return True
    selected = (*(options.select or ()), *(options.extend_select or ()))
    return any(selector.startswith("RS") for selector in selected)


def _check(options: argparse.Namespace, codes: frozenset[str]) -> FindingsByFile:
    """One run over flake8's own PATHS."""
    from flake8.exceptions import ExecutionError  # type: ignore[import-untyped]

    from rslint.project.config import ConfigError
    from rslint.report.concise import one_line
    from rslint.run import check

    try:
        result = check(_request(options, codes))
    except ConfigError as error:
        raise ExecutionError(f"rslint: {error}") from None
    for line in (*result.skipped, *(f"error: {failure}" for failure in result.failures)):
        print(f"rslint: {line}", file=sys.stderr)
    by_file: dict[str, list[tuple[int, int, str]]] = {}
    for finding in result.findings:
        place = finding.place
        text = f"{finding.code} {one_line(finding.message)}"
        by_file.setdefault(place.filename, []).append((place.row, place.column, text))
    return by_file


def _request(options: argparse.Namespace, codes: frozenset[str]) -> RunRequest:
    from pathlib import Path

    from rslint.project.discover import Request, absolute
    from rslint.run import RunRequest, Settings

    paths = [absolute(Path(name)) for name in options.filenames or ["."] if name != "-"]
    overrides = {}
    if "-" in (options.filenames or ()):
        from flake8.utils import stdin_get_value  # type: ignore[import-untyped]

        stdin = absolute(Path(options.stdin_display_name))
        overrides[stdin] = stdin_get_value().encode("utf-8")
        paths.append(stdin)
    # flake8 reports paths that do not exist itself, as E902.
    known = tuple(path for path in paths if path in overrides or path.exists())
    return RunRequest(
        Request(known, overrides=overrides),
        Settings(only=codes),
        honour_suppressions=not options.disable_noqa,
        attach_fixes=False,
    )


def _absolute(filename: str) -> str:
    return os.path.normpath(os.path.abspath(filename))


def _hand_out(findings: FindingsByFile) -> None:
    handle, path = tempfile.mkstemp(prefix="rslint-flake8-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(findings, stream)
    os.environ[_SHARED] = path
    atexit.register(_forget, path, os.getpid())


def _received(path: str) -> FindingsByFile:
    with open(path, encoding="utf-8") as stream:
        loaded: dict[str, list[list[Any]]] = json.load(stream)
    return {name: [(row, column, text) for row, column, text in found] for name, found in loaded.items()}


def _forget(path: str, owner: int) -> None:
    """A forked worker inherits this exit function; only the main process may act on it."""
    if os.getpid() == owner and os.path.exists(path):
        os.unlink(path)

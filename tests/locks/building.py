"""Small projects for the tests of locks; what is expected of a row stands beside it: `# => split`.

A suspect that is shown with `--preview` alone is expected as `# => (split)`. Rows without a mark are silent.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from rslint.flow.analysis import Analysis, analyse
from rslint.locks.find import lock_suspects
from rslint.locks.suspects import LockSuspect
from rslint.project.discover import Request, discover
from rslint.project.index import build_index

_BESIDE = re.compile(r"  # => (.*)$", re.MULTILINE)


def analysis_of(folder: Path, source: str, name: str = "m.py") -> Analysis:
    """The analysis of a project with this one file."""
    (folder / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    (folder / name).write_text(textwrap.dedent(source), encoding="utf-8")
    (project,) = discover(Request(paths=(folder,), isolated=True)).projects
    return analyse(project, build_index(project, 1), 1)


def suspects_in(folder: Path, source: str) -> tuple[LockSuspect, ...]:
    return lock_suspects(analysis_of(folder, source))


def assert_beside(folder: Path, source: str) -> None:
    """The suspects of a file stand exactly where its comments expect them."""
    text = textwrap.dedent(source)
    expected = {
        row: match[1] for row, line in enumerate(text.splitlines(), 1) if (match := _BESIDE.search(line))
    }
    found: dict[int, str] = {}
    for one in suspects_in(folder, _BESIDE.sub("", text)):
        found[one.site.row] = one.kind if one.tier == "default" else f"({one.kind})"
    assert found == expected

"""docs/architecture.md says why each module of the runtime library and of its harness is there, and names no other."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from tests.docs.page import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LIBRARY = "rslint_runtime/"
HARNESS = "rslint_runtime/testing/"


def rows(page: str, folder: str) -> Iterator[str]:
    """The first cells of the tables in sections whose first line begins with that folder."""
    for section in re.split(r"^## .*\n+", page, flags=re.M):
        if re.match(rf"`(?:runtime_shim/)?{folder}`", section):
            yield from re.findall(r"^\| (`[^|]*) \|", section, re.M)


def named(page: str, folder: str) -> list[str]:
    return [name for cell in rows(page, folder) for name in re.findall(r"`([^`]+)`", cell)]


def modules(folder: str) -> list[str]:
    found = (ROOT / "runtime_shim" / folder).glob("*.py")
    return sorted(path.name for path in found if path.name != "__init__.py")


@pytest.mark.parametrize("folder", [LIBRARY, HARNESS])
def test_every_module_of_the_runtime_is_named_once_with_its_reason(folder: str) -> None:
    assert sorted(name for name in named(PAGE, folder) if name != "../pytest_plugin/") == modules(folder)


def test_the_pytest_plugin_is_named_with_the_runs_of_ranks() -> None:
    (name,) = (name for name in named(PAGE, HARNESS) if name.startswith("../"))
    assert (ROOT / "runtime_shim" / HARNESS / name / "__init__.py").is_file()


def test_a_module_that_the_page_leaves_out_or_invents_is_noticed() -> None:
    page = "## A\n\n`rslint_runtime/`; what for\n\n| module | its one reason |\n|---|---|\n| `a.py`, `b.py` | two |\n\n"
    other = "## B\n\nAnother folder.\n\n| module | its one reason |\n|---|---|\n| `c.py` | elsewhere |\n"
    assert named(page + other, LIBRARY) == ["a.py", "b.py"]
    assert named(page + other, HARNESS) == []


def test_every_heading_has_a_blank_line_above_it() -> None:
    lines = PAGE.splitlines()
    assert not [line for above, line in itertools.pairwise(lines) if line.startswith("#") and above]

"""Small projects for the tests: a mapping of paths to sources becomes an index and its links."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rslint.project import ir
from rslint.project.index import build_index
from rslint.project.links import Links, Target
from rslint.project.source import SourceFile


def project_of(
    root: Path, files: Mapping[str, str], markers: tuple[str, ...] = (), reverse: bool = False
) -> Any:
    """The project with these files below `root`, every one of them below one source root."""
    found = []
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        parts = path.relative_to(root).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(SourceFile(path, ".".join(parts[:-1] if is_package else parts), is_package))
    found.sort(key=lambda file: str(file.path), reverse=reverse)
    return SimpleNamespace(
        root=root, files=tuple(found), overrides={}, config=None, models=SimpleNamespace(markers=markers)
    )


def links_of(root: Path, files: Mapping[str, str], markers: tuple[str, ...] = ("",)) -> Links:
    """Links over these files; the empty marker marks them all."""
    return Links(build_index(project_of(root, files, markers), jobs=1))


def calls_in(links: Links, function: str) -> Iterator[ir.Call]:
    """Every call of a function, in source order."""
    evaluated = (e for dissected in links.anatomy(function) for e in dissected.evaluated)
    return (part for e in evaluated for part in e.parts if isinstance(part, ir.Call))


def target(links: Links, function: str, text: str) -> Target:
    """The target of the one call in `function` written as `text`."""
    found = [links.resolve(function, call) for call in calls_in(links, function)]
    matching = [one for one in found if one.text == text]
    assert matching, f"no call {text} in {function}; there are {[one.text for one in found]}"
    return cast(Target, matching[0])

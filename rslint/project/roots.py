"""Says where a project begins: the root above a file or folder, and what marks it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from rslint.project.config import has_table

# Folders without __init__.py between two packages belong to the outer one, as Python's import system sees it.
_LONGEST_GAP = 2


class Marker(IntEnum):
    """What marks a root, the strongest last: `[tool.rslint]` far above beats a bare pyproject.toml near."""

    NONE = 0
    GIT = 1
    PYPROJECT = 2
    TABLE = 3


@dataclass(frozen=True)
class Root:
    """The folder all files of one project lie in. `plain_below`: without a marker, folders that are no
    package belong to the project only below these folders, which the user named."""

    path: Path
    marker: Marker
    plain_below: tuple[Path, ...] = ()

    @property
    def configuration(self) -> Path | None:
        return self.path / "pyproject.toml" if self.marker >= Marker.PYPROJECT else None


def marker_of(folder: Path) -> Marker:
    """The strongest marker that stands in one folder."""
    pyproject = folder / "pyproject.toml"
    if pyproject.is_file():
        return Marker.TABLE if has_table(pyproject) else Marker.PYPROJECT
    return Marker.GIT if (folder / ".git").exists() else Marker.NONE


def is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def above_packages(folder: Path) -> Path:
    """The nearest folder at or above `folder` that is no package and no gap between packages."""
    current = folder
    while True:
        ancestors = [current, *current.parents][: _LONGEST_GAP + 1]
        packages = [ancestor for ancestor in ancestors if is_package(ancestor)]
        if not packages or packages[-1] == packages[-1].parent:
            return current
        current = packages[-1].parent


def root_above(folder: Path, ceiling: Path | None = None) -> Root:
    """The root of what stands in `folder`; markers above `ceiling` do not count; it is the last resort."""
    folders = [folder, *folder.parents]
    if ceiling is not None:
        folders = folders[: folders.index(ceiling) + 1]
    best, best_marker = None, Marker.NONE
    for current in folders:
        marker = marker_of(current)
        if marker > best_marker:
            best, best_marker = current, marker
        if marker is Marker.TABLE:
            break
    if best is not None:
        return Root(best, best_marker)
    return Root(ceiling or above_packages(folder), Marker.NONE)


def begins_project(folder: Path, root: Root, within_package: bool) -> bool:
    """Whether a folder below `root` is the root of another project, by the same rule as `root_above`."""
    marker = marker_of(folder)
    if marker is Marker.TABLE:
        return True
    if marker is not Marker.NONE and marker >= root.marker:
        return True
    if root.marker is not Marker.NONE or within_package or is_package(folder):
        return False
    return not any(folder == named or named in folder.parents for named in root.plain_below)

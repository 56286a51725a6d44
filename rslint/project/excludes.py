"""Says what of a tree is not the project's own source: .gitignore, virtual environments, build output."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from rslint.project.config import ConfigError

# ruff's default `exclude`, and the folders of bytecode.
NAMES = frozenset((
    ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox",
    ".pants.d", ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode",
    "__pycache__", "__pypackages__", "_build", "buck-out", "build", "dist", "node_modules", "site-packages",
    "venv",
))  # fmt: skip
_ENVIRONMENT_FILES = ("pyvenv.cfg", "conda-meta")


@dataclass(frozen=True)
class Layer:
    """Patterns in .gitignore's language, relative to `base`."""

    base: Path
    patterns: GitIgnoreSpec


@dataclass(frozen=True)
class Excludes:
    """`layers` from the outermost .gitignore to the innermost; `always` are the user's own patterns."""

    layers: tuple[Layer, ...] = ()
    always: tuple[Layer, ...] = ()

    def below(self, folder: Path) -> Excludes:
        """With the .gitignore of a folder on the way down."""
        layer = ignore_file(folder)
        return Excludes((*self.layers, layer), self.always) if layer else self

    def drop(self, path: Path, is_folder: bool) -> bool:
        """Whether one entry is excluded, given that its parents are not."""
        if is_folder and (path.name in NAMES or is_environment(path)):
            return True
        return self.ignores(path, is_folder)

    def ignores(self, path: Path, is_folder: bool) -> bool:
        """Whether patterns exclude it: the user's, else the innermost .gitignore that has an opinion."""
        if any(_verdict(layer, path, is_folder) for layer in self.always):
            return True
        for layer in reversed(self.layers):
            verdict = _verdict(layer, path, is_folder)
            if verdict is not None:
                return verdict
        return False


def patterns_at(base: Path, lines: Iterable[str], origin: str) -> Layer:
    """A layer of the user's patterns. ConfigError for a pattern that .gitignore's language does not have."""
    try:
        return Layer(base, GitIgnoreSpec.from_lines(lines))
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}; write the pattern as in .gitignore") from None


def ignore_file(folder: Path) -> Layer | None:
    """The layer of a folder's .gitignore; git itself skips patterns it cannot read, and so do we."""
    try:
        lines = (folder / ".gitignore").read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    kept: list[str] = []
    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        kept.append(line)
    return Layer(folder, GitIgnoreSpec.from_lines(kept))


def is_environment(folder: Path) -> bool:
    return any((folder / name).exists() for name in _ENVIRONMENT_FILES)


def excludes_above(root: Path, always: tuple[Layer, ...]) -> Excludes:
    """The .gitignore files from the repository's top to above `root`, unless they ignore the root itself."""
    lineage = [root, *root.parents]
    top = next((index for index, folder in enumerate(lineage) if (folder / ".git").exists()), 0)
    excludes = Excludes()
    for index in range(top, 0, -1):
        excludes = excludes.below(lineage[index])
        if excludes.ignores(lineage[index - 1], True):
            return Excludes(always=always)
    return Excludes(excludes.layers, always)


def _verdict(layer: Layer, path: Path, is_folder: bool) -> bool | None:
    try:
        name = path.relative_to(layer.base).as_posix()
    except ValueError:
        return None
    if name == ".":
        return None
    include = layer.patterns.check_file(name + "/" if is_folder else name).include
    return None if include is None else bool(include)


def excluded_on_the_way(path: Path, root: Path, excludes: Excludes) -> bool:
    """Whether a walk from `root` would leave `path` out: it, or a folder on the way to it, is excluded."""
    if path == root:
        return False
    current = root
    parts = path.relative_to(root).parts
    for index, part in enumerate(parts):
        excludes = excludes.below(current)
        current = current / part
        is_folder = index + 1 < len(parts) or os.path.isdir(current)
        if excludes.drop(current, is_folder):
            return True
    return False

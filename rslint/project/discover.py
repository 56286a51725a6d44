"""Finds the projects that a run speaks of, all their files, and which of them are reported."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rslint.models import ModelError, Models, load_models
from rslint.project.config import Config, ConfigError, load_config
from rslint.project.excludes import Excludes, Layer, excluded_on_the_way, excludes_above, patterns_at
from rslint.project.modules import name_modules
from rslint.project.project import Project
from rslint.project.roots import Root, above_packages, begins_project, is_package, root_above


@dataclass(frozen=True)
class Request:
    """What to discover. `overrides` holds bytes that stand for files on disk, stdin's among them."""

    paths: tuple[Path, ...]
    config: Path | None = None
    isolated: bool = False
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    overrides: Mapping[Path, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Discovered:
    """Projects ordered by root; `reported` are the files that PATHS name; `skipped` are whole sentences."""

    projects: tuple[Project, ...]
    reported: frozenset[Path]
    skipped: tuple[str, ...]


def absolute(path: Path) -> Path:
    """Absolute and without `..`, symbolic links kept: reported names are the names the user gave."""
    return Path(os.path.normpath(path.absolute()))


def discover(request: Request) -> Discovered:
    """Every project that one of the paths lies in, known whole.

    Raises ConfigError for a path that does not exist and for configuration or models that cannot be used.
    """
    return _Discovery(request).run()


class _Discovery:
    """The state of one `discover`: roots already walked, what they hold, and what must be said."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.trees: dict[Path, _Tree] = {}
        self.named: dict[Path, tuple[Path, ...]] = {}
        self.reported: set[Path] = set()
        self.skipped: dict[Path, str] = {}
        self.user_config = load_config(request.config) if request.config else None
        self.user_excludes: tuple[Layer, ...] = ()
        if request.extend_exclude:
            layer = patterns_at(Path.cwd(), request.extend_exclude, "--extend-exclude")
            self.user_excludes = (layer,)

    def run(self) -> Discovered:
        folders, files = self.sorted_paths()
        for root, folder in [(self.root_of(folder), folder) for folder in folders]:
            if root:
                self.named[root.path] = (*self.named.get(root.path, ()), folder)
        for folder in folders:
            root = self.root_of(folder)
            if root:
                self.report_below(folder, root)
        for file in files:
            self.report_file(file)
        projects = [self.project(root, tree) for root, tree in self.trees.items() if tree.files]
        notes = [f"{path}: skipped: {reason}" for path, reason in sorted(self.skipped.items())]
        ordered = sorted(projects, key=lambda project: project.root)
        return Discovered(tuple(ordered), frozenset(self.reported), tuple(notes))

    def sorted_paths(self) -> tuple[list[Path], list[Path]]:
        """PATHS as folders and files, folders first: they widen what is known around a single file."""
        folders: list[Path] = []
        files: list[Path] = []
        for given in self.request.paths:
            path = absolute(given)
            if path in self.request.overrides:
                files.append(path)
                continue
            try:
                mode = path.stat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise ConfigError(f"{given}: no such file or folder; correct the path") from None
            except OSError as error:
                self.skipped[path] = _reason(error)
                continue
            if stat.S_ISDIR(mode):
                folders.append(path)
            elif stat.S_ISREG(mode):
                files.append(path)
            else:
                self.skipped[path] = "no regular file"
        return sorted(dict.fromkeys(folders)), list(dict.fromkeys(files))

    def root_of(self, folder: Path) -> Root | None:
        """The root of a folder the user named: its own if the project around excludes it; None: leave it."""
        root = root_above(folder)
        if excluded_on_the_way(folder, root.path, self.excluding(root).excludes):
            if self.request.force_exclude:
                return None
            root = root_above(folder, ceiling=folder)
        return root

    def report_below(self, folder: Path, root: Root) -> None:
        """Report what lies below `folder` in this project and in the projects that begin below it."""
        tree = self.walked(root)
        self.reported.update(path for path in tree.files if folder in path.parents)
        self.skipped.update(
            (path, reason)
            for path, reason in tree.skipped.items()
            if path == folder or folder in path.parents
        )
        for nested in tree.nested:
            if folder == nested or folder in nested.parents:
                self.report_below(nested, root_above(nested))

    def report_file(self, file: Path) -> None:
        if any(file in tree.files for tree in self.trees.values()):
            self.reported.add(file)
            return
        root = root_above(file.parent)
        tree = self.excluding(root)
        if excluded_on_the_way(file, root.path, tree.excludes):
            if self.request.force_exclude:
                return
            root = root_above(file.parent, ceiling=above_packages(file.parent))
        self.walked(root).files.add(file)
        self.reported.add(file)

    def excluding(self, root: Root) -> _Tree:
        """The tree of a root before it is walked: its configuration and what it leaves out."""
        known = self.trees.get(root.path)
        if known:
            return known
        config = self.config(root)
        always = self.user_excludes
        if config.extend_exclude:
            base = config.origin.parent if config.origin else root.path
            always = (*always, patterns_at(base, config.extend_exclude, f"{config.origin}: extend-exclude"))
        return _Tree(config, excludes_above(root.path, always))

    def config(self, root: Root) -> Config:
        if self.request.isolated:
            return Config()
        if self.user_config:
            return self.user_config
        return load_config(root.configuration) if root.configuration else Config()

    def walked(self, root: Root) -> _Tree:
        tree = self.trees.get(root.path)
        if tree is None:
            tree = self.trees[root.path] = self.excluding(root)
            _walk(replace(root, plain_below=self.named.get(root.path, ())), tree)
        return tree

    def project(self, root: Path, tree: _Tree) -> Project:
        overrides = {path: data for path, data in self.request.overrides.items() if path in tree.files}
        files = name_modules(root, tree.config.src, sorted(tree.files))
        return Project(root, files, tree.config, _models(tree.config.models), overrides)


def _models(extra: tuple[Path, ...]) -> Models:
    try:
        return load_models(extra)
    except ModelError as error:
        raise ConfigError(str(error)) from None


@dataclass
class _Tree:
    """One root's tree while it is walked."""

    config: Config
    excludes: Excludes
    files: set[Path] = field(default_factory=set)
    nested: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


def _walk(root: Root, tree: _Tree) -> None:
    """Fill in all files of the root, the roots that begin below it, and what was skipped and why.

    Folders behind symbolic links are entered unless they lie in the root anyway (they are met there).
    """
    real_root = os.path.realpath(root.path)
    pending = [(root.path, tree.excludes, 0)]
    while pending:
        folder, excludes, gap = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            tree.skipped[folder] = _reason(error)
            continue
        if any(entry.name == ".gitignore" for entry in entries):
            excludes = excludes.below(folder)
        gap = 0 if any(entry.name == "__init__.py" for entry in entries) else gap + 1
        for entry in entries:
            path = folder / entry.name
            kind = _kind(entry, path, real_root, tree.skipped)
            if kind is None or excludes.drop(path, kind == "folder"):
                continue
            if kind == "file":
                tree.files.add(path)
            elif begins_project(path, root, within_package=gap <= 2 and _inside_package(folder, root.path)):
                tree.nested.append(path)
            else:
                pending.append((path, excludes, gap))


def _inside_package(folder: Path, root: Path) -> bool:
    below = [folder, *folder.parents][:3]
    return any(is_package(current) for current in below if current == root or root in current.parents)


def _kind(entry: os.DirEntry[str], path: Path, real_root: str, skipped: dict[Path, str]) -> str | None:
    """ "folder", "file" (Python source), or None to pass over; what might be missed is put in `skipped`."""
    try:
        if entry.is_dir():
            return _linked_folder(path, real_root, skipped) if entry.is_symlink() else "folder"
        if path.suffix != ".py":
            return None
        if not stat.S_ISREG(entry.stat().st_mode):
            skipped[path] = "no regular file"
            return None
        if entry.is_symlink() and _lies_in(os.path.realpath(path), real_root):
            return None
    except OSError as error:
        if path.suffix == ".py" or error.errno == errno.ELOOP:
            skipped[path] = _reason(error)
        return None
    return "file"


def _linked_folder(path: Path, real_root: str, skipped: dict[Path, str]) -> str | None:
    target = os.path.realpath(path)
    if _lies_in(os.path.realpath(path.parent), target):
        skipped[path] = "a symbolic link to a folder that holds it"
        return None
    return None if _lies_in(target, real_root) else "folder"


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)

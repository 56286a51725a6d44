"""Names the modules of a project: source roots by layout, namespace packages by what the sources import."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rslint.project.source import SourceFile

_FILES_TO_ASK = 200
_OUTSIDE = re.compile(r"tests?|test_.*|.*_test|conftest|examples?|benchmarks?|scripts?|tools|docs")


@dataclass
class _Layout:
    """What naming needs to know of the tree; filled while files are named."""

    root: Path
    roots: tuple[Path, ...]
    files: Sequence[Path]
    packages: frozenset[Path]
    namespaces: dict[Path, bool] = field(default_factory=dict)
    bases: dict[Path, Path] = field(default_factory=dict)

    def outermost_package(self, folder: Path) -> Path | None:
        found = None
        for current in [folder, *folder.parents]:
            if current in self.packages:
                found = current
            if current == self.root or current in self.roots:
                break
        while found == self.root or (found is not None and found in self.root.parents):
            if not (found.parent / "__init__.py").is_file():
                break
            found = found.parent
        return found

    def source_root(self, folder: Path) -> Path:
        """The folder that must be on sys.path for the modules in `folder` to be imported under their names."""
        if folder not in self.bases:
            self.bases[folder] = self._source_root(folder)
        return self.bases[folder]

    def _source_root(self, folder: Path) -> Path:
        declared = [root for root in self.roots if root == folder or root in folder.parents]
        base = max(declared, key=lambda root: len(root.parts), default=self.root)
        package = self.outermost_package(folder)
        if package is None:
            return base
        if package.parent == base or base not in package.parents:
            return package.parent
        return base if self.is_namespace(base, package) else package.parent

    def is_namespace(self, base: Path, package: Path) -> bool:
        """Whether sources import `package` through the folders above it, then namespace packages."""
        if package not in self.namespaces:
            parts = package.relative_to(base).parts
            dotted = ".".join(parts)
            wanted = re.compile(rb"^[ \t]*(?:from|import)[ \t]+" + re.escape(dotted).encode() + rb"\b", re.M)
            within = [file for file in self.files if package in file.parents][:_FILES_TO_ASK]
            usable = all(part.isidentifier() for part in parts)
            self.namespaces[package] = usable and any(wanted.search(_bytes(file)) for file in within)
        return self.namespaces[package]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def name_modules(root: Path, src: Iterable[Path], files: Sequence[Path]) -> tuple[SourceFile, ...]:
    """Every file with its dotted module name, unique in the project, sorted by path.

    A file that another one shadows (two source roots with the same module, `a.py` beside `a/`) is named after
    its path from the root instead.
    """
    roots = tuple(folder for folder in (*src, root / "src") if folder.is_dir())
    roots = tuple(folder for folder in roots if not (folder / "__init__.py").is_file())
    packages = frozenset(file.parent for file in files if file.name == "__init__.py")
    layout = _Layout(root, roots, files, packages)
    named: dict[str, SourceFile] = {}
    shadowed: list[Path] = []
    for path in sorted(files, key=lambda file: (file.name != "__init__.py", file)):
        base = layout.source_root(path.parent)
        module = _dotted(path, base)
        if module in named:
            shadowed.append(path)
        else:
            named[module] = SourceFile(path, module, path.name == "__init__.py")
    for path in shadowed:
        name = Path(os.path.relpath(path, root)).as_posix()
        named[name] = SourceFile(path, name, path.name == "__init__.py")
    return tuple(sorted(named.values(), key=lambda file: file.path))


def outside_production(module: str) -> bool:
    """Whether a module is part of tests, examples, benchmarks or tools, as pytest and common layouts name them: how it
    calls the library says nothing about what runs in production."""
    return any(_OUTSIDE.fullmatch(part) for part in re.split(r"[./]", module.removesuffix(".py")))


def _dotted(path: Path, base: Path) -> str:
    parts = [*path.relative_to(base).parent.parts, path.stem]
    if path.name == "__init__.py":
        parts.pop()
    return ".".join(parts) or path.parent.name

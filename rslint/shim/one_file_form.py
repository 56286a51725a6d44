"""What the one-file form of the runtime library looks like: a header, the imports of all sections, and the sections.

A section is one module of the library without its imports. Sections follow each other in the order in which they need
each other, and every name at the top of a section is unique in the file, so that some of them can be taken alone.
"""

from __future__ import annotations

import ast
import hashlib
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

WIDTH = 110
_SECTION = re.compile(r"^# ==== (?P<name>[a-z_]+) =*$", re.MULTILINE)
_VERSION_LINE = re.compile(
    r"^# rslint-runtime (?P<version>\S+) in one file \(sha256 (?P<digest>[0-9a-f]{16})\)$"
)
_TYPE_TEXT = re.compile(r"^[A-Za-z_][\w.]*(?:\[[\w., \[\]|]*\])?$")
_NOTE = """\
# Written by `rslint shim --vendor`. Change nothing here by hand: the same command renews this file, and
# `rslint shim --check` tells whether it is current.
# fmt: off
# isort: skip_file
# flake8: noqa
# ruff: noqa
"""


class FormError(Exception):
    """Text that is not in the one-file form, or cannot be brought into it; says what and where."""


@dataclass(frozen=True, order=True)
class Import:
    """One name that an import binds: `import module` (`name` empty) or `from module import name`."""

    module: str
    name: str = ""
    alias: str = ""

    @property
    def binds(self) -> str:
        return self.alias or self.name or self.module.partition(".")[0]


TYPE_CHECKING = Import("typing", "TYPE_CHECKING")


@dataclass(frozen=True)
class Section:
    """One module of the library: its name, the names it exports, and its text without imports."""

    name: str
    exports: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class OneFile:
    """The library, or some parts of it. `typing_imports` stand under `if TYPE_CHECKING:`; `licence` and `docstring`
    are plain text."""

    version: str
    licence: str
    docstring: str
    imports: tuple[Import, ...]
    typing_imports: tuple[Import, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Header:
    """What a vendored file says of itself. `untouched`: the digest in its first line is that of what follows."""

    version: str
    parts: tuple[str, ...]
    untouched: bool


# Names -----------------------------------------------------------------------------------------------------


@cache
def defined(text: str) -> frozenset[str]:
    """The names that a section binds at its top level, those in its `if` and `try` statements included."""
    return frozenset(_bound(ast.parse(text).body))


def _bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield statement.name
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield from (one.binds for one in imports_of(statement))
        else:
            yield from _bound_inside(statement)


def _bound_inside(node: ast.AST) -> Iterator[str]:
    """What a statement binds by its targets and by the statements in it. A comprehension keeps its names to itself."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _bound([child])
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif not isinstance(child, (ast.comprehension, ast.Lambda)):
            yield from _bound_inside(child)


@cache
def used(text: str) -> frozenset[str]:
    """Every name that a section mentions; a text that looks like a type (`cast("Ring", ...)`) mentions it too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _TYPE_TEXT.match(node.value):
            names.update(re.findall(r"[A-Za-z_]\w*", node.value))
    return frozenset(names)


def imports_of(statement: ast.Import | ast.ImportFrom) -> tuple[Import, ...]:
    """The single names that an import statement binds."""
    if isinstance(statement, ast.Import):
        return tuple(Import(one.name, alias=one.asname or "") for one in statement.names)
    module = "." * statement.level + (statement.module or "")
    return tuple(Import(module, one.name, one.asname or "") for one in statement.names)


# Parts -----------------------------------------------------------------------------------------------------


def parts_of(whole: OneFile, wanted: Sequence[str]) -> OneFile:
    """The sections that are asked for, by their own name or by one that they export, with all that these need.

    Raises FormError for a name that nothing answers to.
    """
    by_name = {section.name: section for section in whole.sections}
    exporting = {name: section.name for section in whole.sections for name in section.exports}
    unknown = [name for name in wanted if name not in by_name and name not in exporting]
    if unknown:
        raise FormError(f'no part "{unknown[0]}"; there are {", ".join(by_name)}, and every name they export')
    taken = {name if name in by_name else exporting[name] for name in wanted}
    needs = _needs(whole.sections)
    while missing := {need for name in taken for need in needs[name]} - taken:
        taken |= missing
    sections = tuple(section for section in whole.sections if section.name in taken)
    names = frozenset(name for section in sections for name in used(section.text))
    typed = tuple(one for one in whole.typing_imports if one.binds in names)
    imports = tuple(one for one in whole.imports if one.binds in names or (typed and one == TYPE_CHECKING))
    return OneFile(whole.version, whole.licence, whole.docstring, imports, typed, sections)


def _needs(sections: Sequence[Section]) -> dict[str, frozenset[str]]:
    """Which sections each of them uses names of."""
    home = {name: section.name for section in sections for name in defined(section.text)}
    return {
        section.name: frozenset(home[name] for name in used(section.text) if name in home)
        for section in sections
    }


# Text ------------------------------------------------------------------------------------------------------


def written(file: OneFile) -> str:
    """The text of the file. The digest in its first line is that of everything behind that line."""
    typed = _import_lines(file.typing_imports)
    exports = sorted(name for section in file.sections for name in section.exports)
    sections = [f"{_section_line(section.name)}\n\n{section.text.strip()}\n" for section in file.sections]
    pieces = [
        _NOTE + "#\n" + "".join(f"# {line}".rstrip() + "\n" for line in file.licence.splitlines()),
        f'"""{file.docstring}"""\n',
        "from __future__ import annotations\n",
        _import_lines(file.imports),
        f"if TYPE_CHECKING:\n{textwrap.indent(typed, '    ')}" if typed else "",
        "__all__ = [\n" + "".join(f'    "{name}",\n' for name in exports) + "]\n",
        "\n\n".join(sections),
    ]
    body = "\n".join(piece for piece in pieces if piece)
    return f"# rslint-runtime {file.version} in one file (sha256 {_digest(body)})\n{body}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _section_line(name: str) -> str:
    return f"# ==== {name} ".ljust(WIDTH, "=")


def _as_linters_sort(one: Import) -> tuple[bool, bool, str]:
    """Constants first, then classes, then functions: the order of isort and ruff."""
    return not one.name.isupper(), not one.name[:1].isupper(), one.name


def _import_lines(imports: Sequence[Import]) -> str:
    lines = [
        f"import {one.module}" + (f" as {one.alias}" if one.alias else "")
        for one in sorted(imports)
        if not one.name
    ]
    for module in sorted({one.module for one in imports if one.name}):
        names = [
            one.name + (f" as {one.alias}" if one.alias else "")
            for one in sorted(imports, key=_as_linters_sort)
            if one.module == module and one.name
        ]
        line = f"from {module} import {', '.join(names)}"
        if len(line) > WIDTH - 4:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def header_of(text: str) -> Header | None:
    """What the file says of itself; None when its first line is not ours."""
    first, _, body = text.partition("\n")
    found = _VERSION_LINE.match(first)
    if found is None:
        return None
    parts = tuple(start["name"] for start in _SECTION.finditer(body))
    return Header(found["version"], parts, found["digest"] == _digest(body))


def read(text: str) -> OneFile:
    """The file that a text in this form describes. Raises FormError."""
    header = header_of(text)
    if header is None or not header.untouched:
        raise FormError("the first line is not that of an unchanged one-file form")
    starts = list(_SECTION.finditer(text))
    tree = ast.parse(text[: starts[0].start()])
    comments = text.partition(_NOTE + "#\n")[2].partition('\n"""')[0]
    imports, typed, exported = _preamble(tree)
    ends = [start.start() for start in starts[1:]] + [len(text)]
    sections = []
    for start, end in zip(starts, ends, strict=True):
        body = text[start.end() : end].strip() + "\n"
        exports = tuple(sorted(defined(body) & exported))
        sections.append(Section(start["name"], exports, body))
    licence = "\n".join(line.removeprefix("#").removeprefix(" ") for line in comments.splitlines())
    docstring = ast.get_docstring(tree, clean=False) or ""
    return OneFile(header.version, licence, docstring, imports, typed, tuple(sections))


def _preamble(tree: ast.Module) -> tuple[tuple[Import, ...], tuple[Import, ...], frozenset[str]]:
    """Imports, imports for annotations alone, and `__all__`."""
    imports: list[Import] = []
    typed: list[Import] = []
    exported: list[str] = []
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imports += [one for one in imports_of(statement) if one.module != "__future__"]
        elif isinstance(statement, ast.If):
            for inner in statement.body:
                if isinstance(inner, (ast.Import, ast.ImportFrom)):
                    typed += imports_of(inner)
        elif isinstance(statement, ast.Assign):
            exported = ast.literal_eval(statement.value)
    return tuple(imports), tuple(typed), frozenset(exported)

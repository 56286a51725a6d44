"""Puts the modules of the runtime library together into its one-file form.

    python -m rslint.shim.generate runtime_shim

renews `rslint/shim/runtime_library.py`, the form that rslint's wheel carries. Modules must keep these rules, and
FormError says where one does not: they import each other only as `from rslint_runtime.module import name`, at their
top; they import all else at their top or inside functions; every name at their top is unique over all modules; each has
`from __future__ import annotations` and `__all__`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rslint.shim.one_file_form import (
    TYPE_CHECKING,
    FormError,
    Import,
    OneFile,
    Section,
    defined,
    imports_of,
    written,
)

PACKAGE = "rslint_runtime"
CARRIED = Path(__file__).with_name("runtime_library.py")


@dataclass(frozen=True)
class _Module:
    """One module, taken apart. `siblings` are the modules of the library that must stand before it."""

    name: str
    section: Section
    imports: tuple[Import, ...]
    typing_imports: tuple[Import, ...]
    siblings: frozenset[str]


def generated(runtime: Path) -> OneFile:
    """The one-file form of the library in the folder of its distribution (`runtime_shim`). Raises FormError."""
    package = runtime / PACKAGE
    sources = {path.stem: path.read_text(encoding="utf-8") for path in package.glob("*.py")}
    docstring = ast.get_docstring(ast.parse(sources.pop("__init__")), clean=False) or ""
    version = re.search(r'^version = "(.+)"$', (runtime / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    if version is None:
        raise FormError(f"{runtime / 'pyproject.toml'}: no version")
    return joined(sources, version[1], (runtime / "LICENSE").read_text(encoding="utf-8"), docstring)


def joined(sources: Mapping[str, str], version: str, licence: str, docstring: str) -> OneFile:
    """The one-file form of modules by name. Raises FormError."""
    modules = {name: _taken_apart(name, text) for name, text in sorted(sources.items())}
    _check_names(modules)
    ordered = _in_order(modules)
    imports = {one for module in ordered for one in module.imports}
    typed = {one for module in ordered for one in module.typing_imports} - imports
    if not typed:
        imports.discard(TYPE_CHECKING)
    sections = tuple(module.section for module in ordered)
    return OneFile(
        version, licence.rstrip(), docstring, tuple(sorted(imports)), tuple(sorted(typed)), sections
    )


def _taken_apart(name: str, text: str) -> _Module:
    tree = ast.parse(text)
    imports: list[Import] = []
    typed: list[Import] = []
    exports: list[str] | None = None
    gone: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imports += imports_of(statement)
        elif _is_typing_block(statement):
            typed += _typing_imports(name, statement)
        elif isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            exports = list(ast.literal_eval(statement.value))
        elif statement is not tree.body[0] or ast.get_docstring(tree) is None:
            continue
        gone.append(statement)
    if Import("__future__", "annotations") not in imports or exports is None:
        raise FormError(f"{name}: `from __future__ import annotations` and `__all__` are needed")
    for one in filter(_is_ours, typed):
        _sibling(name, one)
    siblings = frozenset(_sibling(name, one) for one in imports if _is_ours(one))
    _check_inner_imports(name, tree)
    docstring = ast.get_docstring(tree, clean=True) or ""
    section = Section(name, tuple(sorted(exports)), _commented(docstring) + _without(text, gone))
    return _Module(name, section, _foreign(imports), _foreign(typed), siblings)


def _is_ours(one: Import) -> bool:
    return one.module.startswith(".") or one.module.split(".")[0] == PACKAGE


def _foreign(imports: list[Import]) -> tuple[Import, ...]:
    return tuple(one for one in imports if not _is_ours(one) and one.module != "__future__")


def _sibling(name: str, one: Import) -> str:
    """The module of the library that a name is imported from."""
    package, _, module = one.module.partition(".")
    if package != PACKAGE or not module or "." in module or not one.name or one.alias:
        raise FormError(
            f"{name}: write `from {PACKAGE}.module import name`, not an import of {one.module or '.'}"
        )
    return module


def _is_typing_block(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _typing_imports(name: str, block: ast.stmt) -> list[Import]:
    assert isinstance(block, ast.If)
    found: list[Import] = []
    for statement in block.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)) or block.orelse:
            raise FormError(f"{name}:{statement.lineno}: under `if TYPE_CHECKING:` stand imports alone")
        found += imports_of(statement)
    return found


def _check_inner_imports(name: str, tree: ast.Module) -> None:
    """Inside functions the library's own modules are not imported: the one file has none."""
    for statement in tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)) or _is_typing_block(statement):
            continue
        for node in ast.walk(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and any(map(_is_ours, imports_of(node))):
                raise FormError(f"{name}:{node.lineno}: import {PACKAGE}'s own modules at the top")


def _commented(docstring: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in docstring.splitlines()) + "\n"


def _without(text: str, gone: list[ast.stmt]) -> str:
    rows = text.splitlines(keepends=True)
    for statement in gone:
        for row in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
            rows[row] = ""
    return re.sub(r"\n{4,}", "\n\n\n", "".join(rows)).strip() + "\n"


def _check_names(modules: Mapping[str, _Module]) -> None:
    """One name, one meaning: over all sections, and over all imports."""
    home: dict[str, str] = {}
    bound: dict[str, Import] = {}
    for module in modules.values():
        for one in (*module.imports, *module.typing_imports):
            if bound.setdefault(one.binds, one) != one:
                raise FormError(f"{module.name}: {one.binds} is imported with another meaning elsewhere")
    for module in modules.values():
        for name in sorted(defined(module.section.text)):
            other = "an import" if name in bound else home.setdefault(name, module.name)
            if other != module.name:
                raise FormError(f"{module.name}: the name {name} is taken by {other}; choose another")


def _in_order(modules: Mapping[str, _Module]) -> list[_Module]:
    """Each module behind those that it imports from; else by name."""
    ordered: list[_Module] = []
    waiting = dict(modules)
    while waiting:
        done = {module.name for module in ordered}
        ready = [name for name, module in waiting.items() if module.siblings <= done]
        if not ready:
            stuck = next(iter(waiting.values()))
            missing = sorted(stuck.siblings - done)
            raise FormError(f"{stuck.name}: {missing[0]} is no module of {PACKAGE}, or imports it in turn")
        ordered.append(waiting.pop(ready[0]))
    return ordered


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m rslint.shim.generate RUNTIME_FOLDER", file=sys.stderr)
        return 2
    CARRIED.write_text(written(generated(Path(arguments[0]))), encoding="utf-8")
    print(CARRIED)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

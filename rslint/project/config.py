"""Reads `[tool.rslint]` strictly: what it does not understand it says, with file, row and remedy."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_RUNTIME = "rslint_runtime"
FIX_STYLES = ("inline", "runtime")
CONFIDENCES = ("high", "medium", "low")
TABLE = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*rslint[ \t]*[\].]", re.MULTILINE)
_VERSION = re.compile(r"^(?:py3|3\.)(\d{1,2})$")
_SELECTOR = re.compile(r"^[A-Z]+[0-9]*$")


class ConfigError(Exception):
    """Wrong use that ends the run: one line with the file, the row where it is known, and the remedy."""


@dataclass(frozen=True)
class Config:
    """The settings of one project; paths are absolute.

    `select` empty means every rule. `src` holds source roots beside the ones found by layout.
    `target_version` is "3.N", `requires_python` the project's own bound as it is written. `fix_style` None leaves
    the choice to `runtime_of`. `lists_runtime` says that `rslint-runtime` is among the project's dependencies.
    `origin` is the file.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    preview: bool = False
    min_confidence: str = "medium"
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    extend_exclude: tuple[str, ...] = ()
    src: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    fix_style: str | None = None
    runtime_module: str | None = None
    target_version: str | None = None
    requires_python: str | None = None
    lists_runtime: bool = False
    origin: Path | None = None


def load_config(path: Path) -> Config:
    """The configuration of a pyproject.toml, or of a TOML file that holds the keys of `[tool.rslint]` at its
    top.

    Raises ConfigError.
    """
    text = _text(path)
    document = parse_toml(path, text)
    project = document.get("project")
    metadata = project if isinstance(project, dict) else {}
    listed, required = _lists_runtime(metadata), metadata.get("requires-python")
    tool = document.get("tool", {})
    table = tool.get("rslint") if isinstance(tool, dict) else None
    if table is None:
        table = {} if path.name == "pyproject.toml" or "tool" in document else document
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.rslint is no table; write [tool.rslint] and its keys below it")
    return _checked(path, text, table, listed, required if isinstance(required, str) else None)


_BOUND = re.compile(r"(?:^|,)\s*(?:>=|~=|==|>)\s*3\.(\d+)")


def oldest_python(config: Config) -> tuple[int, int] | None:
    """The oldest Python the project is to run under: `target-version`, else the lower bound of `requires-python`; None
    where neither tells."""
    if config.target_version is not None:
        return 3, int(config.target_version.partition(".")[2])
    bounds = [int(minor) for minor in _BOUND.findall(config.requires_python or "")]
    return (3, max(bounds)) if bounds else None


def runtime_of(config: Config) -> str | None:
    """The module that fixes import the runtime library from; None where they are to import nothing. A project that
    names its copy (`runtime-module`) wants it used, unless `fix-style` says otherwise."""
    style = config.fix_style or ("runtime" if config.runtime_module else "inline")
    return (config.runtime_module or DEFAULT_RUNTIME) if style == "runtime" else None


def has_table(path: Path) -> bool:
    """Whether a pyproject.toml has `[tool.rslint]`; a file that cannot be parsed is judged by its text."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return False
    if "rslint" not in text:
        return False
    try:
        tool = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return TABLE.search(text) is not None
    return isinstance(tool, dict) and "rslint" in tool


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """The document; ConfigError names the row of what is broken."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"^(?P<what>.*?) \(at line (?P<row>\d+), column (?P<column>\d+)\)$", str(error))
        place, what = f"{path}:1", str(error)
        if found:
            place, what = f"{path}:{found['row']}:{found['column']}", found["what"]
        raise ConfigError(f"{place}: broken TOML: {what}; correct it or pass --isolated") from None
    except RecursionError:
        raise ConfigError(f"{path}: broken TOML: nested too deeply; correct it or pass --isolated") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: broken TOML: not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _lists_runtime(project: Mapping[str, Any]) -> bool:
    """Whether `rslint-runtime` is a dependency a fix may import at run time; extras do not count."""
    listed = project.get("dependencies", [])
    names = listed if isinstance(listed, list) else []
    return any(re.match(r"rslint[-_.]runtime\b", str(name), re.IGNORECASE) for name in names)


# Keys -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """Where one value stands: enough to name its row in a message."""

    path: Path
    text: str
    key: str

    def error(self, what: str) -> ConfigError:
        row = _row_of(self.text, self.key)
        return ConfigError(f"{self.path}{f':{row}' if row else ''}: {self.key}: {what}")


def _row_of(text: str, key: str) -> int | None:
    """The row of a key, searched below `[tool.rslint]` first: the TOML reader keeps none."""
    table = TABLE.search(text)
    start = table.start() if table else 0
    found = re.compile(rf"^[ \t\[]*(?:tool\.rslint\.)?[\"']?{re.escape(key)}[\"']?[ \t]*[=\].]", re.MULTILINE)
    match = found.search(text, start) or found.search(text)
    return text.count("\n", 0, match.start()) + 1 if match else None


def _strings(value: Any, reading: _Reading) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise reading.error(f'expected a list of strings, for example {reading.key} = ["..."]')
    return tuple(value)


def _selectors(value: Any, reading: _Reading) -> tuple[str, ...]:
    found = _strings(value, reading)
    for item in found:
        if not _SELECTOR.match(item):
            raise reading.error(f'"{item}" is no rule code or prefix; write one like "RS101" or "RS1"')
    return found


def _boolean(value: Any, reading: _Reading) -> bool:
    if not isinstance(value, bool):
        raise reading.error("expected true or false")
    return value


def _string(value: Any, reading: _Reading) -> str:
    if not isinstance(value, str):
        raise reading.error("expected a string")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[Any, _Reading], str]:
    def read(value: Any, reading: _Reading) -> str:
        if value not in choices:
            raise reading.error(f"expected one of {', '.join(f'{choice!r}' for choice in choices)}")
        return str(value)

    return read


def _paths(value: Any, reading: _Reading) -> tuple[Path, ...]:
    return tuple((reading.path.parent / item).absolute() for item in _strings(value, reading))


def _existing_paths(value: Any, reading: _Reading) -> tuple[Path, ...]:
    found = _paths(value, reading)
    for path in found:
        if not path.is_file():
            raise reading.error(
                f"{path} does not exist; correct the path, which is relative to {reading.path}"
            )
    return found


def _ignores_by_pattern(value: Any, reading: _Reading) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise reading.error('expected a table of patterns, for example "tests/*" = ["RS102"]')
    return tuple((pattern, _selectors(codes, reading)) for pattern, codes in value.items())


def _module(value: Any, reading: _Reading) -> str:
    name = _string(value, reading)
    if not all(part.isidentifier() for part in name.split(".")):
        raise reading.error(f'"{name}" is no importable module; write it dotted, as "package.module"')
    return name


def _version(value: Any, reading: _Reading) -> str:
    found = _VERSION.match(_string(value, reading))
    if not found:
        raise reading.error(f'"{value}" is no Python version; write it as "py310" or "3.10"')
    return f"3.{int(found[1])}"


_KEYS: Mapping[str, tuple[str, Callable[[Any, _Reading], Any]]] = {
    "select": ("select", _selectors),
    "ignore": ("ignore", _selectors),
    "extend-select": ("extend_select", _selectors),
    "preview": ("preview", _boolean),
    "min-confidence": ("min_confidence", _one_of(CONFIDENCES)),
    "per-file-ignores": ("per_file_ignores", _ignores_by_pattern),
    "extend-exclude": ("extend_exclude", _strings),
    "src": ("src", _paths),
    "models": ("models", _existing_paths),
    "fix-style": ("fix_style", _one_of(FIX_STYLES)),
    "runtime-module": ("runtime_module", _module),
    "target-version": ("target_version", _version),
}


def _checked(
    path: Path, text: str, table: Mapping[str, Any], lists_runtime: bool, requires_python: str | None
) -> Config:
    values: dict[str, Any] = {}
    for key, value in table.items():
        reading = _Reading(path, text, key)
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(_KEYS)}"
            raise reading.error(f"unknown key in [tool.rslint]; {remedy}")
        name, read = _KEYS[key]
        values[name] = read(value, reading)
    return Config(**values, lists_runtime=lists_runtime, requires_python=requires_python, origin=path)

"""Reads model files: TOML, checked against the schema; a problem becomes one line with place and remedy."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from rslint.models.schema import ModelFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent
_PLACE = re.compile(r"at line (\d+)")
_PATH = re.compile(r"\$\.?(?P<table>\w+)?(?:\[(?P<index>\d+|\.\.\.)\])?(?:\.(?P<key>\w+))?")
_UNKNOWN = re.compile(r"unknown field `(\w+)`")


class ModelError(Exception):
    """A model file that cannot be used. Its text is one line: file, line where known, problem, remedy."""


@cache
def built_in_files() -> tuple[ModelFile, ...]:
    """The models that come with rslint, by file name."""
    return tuple(read_model_file(path) for path in sorted(_FOLDER.glob("*.toml")))


def read_model_file(path: Path) -> ModelFile:
    """One file as tables. Raises `ModelError` when it is unreadable, no TOML or does not fit the schema."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8 (byte {error.start}): save the file as UTF-8") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(f"{path}: {reason}: check `models` in [tool.rslint]") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = f":{place[1]}" if place else ""
        raise ModelError(f"{path}{line}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ModelError(f"{path}: nested too deeply for TOML: model files are flat tables") from error
    try:
        return msgspec.convert(data, ModelFile)
    except msgspec.ValidationError as error:
        raise ModelError(_describe(path, text, data, str(error))) from error


def _describe(path: Path, text: str, data: dict[str, Any], problem: str) -> str:
    message, _, where = problem.rpartition(" - at `")
    message = message or problem
    found = _PATH.match(where)
    table = found["table"] if found else None
    unknown = _UNKNOWN.search(message)
    index, key = _position(data, found, unknown[1] if unknown else None)
    line = _line_of(text, table, index, key or (unknown[1] if unknown else None))
    place = f"{path}:{line}" if line else str(path)
    name = "" if table is None else f" in [[{table}]]"
    detail = f"`{key}`: " if key and not unknown else ""
    message = message.replace("Object contains unknown field", "unknown key")
    return f"{place}: {detail}{message}{name}: see docs/models.md for its keys and types"


def _position(
    data: dict[str, Any], found: re.Match[str] | None, unknown: str | None
) -> tuple[int, str | None]:
    """Which of the tables of a name is meant (msgspec may say `[...]`), and the key."""
    if found is None or found["table"] is None:
        return 0, None
    key = found["key"]
    if found["index"] and found["index"].isdigit():
        return int(found["index"]), key
    tables = data.get(found["table"])
    if isinstance(tables, list) and len(tables) > 1:
        for index, one in enumerate(tables):
            try:
                msgspec.convert({found["table"]: [one]}, ModelFile)
            except msgspec.ValidationError:
                return index, key
    return 0, key


def _line_of(text: str, table: str | None, index: int, key: str | None) -> int | None:
    """The line of a key in the index-th `[[table]]`, or of its header where the key is not spelled there."""
    header = None
    seen = -1
    inside = table is None
    wanted = re.compile(rf"\s*{re.escape(key)}\s*=") if key else None
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare.startswith("["):
            name = bare.lstrip("[").partition("]")[0].strip()
            if table is None and key == name:
                return number
            seen += name == table
            inside = name == table and seen == index
            header = number if inside else header
        elif inside and wanted is not None and wanted.match(line):
            return number
    return header

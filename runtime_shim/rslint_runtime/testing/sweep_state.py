"""Keeps what a sweep has found in a file of JSON lines, so that the next one goes on where it ended."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_FORMAT = "rslint-runtime sweep 1"


class SweepState:
    """The rows found so far, on disk after each.

    The first line says what was swept, as a `key`; rows found under another key are of another program or of other
    sources, and are dropped.

    Raises:
        ValueError: when the file is there and is not the state of a sweep.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if path is None:
            return
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        header = _parsed(lines[0]) if lines else {}
        if lines and header.get("format") != _FORMAT:
            raise ValueError(f"{path} is not the state of a sweep; give another path, or remove it")
        if header.get("key") == key:
            self.rows = [row for row in map(_parsed, lines[1:]) if row]
        # Anew in any case: the last line may have been cut off in the middle.
        whole = path.with_name(f"{path.name}.new")
        whole.write_text(_lines({"format": _FORMAT, "key": key}, *self.rows), encoding="utf-8")
        os.replace(whole, path)

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep one more row; it is in the file when this returns."""
        self.rows.append(dict(row))
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_lines(row))


def key_of(parts: Iterable[object], files: Iterable[str]) -> str:
    """A hash of everything that the rows depend on: `parts` by their text, and what stands in the files."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\0")
    for file in sorted(files):
        path = Path(file)
        digest.update(file.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return digest.hexdigest()


def _lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

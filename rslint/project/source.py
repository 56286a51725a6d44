"""Reads source files: bytes to text by PEP 263, and places in that text."""

from __future__ import annotations

import os
import re
import stat
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from rslint.finding import Place
from rslint.project import ir

_ROW_END = re.compile(r"\r\n|\r|\n")
_LINE_WITHIN_MESSAGE = re.compile(r"\s+")


@dataclass(frozen=True)
class SourceFile:
    """One file of a project. `module` is its dotted name below the source root, a package's its folder's."""

    path: Path
    module: str
    is_package: bool


@dataclass(frozen=True)
class Source:
    """A decoded file; `text` keeps the newlines of the file and leaves a byte order mark out."""

    file: SourceFile
    data: bytes
    text: str
    encoding: str

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The rows without their ends, split where Python's tokenizer splits (LF, CR LF, CR)."""
        return tuple(_ROW_END.split(self.text))


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read, decoded or parsed, and where. `vanished` ones are skipped, not reported."""

    path: Path
    row: int
    column: int
    reason: str
    vanished: bool = False


def read_bytes(path: Path) -> bytes | Unreadable:
    """The bytes of a regular file. What is none any more counts as vanished, for a FIFO never ends."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return Unreadable(path, 1, 1, "no regular file", vanished=True)
        return path.read_bytes()
    except FileNotFoundError:
        return Unreadable(path, 1, 1, "it vanished during the run", vanished=True)
    except OSError as error:
        return Unreadable(path, 1, 1, f"cannot be read: {error.strerror or error}")


def read_source(file: SourceFile, override: bytes | None = None) -> Source | Unreadable:
    """The decoded file, or why not. Problems of parsing come from lowering, not from here."""
    data = read_bytes(file.path) if override is None else override
    if isinstance(data, Unreadable):
        return data
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(data).readline)
    except SyntaxError as error:
        return Unreadable(file.path, *_undecodable(data, "utf-8", str(error.msg)))
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        return Unreadable(file.path, *_undecodable(data, encoding, str(error)))
    return Source(file, data, text, encoding)


def _undecodable(data: bytes, encoding: str, message: str) -> tuple[int, int, str]:
    """Row and column from 1 of the first byte that does not decode, and one line that says why."""
    reason = f"cannot be decoded: {_LINE_WITHIN_MESSAGE.sub(' ', message)}"
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1, reason
    except (LookupError, UnicodeError):
        pass
    return 1, 1, reason


def character_column(row_text: str, byte_column: int) -> int:
    """The column from 1, in characters, of a UTF-8 byte offset from 0."""
    if row_text.isascii():
        return byte_column + 1
    return len(row_text.encode("utf-8", "surrogatepass")[:byte_column].decode("utf-8", "ignore")) + 1


def character_position(source: Source, row: int, byte_column: int) -> tuple[int, int]:
    """Row and column from 1, in characters, of a row from 1 and a UTF-8 byte offset from 0."""
    rows: Sequence[str] = source.rows
    if not 1 <= row <= len(rows):
        return row, byte_column + 1
    return row, character_column(rows[row - 1], byte_column)


def place_of(source: Source, span: ir.Span) -> Place:
    """The place that a span of the intermediate representation names."""
    row, column = character_position(source, span.row, span.column)
    end_row, end_column = character_position(source, span.end_row, span.end_column)
    return Place(str(source.file.path), row, column, end_row, end_column)

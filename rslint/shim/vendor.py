"""Writes the runtime library as one file into a project, and tells whether such a file is current."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rslint.replace import replace_file
from rslint.shim.one_file_form import FormError, Header, OneFile, header_of, parts_of, read, written

CARRIED = Path(__file__).with_name("runtime_library.py")
PARTS_NAMED = 5
State = Literal["current", "outdated", "changed", "foreign", "missing"]


class VendorError(Exception):
    """A file that cannot be written or must not be overwritten; says which, why, and the remedy."""


@dataclass(frozen=True)
class Vendored:
    """A vendored file. `state`: "current", "outdated" (as another version wrote it, or with other parts), "changed"
    (by hand), "foreign" (not ours) or "missing". `message` is one sentence for the user."""

    path: Path
    state: State
    message: str


def library(parts: Sequence[str] = ()) -> OneFile:
    """The library that this rslint carries, or those parts of it with all that they need.

    Raises VendorError for an unknown part.
    """
    whole = read(CARRIED.read_text(encoding="utf-8"))
    try:
        return parts_of(whole, parts) if parts else whole
    except FormError as error:
        raise VendorError(str(error)) from None


def state_of(path: Path, parts: Sequence[str] = ()) -> Vendored:
    """How a file stands to what this rslint would write there; without `parts`, to the parts that it has.

    Line ends do not count: version control may have changed them. Raises VendorError for what cannot be read.
    """
    if not path.exists():
        return Vendored(
            path, "missing", f"{path}: there is no such file; `rslint shim --vendor {path}` writes it"
        )
    text = _text(path)
    header = header_of(text)
    if header is None:
        return Vendored(
            path, "foreign", f"{path}: not written by `rslint shim`; its first line says so otherwise"
        )
    if not header.untouched:
        what = f"changed by hand since rslint-runtime {header.version} was written there"
        return Vendored(
            path, "changed", f"{path}: {what}; `rslint shim --vendor {path} --force` undoes the changes"
        )
    renew = f"`rslint shim --vendor {path}` renews it"
    try:
        wanted = library(parts or header.parts)
    except VendorError:
        what = f"{_described(header)} had other parts"
        return Vendored(path, "outdated", f"{path}: outdated: {what}; {renew}")
    if text != written(wanted):
        what = _described(header)
        return Vendored(
            path, "outdated", f"{path}: outdated: it is {what} and not what this rslint writes; {renew}"
        )
    return Vendored(path, "current", f"{path}: current: {_described(header)}")


def _described(header: Header) -> str:
    parts = ", ".join(header.parts) if len(header.parts) <= PARTS_NAMED else f"{len(header.parts)} parts"
    return f"rslint-runtime {header.version} ({parts})"


def vendor(path: Path, parts: Sequence[str] = (), *, force: bool = False) -> Vendored:
    """Write the library to a file in one step, and return how the file stood before.

    Folders above it must exist. An outdated file is renewed, with the parts it has where none are given. Raises
    VendorError for a file that is not ours or was changed by hand, unless `force` is given, and for what cannot be
    written.
    """
    before = state_of(path, parts)
    if before.state in ("foreign", "changed") and not force:
        raise VendorError(f"{before.message.partition(';')[0]}; it is left alone without --force")
    if before.state != "current":
        data = written(library(parts or _parts_kept(path, before))).encode()
        _write_new(path, data) if before.state == "missing" else _replace(path, data)
    return before


def _parts_kept(path: Path, before: Vendored) -> Sequence[str]:
    """The parts that the file has, as far as there still are such parts."""
    header = header_of(_text(path)) if before.state in ("outdated", "changed") else None
    known = {section.name for section in library().sections}
    return [part for part in header.parts if part in known] if header else ()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        raise VendorError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        return ""


def _replace(path: Path, data: bytes) -> None:
    reason = replace_file(path, path.read_bytes(), data)
    if reason is not None:
        raise VendorError(f"{path}: left alone: {reason}")


def _write_new(path: Path, data: bytes) -> None:
    """A whole file or none, and never over one that somebody else has put there meanwhile."""
    if not path.parent.exists():
        raise VendorError(f"{path}: the folder {path.parent} is not there; make it first")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".rslint")
    except OSError as error:
        raise VendorError(f"{path}: cannot be written: {error.strerror or error}") from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        temporary.chmod(0o666 & ~_mask())
        _put(temporary, path)
    except OSError as error:
        raise VendorError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.replace(temporary, path)


def _mask() -> int:
    """The process's file mode creation mask; Python can only read it by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

"""Writes a report to a file in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rslint.project.config import ConfigError


def replace_text(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name beside the target and rename it. Devices and pipes are written
    to.

    Raises ConfigError when the folder does not exist or cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(name, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            os.replace(name, target)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"--output-file {path}: {error.strerror or error}; name a writable place") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

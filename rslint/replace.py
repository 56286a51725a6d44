"""Replace the bytes of a file in one step, or say why it was left alone."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def replace_file(path: Path, expected: bytes, data: bytes) -> str | None:
    """Replace a file's bytes atomically, or return the reason why it was left alone.

    The new bytes go to a temporary file in the folder of the target (symbolic links are followed), are
    synced, get the target's permission bits, and take its place in one step. A file that no longer holds
    `expected` is left alone. Hard links to the old file keep the old bytes.
    """
    try:
        target = path.resolve(strict=True)
        if target.read_bytes() != expected:
            return "it changed between check and fix"
        mode = stat.S_IMODE(target.stat().st_mode)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".rslint")
    except OSError as error:
        return f"{error.strerror or error}"
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        if target.read_bytes() != expected:
            return "it changed between check and fix"
        os.replace(temporary, target)
    except OSError as error:
        return f"{error.strerror or error}"
    finally:
        temporary.unlink(missing_ok=True)
    return None

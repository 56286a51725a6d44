"""What the ranks of a run wrote to stdout and stderr, in bounded memory."""

from __future__ import annotations

from pathlib import Path

# Of a rank that writes more, the end is kept: what it said last is what explains how it went.
KEPT_BYTES = 256 * 1024


def path_of(directory: str, rank: int) -> Path:
    """The file that is the rank's stdout and stderr."""
    return Path(directory) / f"output.{rank}"


def read(directory: str, rank: int) -> str:
    """The rank's output; when it is longer than `KEPT_BYTES`, its last lines behind one that says so."""
    try:
        with path_of(directory, rank).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - KEPT_BYTES))
            data = file.read(KEPT_BYTES)
    except FileNotFoundError:
        return ""
    if size <= KEPT_BYTES:
        return data.decode("utf-8", "backslashreplace")
    # A line that was cut in two, or a character, is no line.
    kept = data[data.find(b"\n") + 1 :] if b"\n" in data[:-1] else data
    return f"… {size - len(kept)} bytes before this are left out\n{kept.decode('utf-8', 'backslashreplace')}"

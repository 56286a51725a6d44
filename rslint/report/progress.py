"""Says on a terminal what a longer run is doing."""

from __future__ import annotations

import sys
import time

_SECONDS = 1.0
# Files that are read and indexed in about a second; the figure only decides when to speak early.
_FILES = 400


class Progress:
    """One line on standard error that replaces itself; silent in short runs and where nobody looks."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.shown = False
        self.enabled = sys.stderr.isatty()

    def __call__(self, what: str, files: int) -> None:
        if self.enabled and (files > _FILES or time.monotonic() - self.started > _SECONDS):
            sys.stderr.write(f"\r\x1b[K{what} …")
            sys.stderr.flush()
            self.shown = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

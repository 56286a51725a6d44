"""How files are named to people: relative to the working directory where that is shorter."""

from __future__ import annotations

import os
import re

# A place in a sentence: `at /path/file.py:12`, the path with blanks or not.
_PLACE = re.compile(r"(?<=\bat )/[^:\n]*(?=:\d)")


def shown(path: str) -> str:
    """The path, relative to the working directory where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path


def shown_place(place: str) -> str:
    """`file:line` with the file as `shown` has it."""
    file, colon, line = place.rpartition(":")
    return f"{shown(file)}{colon}{line}"


def with_shown_places(text: str) -> str:
    """The text with the file of each `at file:line` as `shown` has it."""
    return _PLACE.sub(lambda found: shown(found[0]), text)

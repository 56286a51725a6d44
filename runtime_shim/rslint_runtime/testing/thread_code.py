"""Which code is the program's own, that threads are stopped in, and how a report calls a place in it."""

from __future__ import annotations

import functools
import sysconfig
from pathlib import Path
from types import CodeType

_HARNESS = str(Path(__file__).parent)
_LIBRARIES = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_INSTALLED = ("site-packages", "dist-packages")
_chosen: set[str] = set()


def only_in(files: set[str]) -> None:
    """Take the code in these files for the program's, and no other; all that is not a library's, if there are none."""
    _chosen.clear()
    _chosen.update(files)
    is_program.cache_clear()


@functools.cache
def is_program(file: str) -> bool:
    """Whether code of this file is the program's own."""
    if file.startswith(("<frozen", _HARNESS)):
        return False
    if _chosen:
        return file in _chosen
    return not file.startswith(_LIBRARIES) and not any(part in file for part in _INSTALLED)


def words_of(code: CodeType, row: int) -> str:
    """`function (file:line)`."""
    return f"{code.co_name} ({code.co_filename.replace(chr(92), '/').rpartition('/')[2]}:{row})"

"""An exception as text that outlives its process, with the names a handler could have caught it by."""

from __future__ import annotations

import traceback

from rslint_runtime.testing.records import RankError


def described(error: BaseException, caught_in: str) -> RankError:
    """The exception as the caller gets it; the outermost frames are left out as long as they are in `caught_in`."""
    try:
        text = str(error)
    except Exception:
        text = "<no text>"
    bases = tuple(_qualified(base) for base in type(error).__mro__ if base is not object)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == caught_in:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return RankError(bases[0], bases, text, "".join(lines))


def _qualified(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

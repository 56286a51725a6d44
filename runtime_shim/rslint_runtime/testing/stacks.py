"""What the threads of this process are doing, as text: for ranks that a run leaves hanging."""

from __future__ import annotations

import sys
import threading
import traceback
from types import FrameType

from rslint_runtime.testing.places import in_program

# The innermost frames tell where a thread is; of a deep stack the outer ones are left out.
_KEPT_FRAMES = 12


def stacks(own_thread: int) -> str:
    """The stacks of all threads but `own_thread`, up to the program's innermost frame; the main thread's first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    main = threading.main_thread().ident
    frames = sorted(sys._current_frames().items(), key=lambda item: item[0] != main)
    texts = []
    for ident, frame in frames:
        lines = _lines(frame)
        if ident != own_thread and lines:
            title = "" if ident == main else f"thread {names.get(ident, ident)}:\n"
            texts.append(title + "".join(lines))
    return "\n".join(texts)


def _lines(frame: FrameType | None) -> list[str]:
    """Only what the program called: below its innermost frame is torch, above its outermost the harness."""
    while frame is not None and not in_program(frame):
        frame = frame.f_back
    if frame is None:
        return []
    kept = []
    for each, number in traceback.walk_stack(frame):
        if not in_program(each) and each.f_globals.get("__name__") == "rslint_runtime.testing.rank":
            break
        kept.append((each, number))
    return traceback.StackSummary.extract(iter(reversed(kept[:_KEPT_FRAMES]))).format()

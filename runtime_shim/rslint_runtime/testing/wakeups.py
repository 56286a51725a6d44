"""What may wake a thread that waits for others of its process, besides these: signals, and what a loop listens to.

A main thread in `stop.wait()` is freed by a signal's handler too, and a loop that has nothing to do by any socket that
it watches. Who waits like that is not deadlocked.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any


def signal_may_come() -> bool:
    """Whether the program handles a signal that a timer of this process, or a child of it, may still send.

    What other ranks and people send is not foreseen. Nor is SIGINT, which asyncio handles always.
    """
    handled = (signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGINT})
    if not any(callable(handler) for handler in handled):
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0 or _has_children()


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def is_idle_loop(frame: FrameType) -> bool:
    """Whether the thread is in an asyncio loop that only another thread can give something to do.

    It looks for events without a timeout, so nothing is ready and nothing scheduled, and watches nothing but the
    socket by which other threads wake it.
    """
    caller = frame.f_back
    if caller is None or (_place(frame), _place(caller)) != (_SELECT, _RUN_ONCE):
        return False
    waits: dict[str, Any] = caller.f_locals
    loop = waits.get("self")
    selector, own = getattr(loop, "_selector", None), getattr(loop, "_ssock", None)
    if selector is None or own is None or waits.get("timeout", 0) is not None:
        return False
    return set(selector.get_map() or ()) == {own.fileno()}


_SELECT = ("selectors", "select")
_RUN_ONCE = ("asyncio.base_events", "_run_once")


def _place(frame: FrameType) -> tuple[Any, str]:
    return frame.f_globals.get("__name__"), frame.f_code.co_name

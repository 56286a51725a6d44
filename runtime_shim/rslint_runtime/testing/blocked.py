"""Which threads of this process are blocked, without a timeout, until another thread of it acts.

A main thread in `worker.join()` and an idle thread of an executor enter no collective, but only another
thread can wake them. Without knowing that, no rank with a second thread could be shown to be deadlocked. The
Python frame says what the thread does; that it really sleeps there, the kernel's count of context switches
says, compared between two looks.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import thread as executor
from types import FrameType

from rslint_runtime.testing.lock_waits import waits_for_lock
from rslint_runtime.testing.wire import Looked


def look(token: int, own_thread: int) -> Looked:
    """Look at every thread but `own_thread`; answers the caller's question `token`."""
    known = {thread.ident: thread for thread in threading.enumerate()}
    blocked: list[tuple[int, int]] = []
    unknown = False
    for ident, frame in sys._current_frames().items():
        if ident == own_thread:
            continue
        thread = known.get(ident)
        if thread is None or isinstance(thread, threading._DummyThread):
            unknown = True
        elif _waits_inside(frame):
            # A forked main thread keeps its parent's native_id until Python 3.13.
            native_id = os.getpid() if thread is threading.main_thread() else thread.native_id
            switches = _switches_if_asleep(native_id)
            if switches is not None:
                blocked.append((ident, switches))
    return Looked(token, tuple(blocked), unknown)


def _waits_inside(frame: FrameType) -> bool:
    if waits_for_lock(frame):
        return True
    filename, function = frame.f_code.co_filename, frame.f_code.co_name
    if filename == executor.__file__:
        return function == "_worker"
    if filename != threading.__file__ or function not in ("wait", "join", "_wait_for_tstate_lock"):
        return False
    timeout = frame.f_locals.get("timeout")
    return timeout is None or timeout == -1


def _switches_if_asleep(native_id: int | None) -> int | None:
    """The thread's context switches so far, None if it is running or runnable (or the system cannot say)."""
    try:
        with open(f"/proc/self/task/{native_id}/status", encoding="ascii", errors="replace") as status:
            fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    except OSError:
        return None
    if not fields.get("State", "").startswith("S"):
        return None
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])

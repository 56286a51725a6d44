"""Which threads of this process sleep, without a timeout, until another thread of it acts.

A main thread in `worker.join()` and an idle thread of an executor enter no collective, but only another
thread can wake them. Without knowing that, no rank with a second thread could be shown to be deadlocked. The
Python frame says what the thread does; that it really sleeps there, the kernel's count of context switches
says, compared between two looks.

A thread inside torch's C++ code (the constructor and backward of DistributedDataParallel, a future's wait) says
even less. But where it sleeps in a private futex without a timeout, only a thread of this process can wake it; and
where all of these sleep as well, torch's own included, what is left to wake them are messages of the operations that
it has issued: it waits for one of these.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread as executor
from types import FrameType

import torch

from rslint_runtime.testing import wakeups
from rslint_runtime.testing.lock_waits import waits_for_lock
from rslint_runtime.testing.wire import Looked

_TORCH = f"{torch.__path__[0]}/"
# The number of the system call futex(address, operation, value, timeout, …), and of its operations that wait.
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
_FUTEX_WAITS = (0, 9)
_FUTEX_PRIVATE = 128
_FUTEX_COMMAND = 0x7F


def look(
    token: int, own_thread: int, unfinished: Callable[[int], tuple[int, ...]], callbacks: Callable[[], int]
) -> Looked:
    """Look at every thread but `own_thread`; answers the caller's question `token`.

    `unfinished` gives the numbers of the operations that a thread has issued and that still run, `callbacks` how many
    functions torch may still call in a thread of its own.
    """
    known = {thread.ident: thread for thread in threading.enumerate()}
    blocked: list[tuple[int, int]] = []
    inside_torch: list[tuple[int, int, tuple[int, ...]]] = []
    unknown = False
    for ident, frame in sys._current_frames().items():
        if ident == own_thread:
            continue
        thread = known.get(ident)
        if thread is None or isinstance(thread, threading._DummyThread):
            unknown = True
            continue
        # A forked main thread keeps its parent's native_id until Python 3.13.
        native_id = os.getpid() if thread is threading.main_thread() else thread.native_id
        if _waits_inside(frame):
            if callbacks() or (thread is threading.main_thread() and wakeups.signal_may_come()):
                continue
            switches = _switches_if_asleep(native_id)
            if switches is not None:
                blocked.append((ident, switches))
        elif frame.f_code.co_filename.startswith(_TORCH) and _waits_for_own_process(native_id):
            operations, switches = unfinished(ident), _switches_if_all_sleep()
            if operations and switches is not None:
                inside_torch.append((ident, switches, operations))
    return Looked(token, tuple(blocked), unknown, tuple(inside_torch))


def _waits_inside(frame: FrameType) -> bool:
    if waits_for_lock(frame) or wakeups.is_idle_loop(frame):
        return True
    filename, function = frame.f_code.co_filename, frame.f_code.co_name
    if filename == executor.__file__:
        return function == "_worker"
    if filename != threading.__file__ or function not in ("wait", "join", "_wait_for_tstate_lock"):
        return False
    timeout = frame.f_locals.get("timeout")
    return timeout is None or timeout == -1


def _waits_for_own_process(native_id: int | None) -> bool:
    """Whether the thread is in a futex that no other process can wake, and no clock."""
    try:
        with open(f"/proc/self/task/{native_id}/syscall", encoding="ascii") as file:
            number, *arguments = file.read().split()
    except (OSError, ValueError):
        return False
    if number != str(_FUTEX) or len(arguments) < 4:
        return False
    operation, timeout = int(arguments[1], 16), int(arguments[3], 16)
    return operation & _FUTEX_COMMAND in _FUTEX_WAITS and bool(operation & _FUTEX_PRIVATE) and timeout == 0


def _switches_if_all_sleep() -> int | None:
    """The context switches of all threads but the calling one, C++ ones included; None unless all are asleep."""
    total = 0
    for task in os.listdir("/proc/self/task"):
        if int(task) != threading.get_native_id():
            switches = _switches_if_asleep(int(task))
            if switches is None:
                return None
            total += switches
    return total


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

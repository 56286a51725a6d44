"""How to wait for what another process stores to shared memory: spin, then yield the CPU, then sleep ever longer.

Memory rings no bell, so a waiter has to look again and again. At first it looks often, for what is about to come; later
it leaves the CPU to others. The kernel is asked for nothing but sleep, so a waiter needs nobody to wake it, and a peer
that was killed in whatever state leaves no waiter behind.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["BUSY_SECONDS", "checked_timeout", "wait_until", "wait_until_async"]

BUSY_SECONDS = 0.0002
_SPINS = 3
_SHORTEST_SLEEP = 0.00005
_LONGEST_SLEEP = 0.002
_LONGEST_WAKEFUL_SLEEP = 0.02
_WATCH_SECONDS = 0.02
# A yield that took so long is a sign that the CPU is contended, for so long to come.
_LONG_YIELD = 0.0001
_CONTENDED_SECONDS = 0.5
_busy_again_at = 0.0


def checked_timeout(timeout: float | None) -> float | None:
    """How many seconds somebody waits at most; None without a limit, which `float("inf")` says as well.

    Every wait of this library is given its timeout through it, before anything else happens.

    Raises:
        TypeError: for what is neither a number nor None.
        ValueError: for a number below 0, and for NaN.
    """
    if timeout is None:
        return None
    try:
        valid = timeout >= 0
    except TypeError:
        raise TypeError(f"a timeout is a number of seconds, or None for no limit, not {timeout!r}") from None
    if not valid:
        raise ValueError(f"a timeout is 0 seconds or more, or None for no limit, not {timeout!r}")
    # The longest that a lock can be waited for, some centuries: what is longer has no limit either.
    return None if timeout > threading.TIMEOUT_MAX else timeout


def wait_until(
    ready: Callable[[], bool],
    timeout: float | None = None,
    *,
    watch: Callable[[], None] | None = None,
    busy_seconds: float = BUSY_SECONDS,
    sleep: Callable[[float], None] | None = None,
) -> bool:
    """Whether `ready()` came true within `timeout` seconds, as `checked_timeout` takes them (None: wait for ever).

    `watch` is called now and then (about fifty times a second) and once more before time is up; it raises what should
    end the wait, for example that the peer waited for has died. For `busy_seconds` the CPU is only yielded; after that
    the thread sleeps, first for 50 microseconds, in the end for 2 milliseconds at a time. `sleep` does it instead where
    somebody may wake the sleeper; then it sleeps for 20 milliseconds at a time.
    """
    timeout = checked_timeout(timeout)
    for _ in range(_SPINS):
        if ready():
            return True
    for pause in _pauses(timeout, watch, busy_seconds, wakeful=sleep is not None):
        if ready():
            return True
        if not pause:
            _yield_cpu()
        elif sleep is None:
            time.sleep(pause)
        else:
            sleep(pause)
    return ready()


async def wait_until_async(
    ready: Callable[[], bool],
    timeout: float | None = None,
    *,
    watch: Callable[[], None] | None = None,
    busy_seconds: float = BUSY_SECONDS,
) -> bool:
    """`wait_until` for asyncio: other tasks run between any two looks.

    Between the `ready()` that came true and the return nothing is awaited, so a caller that is cancelled was cancelled
    before; what it waited for is still there.
    """
    import asyncio

    timeout = checked_timeout(timeout)
    if ready():
        return True
    for pause in _pauses(timeout, watch, busy_seconds):
        await asyncio.sleep(pause)
        if ready():
            return True
    return False


def _pauses(
    timeout: float | None, watch: Callable[[], None] | None, busy_seconds: float, *, wakeful: bool = False
) -> Iterator[float]:
    """Seconds to pause before each further look, 0 to yield only; ends when time is up."""
    now = started = time.monotonic()
    deadline = float("inf") if timeout is None else started + timeout
    watch_at = started + _WATCH_SECONDS
    sleep = longest = _LONGEST_WAKEFUL_SLEEP
    if not wakeful:
        sleep, longest = _SHORTEST_SLEEP, _LONGEST_SLEEP
    while now < deadline:
        if now - started < busy_seconds and not (wakeful and now < _busy_again_at):
            yield 0
            _note_yield(time.monotonic() - now)
        else:
            yield min(sleep, deadline - now)
            sleep = min(2 * sleep, longest)
        now = time.monotonic()
        if watch is not None and now >= watch_at:
            watch()
            watch_at = now + _WATCH_SECONDS
    if watch is not None:
        watch()


def _note_yield(seconds: float) -> None:
    """Where others are waiting for the CPU, whoever yields gets it back late: better to sleep, and be woken."""
    global _busy_again_at
    if seconds > _LONG_YIELD:
        _busy_again_at = time.monotonic() + _CONTENDED_SECONDS


def _yield_cpu() -> None:
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)

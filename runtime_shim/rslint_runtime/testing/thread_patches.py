"""What is replaced while threads are explored, so that locks, sleeps and clocks are controlled ones."""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import functools
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any
from unittest.mock import patch

from rslint_runtime.testing import thread_locks, thread_run
from rslint_runtime.testing.thread_code import is_program
from rslint_runtime.testing.thread_locks import CooperativeLock
from rslint_runtime.testing.thread_state import Abandoned

_REAL_LOCK, _REAL_RLOCK = type(threading.Lock()), type(threading.RLock())
_MADE_OF_LOCKS = ("threading", "queue", "functools")


@contextlib.contextmanager
def controlled(modules: Sequence[ModuleType]) -> Iterator[None]:
    """Replace what threads wait with, for the time of the context; in `modules` also what they have already."""
    with contextlib.ExitStack() as stack:
        replaced: dict[Any, Any] = {threading.Lock: CooperativeLock, time.sleep: thread_locks.sleep}
        replaced |= {getattr(time, name): clock for name, clock in thread_locks.CLOCKS.items()}
        replaced[queue.SimpleQueue] = queue._PySimpleQueue  # type: ignore[attr-defined]

        def put(owner: Any, name: str, value: Any) -> None:
            if hasattr(owner, name):
                stack.enter_context(patch.object(owner, name, value))

        for name in ("Lock", "_allocate_lock"):
            put(threading, name, CooperativeLock)
        put(threading, "_CRLock", None)
        for name in ("_start_new_thread", "_start_joinable_thread"):
            if hasattr(threading, name):
                put(threading, name, thread_run.begin_thread(getattr(threading, name)))
        put(threading.Thread, "start", thread_run.start)
        put(threading.Thread, "join", thread_locks.join)
        put(threading.Thread, "is_alive", thread_locks.is_alive)
        put(threading.Thread, "__hash__", thread_locks.hash_of)
        put(time, "sleep", thread_locks.sleep)
        for name, clock in thread_locks.CLOCKS.items():
            put(time, name, clock)
        put(threading, "_time", thread_locks.CLOCKS["monotonic"])
        put(queue, "time", thread_locks.CLOCKS["monotonic"])
        put(queue, "SimpleQueue", replaced[queue.SimpleQueue])
        put(functools, "RLock", threading.RLock)
        put(concurrent.futures.thread, "_global_shutdown_lock", CooperativeLock())
        log = logging.getLogger("concurrent.futures")
        log.addFilter(_no_unwinding)
        stack.callback(log.removeFilter, _no_unwinding)
        for module in modules:
            _swap(module, replaced, stack)
        yield


def _no_unwinding(record: logging.LogRecord) -> bool:
    """Drop what an executor says of a worker that is unwound."""
    return not (record.exc_info and record.exc_info[0] is Abandoned)


def modules_of(function: Callable[..., Any]) -> list[ModuleType]:
    """The program's modules that a function's module imports, and it itself, as far as they are loaded."""
    found: dict[str, ModuleType] = {}
    waiting = [getattr(function, "__module__", None) or ""]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        if module is None or name in found or not is_program(getattr(module, "__file__", None) or "<frozen>"):
            continue
        found[name] = module
        for value in vars(module).values():
            used = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(used, str):
                waiting.append(used)
    return list(found.values())


def _swap(module: ModuleType, replaced: dict[Any, Any], stack: contextlib.ExitStack) -> None:
    """Put cooperative locks where a module, its classes and its objects have real ones."""
    seen: dict[int, Any] = {}
    waiting: list[Any] = [module]
    while waiting:
        owner = waiting.pop()
        for name, value in list(vars(owner).items()):
            new = _standing_for(value, replaced, seen)
            if new is not None:
                with contextlib.suppress(AttributeError, TypeError):
                    stack.enter_context(patch.object(owner, name, new))
            elif id(value) not in seen and _is_looked_into(value):
                seen[id(value)] = None
                waiting.append(value)


def _is_looked_into(value: Any) -> bool:
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ == "functools":
        return True
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return (
        hasattr(value, "__dict__")
        and not isinstance(value, ModuleType)
        and file is not None
        and is_program(file)
    )


def _standing_for(value: Any, replaced: dict[Any, Any], seen: dict[int, Any]) -> Any:
    """What is put in the place of a lock, or of something of `threading` and `queue` that has one inside."""
    if seen.get(id(value)) is not None:
        return seen[id(value)]
    new: Any = None
    if isinstance(value, _REAL_LOCK):
        new = CooperativeLock()
    elif isinstance(value, _REAL_RLOCK):
        new = threading.RLock()
    elif isinstance(value, threading.Condition):
        new = threading.Condition(_standing_for(value._lock, replaced, seen))  # type: ignore[attr-defined]
    elif type(value).__module__ in _MADE_OF_LOCKS[:2] and hasattr(value, "__dict__"):
        if not isinstance(value, (threading.Thread, threading.local)):
            new = _rebuilt(value, replaced, seen)
    else:
        with contextlib.suppress(TypeError):
            return replaced.get(value)
    if new is not None:
        seen[id(value)] = new
    return new


def _rebuilt(value: Any, replaced: dict[Any, Any], seen: dict[int, Any]) -> Any:
    """A semaphore, event, barrier or queue with its contents, over cooperative locks."""
    new: Any = object.__new__(type(value))
    for name, part in vars(value).items():
        other = _standing_for(part, replaced, seen)
        vars(new)[name] = part if other is None else other
    return new

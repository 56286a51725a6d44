# rslint-runtime 0.1.0 in one file (sha256 b407cc1dac5c6ebf)
# Written by `rslint shim --vendor`. Change nothing here by hand: the same command renews this file, and
# `rslint shim --check` tells whether it is current.
# fmt: off
# isort: skip_file
# flake8: noqa
# ruff: noqa
#
# MIT License
#
# Copyright (c) 2026 The rslint authors
#
# Permission is hereby granted, free of charge, to any person obtaining a copy
# of this software and associated documentation files (the "Software"), to deal
# in the Software without restriction, including without limitation the rights
# to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
# copies of the Software, and to permit persons to whom the Software is
# furnished to do so, subject to the following conditions:
#
# The above copyright notice and this permission notice shall be included in all
# copies or substantial portions of the Software.
#
# THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
# IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
# FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
# AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
# LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
# OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
# SOFTWARE.

"""What a distributed program needs so that one failure, or one bad order of events, does not hang or corrupt the rest.

Collectives through which one rank's failure reaches every rank; shared-memory segments with one owner; fences, flags
and rings, so that what one process writes is read in order by another, and the death of a ring's member is noticed;
values that cannot be used once their lock is released, and locks between requests and updates that know of pauses.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import mmap
import operator
import os
import pickle
import platform
import re
import stat
import struct
import sys
import threading
import time
import traceback
import warnings
import weakref
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from types import (
    AsyncGeneratorType,
    CoroutineType,
    GeneratorType,
    GetSetDescriptorType,
    MemberDescriptorType,
    TracebackType,
)
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

if TYPE_CHECKING:
    import asyncio
    from torch import Tensor
    from torch.distributed import ProcessGroup, Work

__all__ = [
    "ADMITTED",
    "ATTACHED",
    "Arrival",
    "AsyncGuarded",
    "AsyncUpdateLock",
    "Attendance",
    "Audience",
    "BUSY_SECONDS",
    "BYTES",
    "Borrowed",
    "CELL",
    "CLOSED",
    "COUNT",
    "Carrier",
    "DROPPED",
    "EXPECTED",
    "FAILED",
    "Failure",
    "Guarded",
    "Held",
    "JOINING",
    "LARGE",
    "Lent",
    "Message",
    "OVERFLOWED",
    "OverflowReader",
    "OverflowWriter",
    "PICKLE",
    "PICKLE_WITH_BUFFERS",
    "PID",
    "Peer",
    "PeerDiedError",
    "PeerError",
    "Place",
    "REASON",
    "REASON_BYTES",
    "REASON_LENGTH",
    "ReleasedError",
    "RingLayout",
    "RingMember",
    "RingReader",
    "RingWriter",
    "SLEEPER",
    "SLOT_HEADER",
    "SLOT_HEADER_SIZE",
    "STATE_NAMES",
    "Segment",
    "SharedCounter",
    "SharedFlag",
    "SharedWord",
    "ShmRing",
    "SlowReaderError",
    "Stamp",
    "TICKET",
    "Turn",
    "UpdateLock",
    "UpdateTurns",
    "WRITER_CELL",
    "WRITER_PLACE",
    "absent_peers",
    "agree",
    "append_arrival",
    "append_stamp",
    "arrivals",
    "attach",
    "broadcast_message",
    "broadcast_result",
    "carrier_of",
    "checked_timeout",
    "create",
    "describe_failure",
    "distributed_runs",
    "expected_peers",
    "first_failing",
    "gather_messages",
    "gather_results",
    "generation_of",
    "is_held",
    "is_linked",
    "label_of",
    "locked_alone",
    "member_group",
    "memory_fence",
    "message_of",
    "new_segment_name",
    "object_of",
    "owner_lock",
    "pages_of",
    "pairs_needed",
    "pickled_bytes",
    "pid_of",
    "raise_for_peer",
    "rank_guard",
    "read_stamp",
    "remove_if_orphaned",
    "remove_orphans",
    "remove_overflow",
    "segment_path",
    "segments_folder",
    "sized",
    "this_process",
    "this_rank",
    "unlink_after_peers",
    "unlink_after_peers_async",
    "use_cpu_group",
    "wait_until",
    "wait_until_async",
]

# ==== futex =================================================================================================

# Sleeping until a word of shared memory changes: the futexes of Linux, and plain sleep where there are none.
#
# Nothing rests on a wake-up. A sleeper sleeps for a bounded time and looks again, so one that is missed, or a peer that
# dies before it wakes anybody, costs a pause. What it buys: a waiter leaves the CPU at once and is back in microseconds.
#
# Source: futex(2). The kernel finds sleepers by the memory itself, so processes need nothing but the mapping.

_SYSCALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221, "s390x": 238}
_WAIT, _WAKE = 0, 1
_ALL = (1 << 31) - 1
_UNWAKEABLE_SLEEP = 0.001
# What a wait may come back with: woken, changed before, interrupted, time is up. Anything else: not to be had here.
_USUAL = frozenset({errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT})


class SharedWord:
    """Four bytes of a shared mapping, at an offset that four divides, that processes sleep on."""

    def __init__(self, view: memoryview, offset: int) -> None:
        self._bytes = view[offset : offset + 4]
        self._word = _addressable(self._bytes)
        if self._word is not None:
            self._call, ctypes = _futex()
            self._address = ctypes.addressof(self._word)
            self._time = (ctypes.c_long * 2)()
            self._time_address = ctypes.addressof(self._time)

    def load(self) -> int:
        """What is there now, for `sleep`; anything where that cannot be woken."""
        return 0 if self._word is None else int.from_bytes(self._bytes, sys.byteorder)

    def sleep(self, seen: int, seconds: float) -> None:
        """Sleep until somebody wakes who sleeps here, `seconds` at most; not at all where `seen` is not there now.

        Where there are no futexes it sleeps for a millisecond.
        """
        if self._word is None or not self._wait(seen, seconds):
            self._word = None
            time.sleep(min(seconds, _UNWAKEABLE_SLEEP))

    def wake(self) -> None:
        """Wake whoever sleeps here."""
        if self._word is not None:
            self._call(_number(), self._address, _WAKE, _ALL, None, None, 0)

    def close(self) -> None:
        """Let go of the mapping."""
        self._word = None
        self._bytes.release()

    def _wait(self, seen: int, seconds: float) -> bool:
        """Whether the kernel knows how."""
        self._time[0], self._time[1] = int(seconds), int(seconds % 1 * 1e9)
        if self._call(_number(), self._address, _WAIT, seen, self._time_address, None, 0) == 0:
            return True
        return _futex()[1].get_errno() in _USUAL


@cache
def _number() -> int | None:
    """The number of the system call here; None where there is none that is known."""
    return _SYSCALLS.get(platform.machine()) if sys.platform == "linux" else None


def _addressable(view: memoryview) -> Any:
    """The word as the kernel wants it; None where there are no futexes, or a model of memory stands for it."""
    if _number() is None or not isinstance(view, memoryview):
        return None
    return _futex()[1].c_uint32.from_buffer(view)


@cache
def _futex() -> tuple[Any, Any]:
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    pointer = ctypes.c_void_p
    call.argtypes = (ctypes.c_long, pointer, ctypes.c_int, ctypes.c_uint32, pointer, pointer, ctypes.c_uint32)
    return call, ctypes


# ==== lent_values ===========================================================================================

# A stand-in for a value that stops working when the value is taken back.
#
# It forwards attributes, items, calls, operators and iteration (not `with` and `await`). Each use asks first whether the
# value is still lent, methods that were taken from it and iterations that have begun included. What comes out of the
# value (an item, an attribute that is no method, a copy) is not stood in for.
#
# For `isinstance` it is what it stands for, as the proxies of wrapt and werkzeug are. It is not for `type(x) is`, nor for
# functions written in C that look into a list or dict directly (`json.dumps`, `PyList_GetItem`).

_BINARY = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "xor", "or",
)  # fmt: skip
_OPERATORS = (
    "neg", "pos", "abs", "invert", "index", "lt", "le", "eq", "ne", "gt", "ge", "getitem", "setitem", "delitem",
    "contains",
)  # fmt: skip


class Lent:
    """Stands for what `value` returns, as long as that does not raise."""

    __slots__ = ("_lent_value",)

    def __init__(self, value: Callable[[], Any]) -> None:
        object.__setattr__(self, "_lent_value", value)

    @property
    def __class__(self) -> Any:
        return type(_lent_value(self))

    @__class__.setter
    def __class__(self, kind: type) -> None:
        _lent_value(self).__class__ = kind

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        value = _lent_value(self)
        found = getattr(value, name)
        if getattr(found, "__self__", None) is not value:
            return found

        def method(*arguments: Any, **keywords: Any) -> Any:
            _lent_value(self)
            return found(*arguments, **keywords)

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_lent_value(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_lent_value(self), name)

    def __repr__(self) -> str:
        return repr(_lent_value(self))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return _lent_value(self)(*arguments, **keywords)

    def __iter__(self) -> Iterator[Any]:
        for item in _lent_value(self):
            yield item
            _lent_value(self)

    def __next__(self) -> Any:
        return next(_lent_value(self))


def _lent_value(lent: Lent) -> Any:
    return object.__getattribute__(lent, "_lent_value")()


def _forwarding(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments: function(_lent_value(self), *arguments)


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, _lent_value(self))


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def changed(self: Lent, other: Any) -> Lent:
        value = _lent_value(self)
        if function(value, other) is not value:
            # The result would be bound to the name of the stand-in, and the guarded value stay as it was.
            raise TypeError(f"a {type(value).__name__} cannot be changed in place: assign to `held.value`")
        return self

    return changed


def _complete(kind: type) -> None:
    """The methods that Python looks up on the class, never on the value."""
    for name in (*_BINARY, *_OPERATORS):
        setattr(kind, f"__{name}__", _forwarding(getattr(operator, f"__{name}__")))
    for name in _BINARY:
        setattr(kind, f"__r{name}__", _reflected(getattr(operator, f"__{name}__")))
        setattr(kind, f"__i{name}__", _in_place(getattr(operator, f"__i{name}__")))
    builtin: dict[str, Callable[..., Any]] = {
        "len": len, "bool": bool, "hash": hash, "str": str, "bytes": bytes, "int": int, "float": float,
        "complex": complex, "format": format, "round": round, "reversed": reversed, "dir": dir,
    }  # fmt: skip
    for name, function in builtin.items():
        setattr(kind, f"__{name}__", _forwarding(function))


_complete(Lent)


# ==== order =================================================================================================

# A full memory fence in plain Python, for rings and flags in memory that processes share.
#
# CPython has no fence of its own. What it has are locks, which are atomic operations: whatever stands before a lock is
# taken and released and whatever stands behind are kept apart, if the operations are strong enough. How strong they are
# depends on the CPU and on the lock:
#
# - x86-64: every atomic read-modify-write is a full fence. One pair is enough.
# - Arm and others, CPython before 3.13.1: `threading.Lock` is a semaphore; taking it is a compare-and-swap with acquire,
#   giving it back one with release. By Arm's published model an earlier store may sink into the pair from above and a
#   later one rise into it from below, and the two may meet there and swap. A second pair keeps them apart.
# - CPython 3.13.1 and later: the lock is a `PyMutex`, whose atomic operations are sequentially consistent. One pair.
#
# `rslint_runtime.testing.litmus` decides these questions from the models; tests/runtime/test_litmus.py asks it whether
# the pairs taken here suffice, and whether one less would.
#
# Sources: Arm Architecture Reference Manual for A-profile, B2.3; CPython, Python/thread_pthread.h and Python/lock.c.

_TOTAL_STORE_ORDER = frozenset({"x86_64", "amd64", "i386", "i686", "x86"})


def pairs_needed(machine: str, implementation: str, version: tuple[int, int, int]) -> int:
    """How many times a lock must be taken and released in a row to order every earlier access before every later one.

    `machine` is what `platform.machine()` says, `implementation` `sys.implementation.name`, `version` the first three
    numbers of `sys.version_info`. Of other implementations nothing is known: two.
    """
    if machine.lower() in _TOTAL_STORE_ORDER:
        return 1
    return 1 if implementation == "cpython" and version >= (3, 13, 1) else 2


_twice = pairs_needed(platform.machine(), sys.implementation.name, sys.version_info[:3]) == 2
_lock = threading.Lock()


def memory_fence() -> None:
    """Order all earlier loads and stores of this thread before all later ones, for every observer.

    Put it between a payload and the flag that publishes it, between the load of a flag that succeeds and the load of
    the payload, and between reading a payload and acknowledging it. It makes nothing visible faster, and a loop that
    merely polls does not need it. It never blocks for long: nobody holds the lock over other work.
    """
    with _lock:
        pass
    if _twice:
        with _lock:
            pass


def _renew() -> None:
    """A child that was forked while another thread was inside would find the lock taken for ever."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


# ==== peer_error ============================================================================================

# An exception of one rank, in a form that every other rank can read, keep in a log and catch.
#
# What travels is text (message and traceback), the names of the exception's base classes, and its pickle where that can
# be unpickled again on the rank it comes from. All of it is bounded: an exception that carries a batch of tensors must
# not cost its peers their memory. What is cut is said.

# Characters of a message and of a traceback that travel, and bytes of a pickled exception.
_TEXT_LIMIT = 20_000
_TRACEBACK_LIMIT = 100_000
_PICKLE_LIMIT = 1_000_000


@dataclass(frozen=True)
class Failure:
    """An exception in a form that every peer can read, whatever it can import.

    Attributes:
        rank: global rank on which it was raised.
        bases: (module, qualified name) of its class and of that class's bases, in their order of resolution.
        text: `str()` of it, cut to 20,000 characters.
        traceback_text: its traceback, cut to 100,000 characters.
        pickled: None if it cannot be pickled and unpickled again, or takes more than a megabyte.
    """

    rank: int
    bases: tuple[tuple[str, str], ...]
    text: str
    traceback_text: str
    pickled: bytes | None


class PeerError(Exception):
    """Another rank failed, and this rank learned of it through a collective.

    The instance raised is also an instance of the type raised on the failing rank (or of its nearest base that can be
    imported here), so `except ConnectionError` catches it on every rank. But SystemExit, KeyboardInterrupt and
    CancelledError, which are no `Exception`, are a plain PeerError on the other ranks: only the rank that was told to
    stop should silently exit, or count as cancelled. `error_type` names them. Where the original can be unpickled here
    it is the `__cause__`.

    Attributes:
        rank: global rank on which the failure began.
        error_type: qualified name of the exception raised there.
        text: `str()` of that exception, cut to 20,000 characters.
        traceback_text: that rank's traceback, causes and contexts included, cut to 100,000 characters.
    """

    rank: int = -1
    error_type: str = ""
    text: str = ""
    traceback_text: str = ""
    _failures: tuple[Failure, ...] = ()

    @property
    def failures(self) -> dict[int, PeerError]:
        """All ranks known to have failed, each with its error: more than one only from gather_results."""
        return {failure.rank: _peer_error((failure,)) for failure in self._failures}

    def __str__(self) -> str:
        if not self._failures:
            return super().__str__()
        summary = f"rank {self.rank} raised {self.error_type}{self.text and ': '}{self.text}"
        if len(self._failures) > 1:
            summary += f"\n(so did ranks {[failure.rank for failure in self._failures[1:]]}, see `failures`)"
        return f"{summary}\n--- traceback of rank {self.rank} ---\n{self.traceback_text.rstrip()}"

    # Not those of the original type (a dataclass, say): what they look at may not have come along.
    __repr__ = Exception.__repr__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made per type and cannot be found by name, so a copy is rebuilt from the failures.
        if not self._failures:
            return (type(self), self.args)
        return (_peer_error, (self._failures,))


def describe_failure(error: BaseException, rank: int) -> Failure:
    """Describe what `rank` raised. Never raises: the peers wait for the description.

    A PeerError is handed on as it came, so that peers of peers learn of the rank where it began.
    """
    if isinstance(error, PeerError) and error._failures:
        return error._failures[0]
    pickled, remark = _round_tripped(error)
    return Failure(
        rank=rank,
        bases=tuple((str(base.__module__), str(base.__qualname__)) for base in type(error).__mro__),
        text=_shortened_text(_message_of(error), _TEXT_LIMIT) + remark,
        traceback_text=_shortened_text(_traceback_of(error), _TRACEBACK_LIMIT),
        pickled=pickled,
    )


def raise_for_peer(*failures: Failure) -> None:
    """Raise the PeerError for these failures, the first one foremost; nothing if there are none."""
    if failures:
        raise _peer_error(failures) from _unpickled(failures[0])


def _shortened_text(text: str, limit: int) -> str:
    """Keep the beginning and the end: in a traceback the frames stand before the message, the last error at the end."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail]}… [{len(text) - limit:,} characters cut] …{text[-tail:]}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as unprintable:
        return f"<no text: {type(unprintable).__name__}>"


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as unprintable:
        return f"<no traceback: {type(unprintable).__name__}>"


def _round_tripped(error: BaseException) -> tuple[bytes | None, str]:
    """The pickled exception, if it also unpickles: many define an `__init__` that pickle cannot repeat.

    Where it is left out for its size, the second item says so.
    """
    try:
        pickled = pickle.dumps(error)
        if len(pickled) > _PICKLE_LIMIT:
            return None, f" [pickled it takes {len(pickled):,} bytes, which are not sent]"
        copy = pickle.loads(pickled)
    except BaseException:
        return None, ""  # also what a __reduce__ raises that is no Exception: the failure itself must be told
    return (pickled, "") if type(copy) is type(error) else (None, "")


def _unpickled(failure: Failure) -> BaseException | None:
    if failure.pickled is None:
        return None
    try:
        copy = pickle.loads(failure.pickled)
    except (Exception, SystemExit):
        return None  # the type lives in a module that only the failing rank has, or that exits when imported
    return copy if isinstance(copy, BaseException) else None


def _peer_error(failures: tuple[Failure, ...]) -> PeerError:
    """A PeerError that is also of the failing rank's type, or of its nearest base that can be combined."""
    original = _unpickled(failures[0])
    for module, qualname in failures[0].bases:
        base = _exception_type(module, qualname)
        if base is None:
            continue
        try:
            return _with_fields(_combined(base, original), original, failures)
        except Exception:
            continue  # the type refuses a second base, or its fields another object
    return _with_fields(PeerError(), None, failures)


def _exception_type(module: str, qualname: str) -> type[Exception] | None:
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit):
        return None
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None


def _combined(base: type[Exception], original: BaseException | None) -> PeerError:
    namespace = {"__module__": PeerError.__module__, "__init__": _no_arguments_known}
    kind: Any = type("PeerError", (PeerError, base), namespace)
    try:
        made = kind()
    except TypeError:
        if original is None:
            raise
        made = kind(*original.args)  # ExceptionGroup is made with its members or not at all
    assert isinstance(made, PeerError)
    return made


def _no_arguments_known(self: PeerError, *_: object) -> None:
    """Stands in for the original type's `__init__`, whose arguments are not known."""


def _with_fields(
    error: PeerError, original: BaseException | None, failures: tuple[Failure, ...]
) -> PeerError:
    first = failures[0]
    error.args = (first.text,)
    if original is not None:
        error.args = original.args
        error.__dict__.update(original.__dict__)
        for name in _fields_of(type(original)):
            # Not set on the original, or not to be set on the copy.
            with contextlib.suppress(AttributeError, TypeError):
                setattr(error, name, getattr(original, name))
    error.rank = first.rank
    module, qualname = first.bases[0]
    error.error_type = qualname if module == "builtins" else f"{module}.{qualname}"
    error.text = first.text
    error.traceback_text = first.traceback_text
    error._failures = failures
    return error


def _fields_of(kind: type) -> list[str]:
    """What OSError, SystemExit, UnicodeError and classes with `__slots__` keep outside of an instance's `__dict__`."""
    return [
        name
        for base in kind.__mro__
        for name, member in vars(base).items()
        if isinstance(member, (GetSetDescriptorType, MemberDescriptorType)) and not name.startswith("__")
    ]


# ==== peers =================================================================================================

# Who takes part in something that processes share, and whether they still live: places that the kernel takes back.
#
# A member locks one byte of the segment's file with an *open file description* lock, and the kernel gives it back when
# the process is gone, whatever it died of, and at no other time. Chosen over its alternatives because
#
# - a process id says nothing to a process in another pid namespace (containers that share /dev/shm), and is used again;
#   with the start time beside it, the first holds still;
# - `fcntl.lockf` locks belong to the process: they are gone when any descriptor of the file is closed in it, and two
#   threads cannot hold a place each;
# - `flock` locks the whole file, not a place in it;
# - a socket or pipe has to be passed from process to process, and a segment is opened by name.
#
# A child that is forked shares the description and would keep its parent's places alive. It closes them at once.
#
# Source: fcntl(2), "Open file description locks" (Linux 3.15 and later).

# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "@hhqqi4x"


@dataclass(frozen=True)
class Peer:
    """A member of a ring.

    Attributes:
        role: "writer" or "reader".
        rank: which of the readers; None for the writer.
        pid: its process id in its own pid namespace; 0 before it has come.
        state: "expected" (has not come), "joining" (comes in with the next message), "attached", "closed" (has left),
            "failed" (has left with an exception), "died" (is gone without having left), or "dropped" (failed or died,
            and the writer goes on without it).
        behind: how many messages a reader has still to read; 0 for the writer and for readers nobody waits for.
        reason: the exception that a member that failed has left with, as far as there was room for it.
    """

    role: str
    rank: int | None
    pid: int
    state: str
    behind: int = 0
    reason: str = ""

    def __str__(self) -> str:
        name = self.role if self.rank is None else f"{self.role} {self.rank}"
        return f"{name} (pid {self.pid})" if self.pid else name

    @property
    def fate(self) -> str:
        """How it ended, as a part of a sentence."""
        return f"left with {self.reason}" if self.state == "failed" else "died"


class PeerDiedError(ConnectionError):
    """Another member of a ring has died: it was killed, it crashed, it forgot to close, or it left with an exception.

    Attributes:
        ring: the ring's name.
        peers: who, with rank and pid.
    """

    def __init__(self, ring: str, peers: tuple[Peer, ...]) -> None:
        super().__init__(f"ring {ring}: " + ", ".join(f"{peer} {peer.fate}" for peer in peers))
        self.ring, self.peers = ring, peers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ring, self.peers)


class SlowReaderError(TimeoutError):
    """A reader did not read in time, or has not come yet.

    Attributes:
        peers: the readers that are behind, with rank, pid and how far.
    """

    def __init__(self, message: str, peers: tuple[Peer, ...]) -> None:
        super().__init__(message)
        self.peers = peers

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.peers)


class Place:
    """A place in a segment's file that is this process's until it is released or the process is gone."""

    def __init__(self, path: str, number: int) -> None:
        """Take place `number`.

        Raises:
            BlockingIOError: somebody holds it.
            FileNotFoundError: there is no such segment.
            OSError: not on Linux.
        """
        _need_linux()
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        _places.add(self)
        # A member that is dropped without being closed counts as dead; it must not look alive as long as its process.
        self._closing = weakref.finalize(self, os.close, self.fd)
        try:
            _take(self.fd, number)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the place back. Doing it twice is harmless."""
        self.fd = -1
        _places.discard(self)
        self._closing()


_places: weakref.WeakSet[Place] = weakref.WeakSet()


def is_held(fd: int, number: int) -> bool:
    """Whether another open file description than `fd` holds place `number`."""
    import fcntl

    found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _flock_of(fcntl.F_WRLCK, number))
    return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)


def _take(fd: int, number: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock_of(fcntl.F_WRLCK, number))


def _flock_of(kind: int, number: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, number, 1, 0)


def _need_linux() -> None:
    if sys.platform != "linux":
        raise OSError(
            f"a ring needs Linux, whose file locks tell a dead process from a slow one; this is {sys.platform}"
        )


def _leave_places_to_parent() -> None:
    for place in list(_places):
        place.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_places_to_parent)


# ==== process_groups ========================================================================================

# Which process group carries what this library sends (bytes, so tensors in the CPU's memory), and whose turn it is.
#
# A group of a backend for devices alone, such as NCCL's, refuses CPU tensors. Serving programs keep a second group of the
# same ranks for them; `use_cpu_group` names it once for the whole process.
#
# torch is imported only when a process may have an initialised process group.

@dataclass(frozen=True)
class Carrier:
    """A group that takes CPU tensors, and where the caller stands in it.

    Attributes:
        group: what the collectives run on.
        ranks: global ranks of its members, in group order.
        rank: the caller's own global rank.
        turn: to be held (`with`) while the caller takes part in collectives on this group.
    """

    group: ProcessGroup
    ranks: tuple[int, ...]
    rank: int
    turn: _GroupTurn


class _TurnTicket:
    """A caller in the queue; `ended` is released when the next one need not wait for it any longer."""

    __slots__ = ("before", "ended")

    def __init__(self) -> None:
        self.ended = threading.Lock()
        self.ended.acquire()
        self.before: _TurnTicket | None = None


class _GroupTurn:
    """Lets the threads of this process use a group one at a time, in the order in which they came.

    Two calls that interleave would pair the first collective of one with the second of another on the peers. That
    happens where a coroutine that waited for a thread is cancelled: the thread is still in its call when the coroutine
    makes the next one.
    """

    def __init__(self) -> None:
        self._entrance = threading.Lock()
        self._last: _TurnTicket | None = None
        self._holder: int | None = None
        self._ticket: _TurnTicket | None = None
        self._interrupt: BaseException | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError(
                "a collective was called inside another one on the same group, by its `produce` or by pickling or "
                "unpickling a value; not all ranks run that, so not all would be there: call it before or after"
            )
        ticket = _TurnTicket()
        with self._entrance:
            ticket.before, self._last = self._last, ticket
        try:
            while ticket.before is not None:
                with ticket.before.ended:
                    pass
                ticket.before = ticket.before.before
        except BaseException:
            # Interrupted: whoever is next waits for what this one waited for.
            ticket.ended.release()
            raise
        self._holder, self._ticket = threading.get_ident(), ticket

    def __exit__(self, *_: object) -> None:
        ticket, interrupt = self._ticket, self._interrupt
        self._holder = self._ticket = self._interrupt = None
        assert ticket is not None
        ticket.ended.release()
        if interrupt is not None:
            raise interrupt

    def complete(self, *works: Work | None) -> None:
        """Wait for collectives that have begun; an interrupt meanwhile is raised when the turn ends.

        A rank that left between two collectives of one call would leave its peers waiting in the second.
        """
        for work in works:
            while work is not None:
                try:
                    work.wait()
                    break
                except Exception:
                    raise  # the collective itself has failed
                except BaseException as interrupt:
                    self._interrupt = interrupt


# What is known of a group that takes CPU tensors: its ranks, the caller's own, whose turn it is.
_standings: weakref.WeakKeyDictionary[ProcessGroup, tuple[tuple[int, ...], int, _GroupTurn]]
_standings = weakref.WeakKeyDictionary()
_cpu_groups: weakref.WeakKeyDictionary[ProcessGroup, weakref.ref[ProcessGroup]] = weakref.WeakKeyDictionary()
_group_registration = threading.Lock()


def use_cpu_group(cpu_group: ProcessGroup, group: ProcessGroup | None = None) -> None:
    """From now on, let what this library sends on `group` travel over `cpu_group` if `group` takes no CPU tensors.

    To be called once for each such group of the process, on every member, after both groups were made::

        tp_group = dist.new_group(ranks, backend="nccl")
        use_cpu_group(dist.new_group(ranks, backend="gloo"), tp_group)

    Neither group is kept alive by it. A group that takes CPU tensors itself is used itself. Give two groups of the
    same ranks a CPU group each if different threads use them.

    Args:
        cpu_group: a group of the same ranks whose backend takes CPU tensors.
        group: the default group if None.

    Raises:
        RuntimeError: when torch.distributed is not initialised, or `cpu_group` takes no CPU tensors either.
        TypeError: when one of them is no process group.
        ValueError: when the two have different members, or the caller is not among them.
    """
    if not distributed_runs():
        raise RuntimeError("use_cpu_group: call torch.distributed.init_process_group first")
    import torch.distributed as dist

    served, carrying = member_group(group), member_group(cpu_group)
    theirs, ours = dist.get_process_group_ranks(served), dist.get_process_group_ranks(carrying)
    if theirs != ours:
        raise ValueError(
            f"use_cpu_group: the CPU group has the ranks {ours}, the group it is to serve {theirs}"
        )
    if not _takes_cpu_tensors(carrying):
        backend = dist.get_backend(carrying)
        raise RuntimeError(f"use_cpu_group: the CPU group (backend {backend}) takes no CPU tensors either")
    with _group_registration:
        _cpu_groups[served] = weakref.ref(carrying)


def carrier_of(group: ProcessGroup | None) -> Carrier | None:
    """The group that carries bytes for `group`, the default group if None; None where nothing is initialised.

    Raises:
        RuntimeError: when the backend takes no CPU tensors and no other group was named for it.
        TypeError: when `group` is no process group.
        ValueError: when the caller is no member of `group`.
    """
    if not distributed_runs():
        return None
    import torch.distributed as dist

    resolved: Any = dist.group.WORLD if group is None else group
    standing = _standings.get(resolved) if isinstance(resolved, dist.ProcessGroup) else None
    if standing is None:
        resolved = member_group(resolved)
        if not _takes_cpu_tensors(resolved):
            return carrier_of(_named_for(resolved))
        with _group_registration:
            ranks = tuple(dist.get_process_group_ranks(resolved))
            standing = _standings.setdefault(resolved, (ranks, dist.get_rank(), _GroupTurn()))
    return Carrier(resolved, *standing)


def distributed_runs() -> bool:
    """Whether torch.distributed is initialised; torch is not imported for it."""
    # A process that never imported torch.distributed cannot have initialised a group.
    if "torch.distributed" not in sys.modules:
        return False
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def member_group(group: Any) -> ProcessGroup:
    """The group itself, the default group for None, if the caller belongs to it.

    Raises:
        TypeError: when `group` is no process group.
        ValueError: when the caller is no member of it.
    """
    import torch.distributed as dist

    resolved: Any = dist.group.WORLD if group is None else group
    # What new_group returns to ranks that are no members is not a group.
    outside = resolved is dist.GroupMember.NON_GROUP_MEMBER
    if not outside and not isinstance(resolved, dist.ProcessGroup):
        raise TypeError(
            f"group must be a torch.distributed.ProcessGroup or None, not {type(resolved).__name__}; "
            "of an object that coordinates several groups, pass the CPU group it holds"
        )
    if outside or dist.get_rank(resolved) < 0:
        raise ValueError(f"rank {dist.get_rank()} is not a member of the process group it was called with")
    member: ProcessGroup = resolved
    return member


def _takes_cpu_tensors(group: ProcessGroup) -> bool:
    import torch.distributed as dist

    devices = [device.type for device in group._device_types]
    if not devices:
        # A group written in Python registers no devices; its backend may have said which it takes.
        devices = dist.Backend.backend_capability.get(dist.get_backend(group), ["cpu"])
    return "cpu" in devices


def _named_for(group: ProcessGroup) -> ProcessGroup:
    import torch.distributed as dist

    reference = _cpu_groups.get(group)
    named = None if reference is None else reference()
    if named is not None:
        try:
            dist.get_process_group_ranks(named)
        except (KeyError, ValueError):
            named = None  # destroyed, though something else still refers to it
    if named is None:
        raise RuntimeError(
            f"the process group (backend {dist.get_backend(group)}) takes no CPU tensors; pass a CPU group, for "
            'example group=torch.distributed.new_group(ranks, backend="gloo"), or name one for it once: '
            "use_cpu_group(cpu_group, group)"
        )
    return named


# ==== byte_transport ========================================================================================

# Carries bytes between the ranks of a group, over uint8 tensors in memory that Python owns.
#
# torch's object collectives need NumPy and have no way to say that there is no object; these need none, and what they
# carry has a kind. Every message is announced by two numbers, its kind and its size, so that what another collective left
# on the wire is told from an announcement instead of being taken for a size.
#
# All functions are called with the carrier's turn held. Interrupts that come while they wait are kept until it ends.

# How a value and the description of a failure are announced. No size of anything looks like that.
_ANNOUNCED_VALUE, _ANNOUNCED_FAILURE = 0x72736C_6E740001, 0x72736C_6E740002
# Bytes for which every rank is taken to have room; for more than that, the ranks agree on it first.
_CERTAIN_ROOM = 64 << 20
# Bytes in one collective: backends that count in 32 bits (MPI) take less than 2 GiB.
_AT_ONCE = 1 << 30


@dataclass(frozen=True)
class Message:
    """Bytes, and whether they are the description of a failure instead of a value."""

    failed: bool
    data: memoryview


def pickled_bytes(value: object) -> memoryview:
    """Pickle into memory that a tensor can share, so that large values are copied once and not twice."""
    file = io.BytesIO()
    pickle.Pickler(file, protocol=5).dump(value)
    return file.getbuffer()


def first_failing(carrier: Carrier, failed: bool) -> int | None:
    """The first rank in group order with `failed`, known to all; None when there is none. One small all_reduce."""
    import torch.distributed as dist

    count = len(carrier.ranks)
    lowest = array("q", [carrier.ranks.index(carrier.rank) if failed else count])
    work = dist.all_reduce(_integers(lowest), op=dist.ReduceOp.MIN, group=carrier.group, async_op=True)
    carrier.turn.complete(work)
    return None if lowest[0] == count else carrier.ranks[lowest[0]]


def broadcast_message(carrier: Carrier, src: int, message: Message | None) -> Message:
    """Carry the source's message to every rank of the group: two broadcasts. Peers pass None.

    Messages above 64 MiB take an all_reduce in between, so that all ranks raise when one has no room.

    Raises:
        MemoryError: on a rank that has no room; PeerError of that type on the others.
        RuntimeError: when what arrives is no announcement, because the ranks are not in the same collective.
    """
    import torch.distributed as dist

    header = _header(message)
    works = [dist.broadcast(_integers(header), src=src, group=carrier.group, async_op=True)]
    if message is None or message.data.nbytes > _CERTAIN_ROOM:
        carrier.turn.complete(*works)
        failed, size = _announced(header)
        room = _agreed_room(carrier, size, size if message is None else 0)
        message = message or Message(failed, room)
        works = []
    # Where the source has not waited yet, nothing can come between the announcement and what it announces.
    for part in _tensors_over(message.data, 0, message.data.nbytes, _AT_ONCE):
        works.append(dist.broadcast(part, src=src, group=carrier.group, async_op=True))
    carrier.turn.complete(*works)
    return message


def gather_messages(carrier: Carrier, message: Message) -> list[Message]:
    """The messages of all ranks, in group order: two all_gathers, the second as long as the longest message.

    If some are descriptions of failures, all others come back empty: nobody will read them.

    Raises: as `broadcast_message`; here room is needed for all messages.
    """
    import torch.distributed as dist

    count = len(carrier.ranks)
    headers = [array("q", [0, 0]) for _ in range(count)]
    into, part = [_integers(header) for header in headers], _integers(_header(message))
    carrier.turn.complete(dist.all_gather(into, part, group=carrier.group, async_op=True))
    announced = [_announced(header) for header in headers]
    some_failed = any(failed for failed, _ in announced)
    sizes = [size if failed or not some_failed else 0 for failed, size in announced]
    longest = max(sizes)
    padded = message.data.nbytes != longest
    room = _agreed_room(carrier, count * longest, (count + padded) * longest)
    gathered, own = room[: count * longest], room[count * longest :] if padded else message.data
    if padded and (message.failed or not some_failed):
        own[: message.data.nbytes] = message.data
    at_once = max(_AT_ONCE // count, 1)
    for part, *parts in zip(
        _tensors_over(own, 0, longest, at_once),
        *(_tensors_over(gathered, position * longest, longest, at_once) for position in range(count)),
        strict=True,
    ):
        carrier.turn.complete(dist.all_gather(parts, part, group=carrier.group, async_op=True))
    starts = range(0, count * longest, longest)
    return [
        Message(failed, gathered[start : start + size])
        for start, size, (failed, _) in zip(starts, sizes, announced, strict=True)
    ]


def _header(message: Message | None) -> array[int]:
    if message is None:
        return array("q", [0, 0])
    return array("q", [_ANNOUNCED_FAILURE if message.failed else _ANNOUNCED_VALUE, message.data.nbytes])


def _integers(memory: array[int]) -> Tensor:
    """A tensor over the array: it costs a third of what torch.tensor does, and no default device moves it."""
    import torch

    return torch.frombuffer(memory, dtype=torch.int64)


def _announced(header: array[int]) -> tuple[bool, int]:
    kind, size = header
    if kind not in (_ANNOUNCED_VALUE, _ANNOUNCED_FAILURE) or size < 1:
        raise RuntimeError(
            "the ranks are out of step: what arrived belongs to another collective than the one this rank is in; "
            "every rank must call the collectives of a group in the same order, from one thread at a time"
        )
    return kind == _ANNOUNCED_FAILURE, size


def _agreed_room(carrier: Carrier, size: int, own_size: int) -> memoryview:
    """Memory of `own_size` bytes; where `size` is large, all ranks have theirs or all raise."""
    room: bytearray | None = None
    try:
        room = bytearray(own_size)
    except MemoryError:
        if size <= _CERTAIN_ROOM:
            raise
    if size > _CERTAIN_ROOM:
        failing = first_failing(carrier, room is None)
        shortage = MemoryError(f"no room for the {size:,} bytes that a collective carries")
        if room is None:
            raise shortage
        if failing is not None:
            raise_for_peer(describe_failure(shortage, failing))
    assert room is not None
    return memoryview(room)


def _tensors_over(data: memoryview, start: int, size: int, at_once: int) -> Iterator[Tensor]:
    """Tensors over `size` bytes of `data` from `start`, none longer than `at_once`."""
    import torch

    for offset in range(start, start + size, at_once):
        count = min(at_once, start + size - offset)
        yield torch.frombuffer(data, dtype=torch.uint8, offset=offset, count=count)


# ==== collectives ===========================================================================================

# Collectives that a failing rank still takes part in, so that its peers learn of the failure instead of waiting.
#
# The shape of the bug they replace: `broadcast_object_list([client.start()])`, where `client.start()` raises on rank 0
# and the peers wait in the broadcast until the group's timeout (https://github.com/alibaba/tair-kvcache/pull/102).
#
# What all of them promise, and what they do not:
#
# - As long as every rank of the group calls them in the same order and no process dies, none of them waits for ever
#   because of an exception, SystemExit and KeyboardInterrupt included.
# - The rank that failed raises its own exception, the others a `PeerError`. That is also of the type that was raised, if
#   that is an `Exception`, so handlers that stood there before still match.
# - An interrupt (Ctrl-C) that comes while a rank waits in one of these collectives is raised when the collective is over.
# - Where a process dies, the backend of the group has to notice: gloo raises an error on the ranks that wait for it.
# - Calls from several threads on one group take place one after the other, as they came. Threads with a group each do not
#   wait for each other. A thread takes its call to the end even if the coroutine that waited for it has been cancelled.
#
# Each of these with the test that shows it, and how to call them from asyncio: docs/guarantees/collectives.md.

Result = TypeVar("Result")


def broadcast_result(
    produce: Callable[[], Result], src: int, group: ProcessGroup | None = None, *, confirm: bool = False
) -> Result:
    """Run `produce` on rank `src` and return its value on every rank of `group`, or raise on every rank.

    It takes the two broadcasts that `torch.distributed.broadcast_object_list` takes, and one small all_reduce between
    them if the pickled value is larger than 64 MiB. The value must be picklable; a failure to pickle it is a failure
    of the source like any other. The source returns the very object it produced, peers a copy. Without an initialised
    process group, or on a group of one, `produce` is simply called.

    Args:
        produce: a plain function without arguments; called on `src` only, the others may pass None.
        src: global rank of the source, as in torch.
        group: the default group if None. One whose backend takes no CPU tensors needs `use_cpu_group`.
        confirm: let the ranks agree, by one small all_reduce, that all of them could unpickle the value. Without it a
        peer that cannot raises alone, after the collectives have ended.

    Raises:
        ValueError: on every rank that calls it, when `src` or the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors; on all ranks, when `produce` calls a collective of
        this library on the same group.
        TypeError: on `src`, when `produce` is no function or makes a coroutine or generator.
        PeerError: on the peers, when `produce` or pickling failed on `src`, which raises its own exception; with
        `confirm` also on ranks that could unpickle the value while another could not.
    """
    carrier = carrier_of(group)
    if carrier is None:
        return _value_of(produce, "produce")
    # 1.0 is among the ranks too, and torch refuses it on one of them.
    if not isinstance(src, int) or src not in carrier.ranks:
        raise ValueError(
            f"broadcast_result: src={src} is not a member of the group with ranks {list(carrier.ranks)}"
        )
    if len(carrier.ranks) == 1:
        return _value_of(produce, "produce")
    with carrier.turn:
        if carrier.rank == src:
            return _sent(produce, carrier, confirm)
        received: Result = _received(carrier, src, confirm)
        return received


def gather_results(
    fn: Callable[[], Result], group: ProcessGroup | None = None, *, confirm: bool = False
) -> list[Result]:
    """Run `fn` on every rank of `group` and return all results on every rank, in group order, or raise on every rank.

    It takes two all_gathers, as `torch.distributed.all_gather_object` does, and memory for as many results as there are
    ranks, each counted as long as the longest (beyond 64 MiB of that, one small all_reduce in between). The values must
    be picklable. A rank's own item is the very object that `fn` returned there, the others are copies. `fn` may call
    collectives of its own, on the same group too, if all ranks do.

    Args:
        fn: a plain function without arguments.
        group: the default group if None. One whose backend takes no CPU tensors needs `use_cpu_group`.
        confirm: let the ranks agree, by one small all_reduce, that all of them could unpickle all results. Without it a
        rank that cannot raises alone, after the collectives have ended.

    Raises:
        ValueError: when the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
        PeerError: on ranks whose own `fn` succeeded while others failed, of the type raised on the first of these in
        group order; `failures` has all of them. Ranks that failed raise their own exception.
    """
    carrier = carrier_of(group)
    if carrier is None or len(carrier.ranks) == 1:
        return [_value_of(fn, "fn")]
    try:
        value = _value_of(fn, "fn")
        message = Message(False, pickled_bytes(value))
    except BaseException as error:
        with _told_if_possible(error), carrier.turn:
            gather_messages(carrier, _description(error, carrier))
        raise
    with carrier.turn:
        messages = gather_messages(carrier, message)
        raise_for_peer(*(pickle.loads(message.data) for message in messages if message.failed))
        position = carrier.ranks.index(carrier.rank)
        del messages[position]
        values: list[Result] = _rebuilt([message.data for message in messages], carrier, confirm)
    return [*values[:position], value, *values[position:]]


class rank_guard(contextlib.ContextDecorator):
    """Leave the block together: if it raises on any rank of `group`, it raises on all of them.

    Every rank must enter and leave the block. Leaving costs one all_reduce of one integer, and after a failure two
    broadcasts of its description. Ranks that failed raise their own exception, the others a `PeerError` of the type
    raised on the first failing rank. Guards may be nested, on one group or on several. As a decorator it makes a block
    of the whole function.

    A collective *inside* the block, behind something that may raise, is still a hang (RS101): the failing rank goes
    straight to the guard's exit while its peers wait in that collective. Guard what comes before a collective, and put
    the collective after the block::

        with rank_guard(group):
            data = read_shard(rank)        # may raise on one rank
        dist.all_reduce(data, group=group)  # every rank is here, or none

    Raises:
        ValueError: when the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
        PeerError: on ranks whose own block succeeded while another rank's failed.
    """

    def __init__(self, group: ProcessGroup | None = None) -> None:
        self._group = group
        self._here = threading.local()  # a decorated function may run in several threads, and within itself

    def __enter__(self) -> None:
        self._here.entered = [*getattr(self._here, "entered", ()), carrier_of(self._group)]

    def __exit__(
        self, kind: type[BaseException] | None, own: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The group at the entry counts: on the way one may be made or destroyed, on some ranks only.
        carrier: Carrier | None = self._here.entered.pop()
        if carrier is not None and len(carrier.ranks) > 1:
            with carrier.turn:
                _leave_together(carrier, own)


def agree(ok: bool, group: ProcessGroup | None = None) -> bool:
    """Return on every rank of `group` whether `ok` was true on all of them; one all_reduce of one integer.

    A rank whose `ok` has no truth value (an array of several) takes part as if it were false, and raises afterwards.

    Raises:
        ValueError: when the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
    """
    carrier = carrier_of(group)
    if carrier is None or len(carrier.ranks) == 1:
        return bool(ok)
    failed = True
    with carrier.turn:
        try:
            failed = not ok
        finally:
            first = first_failing(carrier, failed)
    return first is None


def _value_of(function: Callable[[], Result], name: str) -> Result:
    if not callable(function):
        raise TypeError(
            f"{name} must be a function without arguments, not {type(function).__name__}: write {name}=lambda: …"
        )
    value = function()
    if isinstance(value, (CoroutineType, GeneratorType, AsyncGeneratorType)):
        if not isinstance(value, AsyncGeneratorType):
            value.close()
        raise TypeError(
            f"{name} must be a plain function that returns its result; it returned a {type(value).__name__}, which "
            "no other rank can be sent: await or exhaust it inside"
        )
    return value


def _sent(produce: Callable[[], Result], carrier: Carrier, confirm: bool) -> Result:
    try:
        value = _value_of(produce, "produce")
        message = Message(False, pickled_bytes(value))
    except BaseException as error:
        # BaseException: a SystemExit here would leave the peers in the broadcast just as well.
        with _told_if_possible(error):
            broadcast_message(carrier, carrier.rank, _description(error, carrier))
        raise
    broadcast_message(carrier, carrier.rank, message)
    _rebuilt([], carrier, confirm)
    return value


def _received(carrier: Carrier, src: int, confirm: bool) -> Any:
    message = broadcast_message(carrier, src, None)
    if message.failed:
        raise_for_peer(pickle.loads(message.data))
    return _rebuilt([message.data], carrier, confirm)[0]


def _rebuilt(pickles: list[memoryview], carrier: Carrier, confirm: bool) -> list[Any]:
    """Unpickle; with `confirm` on all ranks or on none."""
    try:
        values = [pickle.loads(data) for data in pickles]
    except BaseException as error:
        if confirm:
            _leave_together(carrier, error)
        raise
    if confirm:
        _leave_together(carrier, None)
    return values


def _leave_together(carrier: Carrier, own: BaseException | None) -> None:
    """Raise PeerError if another rank has failed; a rank that failed itself (`own`) only tells, its caller raises."""
    if own is not None:
        with _told_if_possible(own):
            first = first_failing(carrier, True)
            assert first is not None
            broadcast_message(carrier, first, _description(own, carrier) if first == carrier.rank else None)
        return
    first = first_failing(carrier, False)
    if first is not None:
        raise_for_peer(pickle.loads(broadcast_message(carrier, first, None).data))


def _description(error: BaseException, carrier: Carrier) -> Message:
    return Message(True, pickled_bytes(describe_failure(error, carrier.rank)))


@contextlib.contextmanager
def _told_if_possible(own: BaseException) -> Iterator[None]:
    """A rank that cannot tell its peers of its failure, because they are gone, still raises its own exception."""
    try:
        yield
    except Exception as lost:
        with contextlib.suppress(Exception):  # add_note came with Python 3.11
            own.add_note(f"rslint_runtime: the other ranks could not be told ({type(lost).__name__}: {lost})")


# ==== ring_borrowed =========================================================================================

# A message that is lent out for the time of a `with` block. As a class, since a generator would take twice as long.

class Borrowed:
    """Enters with `borrow()`, leaves with `give_back(view)`, whatever the block has raised."""

    __slots__ = ("_borrow", "_give_back", "_view")

    def __init__(self, borrow: Callable[[], memoryview], give_back: Callable[[memoryview], None]) -> None:
        self._borrow, self._give_back = borrow, give_back

    def __enter__(self) -> memoryview:
        self._view = self._borrow()
        return self._view

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back(self._view)


# ==== ring_layout ===========================================================================================

# Where what stands in the segment of a ring: header, one cell a member, slots.
#
#     header      magic, number of readers, of slots, bytes a slot
#     writer      state, how many messages are written, whether a reader sleeps, pid, why it failed
#     reader 0    state, how many messages are read, whether the writer sleeps, pid, why it failed
#     …
#     slot 0      kind, size of the message, the message or the name of the segment that holds it
#     …
#
# What members wait for is single bytes, which are never seen half stored: a state, and a count of messages modulo a
# multiple of the number of slots, at least two times it, so that full and empty differ and a count names its slot. All
# else is read behind a fence after such a byte. State and count stand in one word, on which sleeps who waits for the
# member.
#
# Each member stores to its own cell, a cache line of its own. A reader that joins while messages are under way gets its
# count from the writer: it stores a ticket, the writer stores where it begins, and then the same ticket. Besides, the
# writer marks a reader that is gone as dropped.

MOST_SLOTS = 128
MOST_READERS = 4096
LEAST_SLOT_BYTES = 128  # the name of an overflow segment has to fit

# States of a member.
EXPECTED, JOINING, ATTACHED, CLOSED, FAILED, DROPPED = range(6)
STATE_NAMES = ("expected", "joining", "attached", "closed", "failed", "dropped")

# Kinds of a message.
BYTES, PICKLE, PICKLE_WITH_BUFFERS = range(3)
OVERFLOWED = 128

CELL = 64
WRITER_CELL = CELL
COUNT = 1
REASON_LENGTH = 2
SLEEPER = 4
TICKET = 5
ADMITTED = 6
PID = 8
REASON = 16
REASON_BYTES = CELL - REASON
SLOT_HEADER = "<BxxxIQ"  # kind, length of the name of the overflow segment, size
SLOT_HEADER_SIZE = 16

_MAGIC = b"rs-ring1"
_HEADER = "<8sIIQ"


@dataclass(frozen=True)
class RingLayout:
    """The measures of a ring, as its creator chose them and as its header says.

    Attributes:
        readers: how many places for readers there are.
        slots: how many messages may be under way.
        slot_bytes: the longest message, in bytes, that a slot holds by itself.
    """

    readers: int
    slots: int
    slot_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.readers <= MOST_READERS:
            raise ValueError(f"a ring has 1 to {MOST_READERS} readers, not {self.readers}")
        if not 1 <= self.slots <= MOST_SLOTS:
            raise ValueError(f"a ring has 1 to {MOST_SLOTS} slots, not {self.slots}")
        if self.slot_bytes < LEAST_SLOT_BYTES:
            raise ValueError(f"a slot has at least {LEAST_SLOT_BYTES} bytes, not {self.slot_bytes}")

    @property
    def modulus(self) -> int:
        """Counts of messages are taken modulo this; they fit a byte."""
        return self.slots * (256 // self.slots)

    @property
    def stride(self) -> int:
        """From one slot to the next."""
        return -(-(SLOT_HEADER_SIZE + self.slot_bytes) // CELL) * CELL

    @property
    def slots_start(self) -> int:
        return WRITER_CELL + CELL + self.readers * CELL

    @property
    def size(self) -> int:
        """Bytes of the segment."""
        return self.slots_start + self.slots * self.stride

    def reader_cell(self, rank: int) -> int:
        return WRITER_CELL + CELL + rank * CELL

    def slot_start(self, slot: int) -> int:
        return self.slots_start + slot * self.stride

    def store(self, view: memoryview) -> None:
        """Write the header of a segment that nobody else knows yet."""
        struct.pack_into(_HEADER, view, 0, _MAGIC, self.readers, self.slots, self.slot_bytes)

    @classmethod
    def load(cls, view: memoryview, name: str) -> RingLayout:
        """Read the header. Raises ValueError where no ring is."""
        if len(view) >= struct.calcsize(_HEADER):
            magic, readers, slots, slot_bytes = struct.unpack_from(_HEADER, view, 0)
            if magic == _MAGIC:
                return cls(readers, slots, slot_bytes)
        raise ValueError(f"the segment {name} holds no ring of this version")


# ==== ring_messages =========================================================================================

# Python objects as messages: a pickle, and behind it the buffers that pickle protocol 5 leaves out of it.
#
#     number of buffers, length of the pickle, length of each buffer, pickle, buffers
#
# Large buffers (of NumPy arrays, or wrapped in a `PickleBuffer`) are copied once into the ring and once out of it.

# Pickle hands on bytes of this size as they are, instead of copying them into its output.
LARGE = 1 << 16
_LENGTH = 8


class _Pieces(list[Any]):
    """What a Pickler writes, in pieces."""

    write = list.append


def message_of(value: object, *, large: bool) -> tuple[int, list[Any], int]:
    """Kind, pieces in order, and bytes of the message that an object makes. Raises what pickling raises.

    `large` is a guess, and decides about speed alone: pieces spare a large object a copy, and cost a small one time.
    """
    buffers: list[pickle.PickleBuffer] = []
    if large:
        pieces = _Pieces()
        pickle.Pickler(cast(Any, pieces), protocol=5, buffer_callback=buffers.append).dump(value)
        size = sum(map(len, pieces))
    else:
        pieces = _Pieces([pickle.dumps(value, protocol=5, buffer_callback=buffers.append)])
        size = len(pieces[0])
    if not buffers:
        return PICKLE, pieces, size
    raw = [buffer.raw() for buffer in buffers]
    lengths = [size, *map(len, raw)]
    head = struct.pack(f"<{1 + len(lengths)}Q", len(raw), *lengths)
    return PICKLE_WITH_BUFFERS, [head, *pieces, *raw], len(head) + sum(lengths)


def object_of(kind: int, view: memoryview) -> Any:
    """The object of a message. It keeps nothing of `view`: buffers are copied, as bytearrays, so it owns its memory."""
    if kind == PICKLE:
        return pickle.loads(view)
    if kind != PICKLE_WITH_BUFFERS:
        return bytes(view)
    (buffers,) = struct.unpack_from("<Q", view, 0)
    lengths = struct.unpack_from(f"<{1 + buffers}Q", view, _LENGTH)
    start = _LENGTH * (2 + buffers)
    frames = []
    for length in lengths:
        frames.append(view[start : start + length])
        start += length
    return pickle.loads(frames[0], buffers=[bytearray(frame) for frame in frames[1:]])


def sized(data: Any) -> tuple[Any, int]:
    """A buffer whose length is its bytes, and these. Raises TypeError for what is none or not contiguous."""
    if not isinstance(data, (bytes, bytearray)):
        data = memoryview(data).cast("B")
    return data, len(data)


# ==== segment_names =========================================================================================

# The names of segments: which of them are ours, of which generation, and which file each stands for.
#
# A name is `rslint-<label>-<pid>-<generation>`. The generation is 64 random bits, so that a name is never made twice: a
# name that was sent yesterday finds nothing today, instead of the segment of a process that was started since. The pid is
# there for people who read `ls /dev/shm`; nothing is concluded from it, since another process may have it by now.

_SEGMENTS_FOLDER = "/dev/shm"
_LONGEST_LABEL = 200  # a file's name has 255 bytes at most, and pid, generation and prefix take up to 40
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OUR_NAME = re.compile(
    r"rslint-(?:(?P<label>[A-Za-z0-9][A-Za-z0-9._-]*)-)?(?P<pid>[0-9]+)-(?P<generation>[0-9a-f]{16})"
)


def new_segment_name(label: str = "") -> str:
    """A name that no segment has had. Raises ValueError for a label that cannot be part of a file's name."""
    if label and (len(label) > _LONGEST_LABEL or _LABEL.fullmatch(label) is None):
        raise ValueError(
            f"the label of a segment is up to {_LONGEST_LABEL} letters, digits and . _ - and starts with a letter or a "
            f"digit, not {label!r}"
        )
    return "-".join(part for part in ("rslint", label, str(os.getpid()), os.urandom(8).hex()) if part)


def generation_of(name: str) -> str | None:
    """The generation in a name, None where the name is not of our making."""
    match = _OUR_NAME.fullmatch(name)
    return None if match is None else match["generation"]


def label_of(name: str) -> str:
    """The label in a name of ours, "" where there is none."""
    match = _OUR_NAME.fullmatch(name)
    return "" if match is None or match["label"] is None else match["label"]


def pid_of(name: str) -> int | None:
    """The pid in a name of ours: of the process that made it, which may have handed it over or be gone."""
    match = _OUR_NAME.fullmatch(name)
    return None if match is None else int(match["pid"])


def segments_folder() -> str:
    """The folder in which the system keeps POSIX shared memory.

    Raises:
        OSError: (ENOTSUP) where it keeps none in a folder: Windows and macOS. Nothing there tells which segments are
        left over, so these are not half supported.
    """
    if sys.platform == "win32" or not os.path.isdir(_SEGMENTS_FOLDER):
        raise OSError(
            errno.ENOTSUP,
            f"segments need POSIX shared memory in {_SEGMENTS_FOLDER} (Linux); on {sys.platform} use "
            "multiprocessing.shared_memory",
        )
    return _SEGMENTS_FOLDER


def segment_path(name: str) -> str:
    """The file of a segment; the leading slash that POSIX writes may be there. ValueError for what is no name."""
    plain = name.removeprefix("/")
    if not plain or "/" in plain or "\0" in plain or plain in (".", ".."):
        raise ValueError(f"{name!r} is not the name of a segment")
    return os.path.join(segments_folder(), plain)


# ==== segment_records =======================================================================================

# The records behind a segment's payload: who made it, how large it is, and which processes have arrived.
#
# A segment's file is the payload, filled up to whole pages, and behind it records of 64 bytes: one stamp of its maker,
# and one for each process that has attached. The payload comes first, so that whoever knows nothing of this (a reader in
# C++, `SharedMemory(name)`) finds it at the start. A record is appended by one `write` with O_APPEND, which the kernel
# carries out under the lock of the file: no two processes get the same place, and none that is killed leaves half a
# record or a lock.

_RECORD = struct.Struct("<8s8sQqq16s8x")
_STAMP_MAGIC = b"rslint\x00S"
_ARRIVAL_MAGIC = b"rslint\x00A"
_NO_PROCESS = bytes(16)


@dataclass(frozen=True)
class Stamp:
    """The maker's record: generation, bytes of payload, and the process that made it."""

    generation: str
    size: int
    pid: int


@dataclass(frozen=True)
class Arrival:
    """The record of a process that has attached: its pid, its rank (-1 where it had none), and 16 random bytes that
    stand for the process, since pids of two containers may be the same."""

    pid: int
    rank: int
    process: bytes


def pages_of(size: int) -> int:
    """Bytes of the whole pages that hold `size` bytes."""
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def append_stamp(fd: int, stamp: Stamp) -> None:
    """Write the stamp behind the payload; `fd` is open with O_APPEND, its file as large as the payload's pages."""
    _append(fd, _STAMP_MAGIC, stamp.generation, (stamp.size, stamp.pid, -1, _NO_PROCESS))


def append_arrival(fd: int, stamp: Stamp, rank: int) -> None:
    """Tell once that this process has attached as `rank`; `fd` is open with O_APPEND."""
    process = this_process()
    if all((one.process, one.rank) != (process, rank) for one in arrivals(fd, stamp)):
        _append(fd, _ARRIVAL_MAGIC, stamp.generation, (stamp.size, os.getpid(), rank, process))


def _append(fd: int, magic: bytes, generation: str, rest: tuple[int, int, int, bytes]) -> None:
    written = os.write(fd, _RECORD.pack(magic, bytes.fromhex(generation), *rest))
    if written != _RECORD.size:
        raise OSError(f"only {written} of a record's {_RECORD.size} bytes were written")


def read_stamp(fd: int, generation: str) -> Stamp | None:
    """The stamp of a file whose name tells this generation; None where there is none, or another one's."""
    total = os.fstat(fd).st_size
    last = _unpacked(os.pread(fd, _RECORD.size, max(0, total - _RECORD.size)))
    if last is None:
        return None
    first = os.pread(fd, _RECORD.size, pages_of(last[2])) if last[2] <= total else b""
    stamp = _unpacked(first)
    if stamp is None or stamp[0] != _STAMP_MAGIC or stamp[1].hex() != generation:
        return None
    return Stamp(generation, stamp[2], stamp[3])


def arrivals(fd: int, stamp: Stamp) -> tuple[Arrival, ...]:
    """Who has attached so far, in order."""
    start = pages_of(stamp.size) + _RECORD.size
    records = os.pread(fd, max(0, os.fstat(fd).st_size - start), start)
    whole = len(records) // _RECORD.size * _RECORD.size
    return tuple(
        Arrival(pid, rank, process)
        for magic, generation, _, pid, rank, process in _RECORD.iter_unpack(records[:whole])
        if magic == _ARRIVAL_MAGIC and generation.hex() == stamp.generation
    )


def _unpacked(record: bytes) -> tuple[bytes, bytes, int, int, int, bytes] | None:
    if len(record) != _RECORD.size:
        return None
    magic, generation, size, pid, rank, process = _RECORD.unpack(record)
    return (magic, generation, size, pid, rank, process) if magic in (_STAMP_MAGIC, _ARRIVAL_MAGIC) else None


_process_token: tuple[int, bytes] = (0, _NO_PROCESS)


def this_process() -> bytes:
    """Random bytes that this process keeps, and no child of it has."""
    global _process_token
    if _process_token[0] != os.getpid():
        _process_token = (os.getpid(), os.urandom(16))
    return _process_token[1]


# ==== orphans ===============================================================================================

# Which segments no living process owns, by the lock that an owner holds.
#
# An owner holds a shared `flock` on the segment's file for as long as it owns it. The kernel gives the lock back when the
# process ends, however it ends, so that a segment is an orphan exactly when an exclusive lock can be had. A pid with its
# start time in the name, the other way to tell, was weighed and left: it cannot be looked up from another pid namespace
# (two containers that share /dev/shm would take away each other's segments), it needs /proc, and handing a segment over
# to another process would have to rename it. The lock needs none of these, and knows no process by number.

def owner_lock(path: str, flags: int = 0) -> int | None:
    """A descriptor that holds an owner's lock on the file; None where the file was taken away meanwhile.

    Raises OSError, FileNotFoundError among them, as `os.open` does.
    """
    import fcntl  # here, since Windows has none and must be able to import this module

    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if is_linked(fd, path):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def locked_alone(fd: int) -> bool:
    """Take the exclusive lock of a file, in place of a shared one that `fd` may hold; False where others hold one."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_linked(fd: int, path: str) -> bool:
    """Whether `path` still names the file that `fd` is open on."""
    try:
        named, opened = os.stat(path, follow_symlinks=False), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def remove_if_orphaned(path: str, generation: str) -> bool:
    """Remove the file of a segment of this generation if no living process owns it, and tell whether that was so.

    Files of other users are left alone, by root too, and so is what is no regular file, or has a payload and no stamp.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False  # removed since, another user's, or a link
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return False
        # Under the exclusive lock nobody becomes its owner any more: owners look whether it is linked after locking.
        if not locked_alone(fd) or not is_linked(fd, path):
            return False
        if read_stamp(fd, generation) is None and not _is_unfinished(fd):
            return False
        os.unlink(path)
    except FileNotFoundError:
        return False  # another sweep was faster
    finally:
        os.close(fd)
    return True


def _is_unfinished(fd: int) -> bool:
    """Whether nothing has been written yet: the stamp comes before the first byte of payload."""
    return not any(os.pread(fd, 4096, 0))


# ==== segment_handle ========================================================================================

# A mapped segment, and who owns it: the handle that `create` and `attach` give out.
#
# Closing never invalidates a view. `SharedMemory.close()` raises BufferError while NumPy arrays or memoryviews of it
# live, and leaves tensors of `torch.frombuffer`, which nothing counts, without memory behind them. Here the handle only
# lets go; the memory is unmapped when the last view of it has gone.
#
# The owner is a process. A forked child inherits the mapping and not the ownership, since the child's exit would remove
# the segment under its parent, and the parent's death would go unnoticed as long as the child lives.

class _Ownership:
    """The lock that an owner holds, and what becomes of the segment when the owner ends without having removed it."""

    def __init__(self, name: str, path: str, fd: int) -> None:
        self._name, self._path = name, path
        self._fd: int | None = fd
        self._at_end: Any = None

    def ends_with(self, segment: Segment) -> None:
        """Remove the segment when its handle has gone, or else when the process ends."""
        finalizer = weakref.finalize(segment, self.end)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # A child that multiprocessing has forked ends without atexit before Python 3.13; and a parent must not
            # remove what its children use before it has joined them, which multiprocessing does at priority 0.
            finalizer.atexit = False
            self._at_end = util.Finalize(None, self.end, exitpriority=-100)

    def end(self) -> None:
        """As `leave`, for an owner that did not think of it."""
        if self.leave():
            warnings.warn(
                f"segment {self._name} was never unlinked; it is now", ResourceWarning, stacklevel=2
            )

    def leave(self) -> bool:
        """Own the segment no more. The last owner removes it; tells whether that was this one."""
        if self._fd is None:
            return False
        # Who wants to own it now waits for the lock, and finds then that it is gone.
        last = locked_alone(self._fd) and is_linked(self._fd, self._path)
        if last:
            os.unlink(self._path)
        self.give_up()
        return last

    def give_up(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._at_end is not None:
            self._at_end.cancel()


class Segment:
    """A mapped segment: `name` to send to other processes, `size` in bytes as asked for, `buf` to read and write.

    Made by `create` and `attach`. As a context manager it closes, and removes the segment if this process owns it and
    no other one does. It has `name`, `size`, `buf`, `close` and `unlink` as `SharedMemory` has, but is none, and cannot
    be pickled: send the name, and attach where no collective is waiting for the unpickling.
    """

    def __init__(self, name: str, size: int, fd: int, stamp: Stamp | None) -> None:
        """Map `size` bytes of an open file; `create` and `attach` do."""
        self.name = name
        self.size = size
        self._path = segment_path(name)
        self._stamp = stamp
        self._view: memoryview | None = memoryview(mmap.mmap(fd, size))
        status = os.fstat(fd)
        self._file = (status.st_dev, status.st_ino)
        self._ownership: _Ownership | None = None

    @property
    def buf(self) -> memoryview:
        """The payload. Raises ValueError once the segment is closed."""
        if self._view is None:
            raise ValueError(f"segment {self.name} is closed")
        return self._view

    @property
    def owner(self) -> bool:
        """Whether this process is to remove the segment."""
        return self._ownership is not None

    def arrived(self) -> tuple[Arrival, ...]:
        """The processes that have attached so far, in order; none of a segment that `create` has not made.

        Raises FileNotFoundError when the segment has been removed.
        """
        if self._stamp is None:
            return ()
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "the segment has been removed", self.name) from None
        try:
            return arrivals(fd, self._stamp)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the memory. It stays mapped until the last view of it has gone, so that none is left dangling."""
        self._view = None

    def unlink(self) -> None:
        """Remove the name; who has attached keeps the memory. No error where it has been removed already.

        Raises:
            PermissionError: when `create` has made the segment and this process does not own it.
        """
        if self._is_linked():
            if self._ownership is None and self._stamp is not None:
                raise PermissionError(
                    errno.EPERM,
                    "a segment is removed by its owner, or by a process that has called take_over()",
                    self.name,
                )
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        self._disown()

    def hand_over(self) -> None:
        """Stop owning the segment and leave it to who has called `take_over`; if nobody has, it is an orphan now.

        Raises RuntimeError when this process does not own it.
        """
        if self._ownership is None:
            raise RuntimeError(f"segment {self.name} cannot be handed over: this process does not own it")
        self._disown()

    def take_over(self) -> None:
        """Own the segment from now on, beside whoever does already. The last owner that leaves its `with`, or ends,
        removes it; `unlink` removes it at once.

        Raises FileNotFoundError when it has been removed meanwhile.
        """
        if self._ownership is not None:
            return
        fd = owner_lock(self._path)
        if fd is None or not self._is_linked():
            if fd is not None:
                os.close(fd)
            raise FileNotFoundError(
                errno.ENOENT, "the segment was removed before it was taken over", self.name
            )
        self.own(fd)

    def own(self, fd: int) -> None:
        """Own the segment by a descriptor that holds the owner's lock; `create` and `take_over` do."""
        self._ownership = _Ownership(self.name, self._path, fd)
        self._ownership.ends_with(self)
        _owned.add(self)

    def _disown(self) -> None:
        if self._ownership is not None:
            self._ownership.give_up()
            self._ownership = None
            _owned.discard(self)

    def _is_linked(self) -> bool:
        try:
            status = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self._file

    def __enter__(self) -> Segment:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ownership is not None:
            self._ownership.leave()
            self._disown()
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._view is None else "owned" if self.owner else "attached"
        return f"<Segment {self.name}: {self.size} bytes, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            f"segment {self.name} cannot be pickled: send its name, and attach(name) in the other process"
        )


_owned: weakref.WeakSet[Segment] = weakref.WeakSet()


def _disown_in_child() -> None:
    """The lock belongs to the open file, which a child shares: kept there, it would outlive the owner."""
    for segment in list(_owned):
        segment._disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_in_child)


# ==== segment_peers =========================================================================================

# Which processes a segment is shared with, and which of them have not attached yet.

def this_rank() -> int:
    """The global rank of this process, -1 without one; torch is not imported for it."""
    if not distributed_runs():
        return -1
    import torch.distributed as dist

    return dist.get_rank()


def expected_peers(group: ProcessGroup | None, peers: int | Iterable[int] | None) -> int | frozenset[int]:
    """How many other processes have to attach, or which ranks. `group` is judged as the collectives judge it."""
    if peers is not None:
        if group is not None:
            raise ValueError("unlink_after_peers: either a group or peers, not both")
        return _named_peers(peers)
    if not distributed_runs():
        raise ValueError(
            "unlink_after_peers: there is no process group; say how many processes attach (peers=…)"
        )
    import torch.distributed as dist

    return frozenset(dist.get_process_group_ranks(member_group(group))) - {dist.get_rank()}


def _named_peers(peers: int | Iterable[int]) -> int | frozenset[int]:
    if isinstance(peers, int) and not isinstance(peers, bool):
        if peers < 0:
            raise ValueError(f"unlink_after_peers: {peers} peers cannot attach")
        return peers
    if isinstance(peers, Iterable):
        ranks = frozenset(peers)
        if all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks):
            return ranks
    raise TypeError(f"unlink_after_peers: peers is a number of processes, or their ranks, not {peers!r}")


@dataclass
class Attendance:
    """Who of the expected peers was missing when it was last looked, in words."""

    segment: Segment
    expected: int | frozenset[int]
    absent: str = ""

    def complete(self) -> bool:
        """Look again, and tell whether all have attached."""
        self.absent = absent_peers(self.segment.arrived(), self.expected)
        return not self.absent

    def late(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"segment {self.segment.name} was not attached by {self.absent} within {timeout:g} s; it is still there, "
            "and this process owns it"
        )


def absent_peers(arrived: Iterable[Arrival], expected: int | frozenset[int]) -> str:
    """Who has not attached yet, in words; "" when nobody is missing."""
    own = this_process()
    others = [arrival for arrival in arrived if arrival.process != own]
    if isinstance(expected, int):
        absent = expected - len({arrival.process for arrival in others})
        return f"{absent} of {expected} peers" if absent > 0 else ""
    missing = sorted(expected - {arrival.rank for arrival in others})
    if not missing:
        return ""
    unknown = sorted({arrival.pid for arrival in others if arrival.rank < 0})
    beside = f" (attached without a rank: pid {', '.join(map(str, unknown))})" if unknown else ""
    return f"rank{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}{beside}"


# ==== update_turns ==========================================================================================

# Whose turn it is among requests, updates and whoever resumes: the decisions of the update locks, in one place.
#
# Nothing here waits or locks. A caller asks for a turn and is told by `grant`; who calls is serialised by the lock that
# uses this (an event loop, or a mutex). The rules:
#
# - Turns are granted in the order in which they were asked for. A request that comes after a waiting update waits for it,
#   and an update that comes after waiting requests waits for them: neither starves the other.
# - A request needs that nothing is paused and no update runs. An update needs that no other update runs and that either
#   no request runs or all are paused: whether it is paused is looked up at the moment when the update is let in, and
#   cannot change before it is done. A resume needs that no update runs.
# - While paused, requests that wait stand aside: what comes after them is let in.

def _granted_at_once() -> None:
    """Nobody is to be told: who asks sees it."""


@dataclass(eq=False, slots=True)
class Turn:
    """What one caller (`holder`: its thread or task) asks for; `grant` is called once, when it gets it. `paused` tells
    whether requests were paused then."""

    kind: Literal["request", "update", "resume"]
    holder: Hashable
    grant: Callable[[], None] = _granted_at_once
    granted: bool = False
    paused: bool = False


@dataclass(eq=False)
class UpdateTurns:
    """Who runs, who waits, and whether requests are paused."""

    paused: bool = False
    requests: dict[Hashable, int] = field(default_factory=dict)
    updater: Turn | None = None
    waiting: deque[Turn] = field(default_factory=deque)

    def ask(self, turn: Turn) -> None:
        """Queue for a turn, or get it at once.

        A holder that runs a request already comes first with another one: behind an update that waits for the first, it
        would wait for itself. Raises RuntimeError where a holder would wait for itself in other ways.
        """
        own_update = self.updater is not None and self.updater.holder == turn.holder
        if own_update or (turn.kind == "update" and turn.holder in self.requests):
            inside = "an update" if own_update else "a request"
            raise RuntimeError(
                f"{turn.kind}() inside of {inside} of the same thread or task would wait for itself"
            )
        if turn.kind == "resume" and not self.paused:
            self._grant(turn)
            return
        first = turn.kind == "request" and turn.holder in self.requests
        (self.waiting.appendleft if first else self.waiting.append)(turn)
        self._advance()

    def give_back(self, turn: Turn) -> None:
        """End a turn, or stop waiting for it."""
        if not turn.granted:
            self.waiting.remove(turn)
        elif turn.kind == "update":
            self.updater = None
        elif turn.kind == "request":
            self.requests[turn.holder] -= 1
            if not self.requests[turn.holder]:
                del self.requests[turn.holder]
        self._advance()

    def pause(self) -> None:
        """Let no request in from now on. It takes back every resume that still waits: the last word counts."""
        self.paused = True
        for turn in [turn for turn in self.waiting if turn.kind == "resume"]:
            self.waiting.remove(turn)
            turn.granted = True
            turn.grant()
        self._advance()

    def _advance(self) -> None:
        """Let in whoever may, in order."""
        looked_at = 0
        while looked_at < len(self.waiting):
            turn = self.waiting[looked_at]
            if self._may(turn):
                del self.waiting[looked_at]
                self._grant(turn)
                if turn.kind == "resume":
                    looked_at = 0  # requests that stood aside come first again
            elif turn.kind == "request" and self.paused:
                looked_at += 1
            else:
                return

    def _may(self, turn: Turn) -> bool:
        if self.updater is not None:
            return False
        if turn.kind == "request":
            return not self.paused
        return turn.kind == "resume" or self.paused or not self.requests

    def _grant(self, turn: Turn) -> None:
        turn.granted, turn.paused = True, self.paused
        if turn.kind == "update":
            self.updater = turn
        elif turn.kind == "resume":
            self.paused = False
        else:
            self.requests[turn.holder] = self.requests.get(turn.holder, 0) + 1
        turn.grant()


# ==== waiting ===============================================================================================

# How to wait for what another process stores to shared memory: spin, then yield the CPU, then sleep ever longer.
#
# Memory rings no bell, so a waiter has to look again and again. At first it looks often, for what is about to come; later
# it leaves the CPU to others. The kernel is asked for nothing but sleep, so a waiter needs nobody to wake it, and a peer
# that was killed in whatever state leaves no waiter behind.

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


# ==== locks =================================================================================================

# Values that can be reached only while their lock is held.
#
#     sessions = Guarded({})
#
#     with sessions as held:
#         held.value[key] = Session(key)
#     held.value  # ReleasedError: the lock is not held any more
#
# An attribute beside its lock is guarded by convention, and the convention is forgotten in the one function that reads
# the entry inside and uses it outside of the `with` (RS201, RS202). Here the value has no other name than `held.value`,
# as in Rust, where a Mutex holds its value and the guard is the way to it.
#
# Python cannot take back what was copied out: `sessions = held.value` inside of the block is a second name for the value,
# which works for ever. `held.lent` is for whoever wants a name: it stands for the value until the lock is released, and
# raises afterwards. `read` and `update` call a function with the value and keep it from getting a name at all.
#
# asyncio is imported by what is used inside of a coroutine, where it is there already.

GuardedT = TypeVar("GuardedT")
ResultT = TypeVar("ResultT")


class ReleasedError(RuntimeError):
    """A guarded value was used through a handle whose lock has been released."""


class Held(Generic[GuardedT]):
    """The way to a guarded value while its lock is held; afterwards each use raises ReleasedError."""

    __slots__ = ("_box",)

    def __init__(self, box: list[GuardedT]) -> None:
        """Give access to the one item of `box` until `_release`; Guarded and AsyncGuarded do."""
        self._box: list[GuardedT] | None = box

    @property
    def value(self) -> GuardedT:
        """The guarded value; assign to it to put another in its place."""
        return self._open()[0]

    @value.setter
    def value(self, value: GuardedT) -> None:
        self._open()[0] = value

    @property
    def lent(self) -> GuardedT:
        """A stand-in for the value, to be named and passed on: using it after the release raises ReleasedError.

        Not covered: what is taken out of it (an item, an attribute), which is not stood in for. See `lent_values`.
        """
        self._open()
        return cast(GuardedT, Lent(lambda: self._open()[0]))

    def _open(self) -> list[GuardedT]:
        if self._box is None:
            raise ReleasedError("the lock of this value has been released: take it again, and look again")
        return self._box

    def _release(self) -> None:
        self._box = None

    def __repr__(self) -> str:
        return "<Held, released>" if self._box is None else f"<Held {type(self._box[0]).__name__}>"


class Guarded(Generic[GuardedT]):
    """A value behind a lock of threads; `with guarded as held` is the only way to it.

    The lock is not re-entrant: a thread that holds it and asks again is told so by a RuntimeError instead of waiting
    for itself. As with every lock of threads, a child forked while another thread holds it finds it held for ever.
    """

    def __init__(self, value: GuardedT) -> None:
        self._box = [value]
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._held: Held[GuardedT] | None = None

    def __enter__(self) -> Held[GuardedT]:
        return self._acquire(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @contextlib.contextmanager
    def lock(self, timeout: float | None = None) -> Iterator[Held[GuardedT]]:
        """As `with guarded`, waiting no longer than `timeout` seconds; TimeoutError when it was not free by then.

        None and infinity set no limit; a number below 0, or NaN, is a ValueError.
        """
        held = self._acquire(timeout)
        try:
            yield held
        finally:
            self._release()

    def read(self, function: Callable[[GuardedT], ResultT]) -> ResultT:
        """What `function` makes of the value, called under the lock.

        Raises TypeError when that is the value itself, which would leave its lock: return a copy.
        """
        with self as held:
            return _not_itself(function(held.value), held.value)

    def update(self, change: Callable[[GuardedT], GuardedT]) -> None:
        """Put what `change` makes of the value in its place, under the lock; as it was if `change` raises."""
        with self as held:
            held.value = change(held.value)

    def _acquire(self, timeout: float | None) -> Held[GuardedT]:
        limit = checked_timeout(timeout)
        thread = threading.get_ident()
        if self._thread == thread:
            raise RuntimeError("this thread holds the lock of this value already and would wait for itself")
        if not self._lock.acquire(timeout=-1 if limit is None else limit):
            raise TimeoutError(f"another thread has held the lock of this value for {timeout:g} s")
        self._thread = thread
        self._held = Held(self._box)
        return self._held

    def _release(self) -> None:
        if self._held is not None:
            self._held._release()
        self._held = self._thread = None
        self._lock.release()

    def __repr__(self) -> str:
        return f"<Guarded {type(self._box[0]).__name__}{', held' if self._lock.locked() else ''}>"


class AsyncGuarded(Generic[GuardedT]):
    """A value behind a lock of asyncio tasks; `async with guarded as held` is the only way to it.

    A task that is cancelled while it waits does not get the lock, and one that is cancelled inside gives it back. A
    task that holds it and asks again is told so by a RuntimeError. Use it within one event loop; for a timeout use
    `asyncio.timeout` or `asyncio.wait_for` around it.
    """

    def __init__(self, value: GuardedT) -> None:
        import asyncio

        self._box = [value]
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._held: Held[GuardedT] | None = None

    async def __aenter__(self) -> Held[GuardedT]:
        import asyncio

        task = asyncio.current_task()
        if task is not None and self._task is task:
            raise RuntimeError("this task holds the lock of this value already and would wait for itself")
        await self._lock.acquire()
        self._task = task
        self._held = Held(self._box)
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without an await: a task that is cancelled here still gives the lock back.
        if self._held is not None:
            self._held._release()
        self._held = self._task = None
        self._lock.release()

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[Held[GuardedT]]:
        """As `async with guarded`."""
        async with self as held:
            yield held

    async def read(self, function: Callable[[GuardedT], ResultT]) -> ResultT:
        """What `function` makes of the value, called under the lock; it does not await.

        Raises TypeError when that is the value itself, which would leave its lock: return a copy.
        """
        async with self as held:
            return _not_itself(function(held.value), held.value)

    async def update(self, change: Callable[[GuardedT], GuardedT]) -> None:
        """Put what `change` makes of the value in its place, under the lock; as it was if `change` raises."""
        async with self as held:
            held.value = change(held.value)

    def __repr__(self) -> str:
        return f"<AsyncGuarded {type(self._box[0]).__name__}{', held' if self._lock.locked() else ''}>"


_IMMUTABLE = (int, float, complex, str, bytes, bool, type(None), frozenset)


def _not_itself(result: ResultT, value: object) -> ResultT:
    # Values that cannot be changed may leave: nothing is shared through them.
    if cast(object, result) is value and not isinstance(value, _IMMUTABLE):
        raise TypeError(
            f"read() would let the guarded {type(value).__name__} out of its lock: return a copy, or a part of it"
        )
    return result


# ==== segments ==============================================================================================

# Shared-memory segments with one owner: what it made is removed when it is done, and by nobody else.
#
# What they do otherwise than `multiprocessing.shared_memory`:
#
# - No resource tracker hears of them, on any Python. `SharedMemory(name)` registers what it attaches with the tracker of
#   its process, which unlinks it when that process ends, under the feet of its maker (CPython issue 82300); to unregister
#   afterwards takes the maker's entry away where both share a tracker. Here nothing is registered, so nothing is undone.
# - All pages are reserved before the name is told: a full /dev/shm is an OSError in `create`, no SIGBUS at a later store.
# - A name is never used twice (`segment_names`), so a stale one finds nothing instead of a newer segment.
# - What an owner that was killed has left behind is found by `remove_orphans`, which cannot take away anything else.
# - Views stay valid whatever is closed (`segment_handle`).
#
# What is promised when which process dies stands in docs/guarantees/segments.md.

def create(size: int, label: str = "") -> Segment:
    """Make a segment of `size` bytes, all zero, with a new name that holds `label`; this process owns it.

    Raises:
        TypeError: for a size that is no int.
        ValueError: for a size below 1, or a label that cannot be part of a name.
        OSError: ENOSPC when /dev/shm has not that much left, EFBIG for more than a file may have, ENOTSUP on Windows
            and macOS. Nothing is left behind then.
    """
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"the size of a segment is a number of bytes, not {size!r}")
    if size < 1:
        raise ValueError(f"a segment has at least one byte, not {size}")
    fd, name = _new_file(label)
    try:
        segment = _filled_segment(name, size)
        segment.own(fd)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment_path(name))
        os.close(fd)
        raise
    return segment


def _new_file(label: str) -> tuple[int, str]:
    """A new file that this process owns before anything is in it."""
    while True:
        name = new_segment_name(label)
        fd = owner_lock(segment_path(name), os.O_CREAT | os.O_EXCL)
        if fd is not None:  # else a sweep has found it before it was locked
            return fd, name


def _filled_segment(name: str, size: int) -> Segment:
    """The segment in a file that is there: pages, then the stamp, then the mapping."""
    # A second open file: a mapping keeps its file open, and the owner's lock must be given back before that.
    fd = os.open(segment_path(name), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        try:
            os.posix_fallocate(fd, 0, pages_of(size))
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", errno.EFBIG)
            free = os.statvfs(segments_folder())
            raise OSError(
                number,
                f"{os.strerror(number)}: {size} bytes for a segment, {free.f_bavail * free.f_frsize} are free",
                segments_folder(),
            ) from None
        generation = generation_of(name)
        assert generation is not None
        stamp = Stamp(generation, size, os.getpid())
        append_stamp(fd, stamp)
        return Segment(name, size, fd, stamp)
    finally:
        os.close(fd)


def attach(name: str, *, rank: int | None = None) -> Segment:
    """Map a segment of this machine that another process, or this one, has made. No resource tracker hears of it.

    A segment of `create` is told that this process has arrived, as `rank`, by default this process's global rank where
    torch.distributed is initialised; `unlink_after_peers` waits for that. Segments of `SharedMemory` can be attached as
    well; of them only the size is known, and it may be rounded up.

    Raises:
        FileNotFoundError: when there is none of that name, it has been removed, it is not finished, or the file of that
            name is of another generation.
        TypeError: for a name that is no str.
        ValueError: for what cannot be a name.
        PermissionError: when it is another user's.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a segment is a str, not {name!r}")
    generation = generation_of(name.removeprefix("/"))
    path = segment_path(name)
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            "there is no such segment: "
            + ("it was never made" if generation is None else "its owner has removed it, or died"),
            name,
        ) from None
    try:
        if generation is None:
            return _foreign_segment(name, fd)
        stamp = read_stamp(fd, generation)
        if stamp is None:
            raise FileNotFoundError(
                errno.ENOENT, "the file of this name is not finished, or of another generation", name
            )
        segment = Segment(name.removeprefix("/"), stamp.size, fd, stamp)
        append_arrival(fd, stamp, this_rank() if rank is None else rank)
        return segment
    finally:
        os.close(fd)


def _foreign_segment(name: str, fd: int) -> Segment:
    size = os.fstat(fd).st_size
    if size == 0:
        raise FileNotFoundError(errno.ENOENT, "the segment has no size yet: its maker is not done", name)
    return Segment(name.removeprefix("/"), size, fd, None)


def unlink_after_peers(
    segment: Segment,
    group: ProcessGroup | None = None,
    timeout: float | None = 60.0,
    *,
    peers: int | Iterable[int] | None = None,
) -> None:
    """Wait until all peers have attached, then remove the segment's name; for its owner. Peers just attach.

    No collective is run: peers tell in the segment itself that they have attached, so that one that died or raised
    cannot hang this call, and a group whose backend takes no CPU tensors does as well as any. A peer may call this too,
    so that all ranks can run the same line; it returns at once there.

    Args:
        segment: a segment of `create`.
        group: the peers are its other ranks, which must be on this machine; the default group if neither this nor
            `peers` is given.
        timeout: seconds until it gives up; with None or infinity it waits for ever, for a peer that has died too.
        peers: instead of a group: how many other processes, or which ranks, as they were given to `attach`.

    Raises:
        TimeoutError: when a peer has not attached by then; it says which. The segment is still there, and still owned.
        FileNotFoundError: when another owner removes the segment meanwhile.
        TypeError: for a group that is none, and peers that are neither a number nor ranks.
        ValueError: without group, peers and default group, on a rank that is no member of the group, and for a timeout
            below 0, or NaN.
    """
    checked_timeout(timeout)
    attendance = Attendance(segment, expected_peers(group, peers))
    if not segment.owner:
        return
    if not wait_until(attendance.complete, timeout):
        raise attendance.late(timeout)
    segment.unlink()


async def unlink_after_peers_async(
    segment: Segment,
    group: ProcessGroup | None = None,
    timeout: float | None = 60.0,
    *,
    peers: int | Iterable[int] | None = None,
) -> None:
    """`unlink_after_peers` for asyncio; other tasks run meanwhile. Cancelled, it leaves the segment in place."""
    checked_timeout(timeout)
    attendance = Attendance(segment, expected_peers(group, peers))
    if not segment.owner:
        return
    if not await wait_until_async(attendance.complete, timeout):
        raise attendance.late(timeout)
    segment.unlink()


def remove_orphans(label: str | None = None) -> tuple[str, ...]:
    """Remove the segments of ours that no living process owns, and return their names; only those with this label.

    It takes what was made by `create`, belongs to this user, and is owned by no process that lives, be it in another
    container or pid namespace. Segments of `SharedMemory` and others are never touched. Call it when a service starts.
    """
    removed = []
    for name in sorted(os.listdir(segments_folder())):
        generation = generation_of(name)
        if generation is None or label not in (None, label_of(name)):
            continue
        if remove_if_orphaned(segment_path(name), generation):
            removed.append(name)
    return tuple(removed)


# ==== ring_members ==========================================================================================

# What writer and readers of a ring have in common: a mapping, a place, and the question who else is there.

WRITER_PLACE = 0


class RingMember:
    """One process's mapping of a ring with the place it has taken there: 0 is the writer's, 1 + rank a reader's."""

    def __init__(self, name: str, place: int) -> None:
        """Raises FileNotFoundError when the ring has been removed, ValueError for a place that it has not, and
        ConnectionError when the place is taken or cannot be taken any more."""
        self.name, self.place = name, place
        self._segment = attach(name, rank=place - 1)
        try:
            self.view: memoryview = self._segment.buf
            self.layout = RingLayout.load(self.view, name)
            if not 0 <= place <= self.layout.readers:
                raise ValueError(f"ring {name} has readers 0 to {self.layout.readers - 1}, not {place - 1}")
            self.cell = self._cell(place)
            self.word = SharedWord(self.view, self.cell)
            self.hold = self._taken()
        except BaseException:
            self._segment.close()
            raise

    def _taken(self) -> Place:
        try:
            return Place(segment_path(self.name), self.place)
        except BlockingIOError:
            pass
        raise ConnectionError(f"ring {self.name} has a {self.peer(self.place)} already")

    def come_in(self, state: int) -> None:
        """Tell the others who is here, then that somebody is."""
        struct.pack_into("<Q", self.view, self.cell + PID, os.getpid())
        memory_fence()
        self.view[self.cell] = state

    def leave(self, state: int | None, error: BaseException | None = None) -> None:
        """Give the place back; `state` is what the others find, None to change nothing. Harmless when done twice."""
        if self.hold.fd >= 0:
            if error is not None:
                self._tell(error)
            if state is not None:
                # Who sees the end must see the last message, and why it failed.
                memory_fence()
                self.view[self.cell] = state
                # Who finds the place free must find the state as well; the kernel's lock orders the two, a model of
                # memory does not know that.
                memory_fence()
                self.word.wake()
            self.hold.release()
            self.word.close()
        self._segment.close()
        self.view.release()

    def _tell(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception_only(type(error), error)).strip().encode()
        reason = text[:REASON_BYTES].decode(errors="ignore").encode()
        start = self.cell + REASON
        self.view[start : start + len(reason)] = reason
        self.view[self.cell + REASON_LENGTH] = len(reason)

    def refuse(self) -> None:
        """Raise why this member is of no use."""
        raise ValueError(
            f"this end of ring {self.name} is closed, or was opened before a fork; a child opens its own"
        )

    def is_lost(self, place: int) -> bool:
        """Whether a member has died, or has left with an exception."""
        if self.view[self._cell(place)] != FAILED:
            return self.has_died(place)
        # What it has sent before it left is to be seen by whoever knows that it left.
        memory_fence()
        return True

    def has_died(self, place: int) -> bool:
        """Whether a member came, did not leave, and is gone."""
        cell = self._cell(place)
        if self.view[cell] not in (ATTACHED, JOINING) or place == self.place or is_held(self.hold.fd, place):
            return False
        # It may have left between the two looks; then it has said so before it gave back its place.
        memory_fence()
        return self.view[cell] in (ATTACHED, JOINING)

    def peer(self, place: int) -> Peer:
        """Who has a place, and in which state."""
        died = self.has_died(place)
        cell = self._cell(place)
        state = self.view[cell]
        memory_fence()
        (pid,) = struct.unpack_from("<Q", self.view, cell + PID)
        name = "died" if died else STATE_NAMES[state]
        reason = ""
        if state == FAILED:
            length = self.view[cell + REASON_LENGTH]
            reason = bytes(self.view[cell + REASON : cell + REASON + length]).decode(errors="replace")
        if place == WRITER_PLACE:
            return Peer("writer", None, pid, name, 0, reason)
        behind = 0
        if state in (EXPECTED, ATTACHED, FAILED):
            behind = (self.view[WRITER_CELL + COUNT] - self.view[cell + COUNT]) % self.layout.modulus
        return Peer("reader", place - 1, pid, name, behind, reason)

    def everybody(self) -> tuple[Peer, ...]:
        """All members, the writer first."""
        return tuple(self.peer(place) for place in range(1 + self.layout.readers))

    def _cell(self, place: int) -> int:
        return WRITER_CELL if place == WRITER_PLACE else self.layout.reader_cell(place - 1)


# ==== ring_audience =========================================================================================

# The readers of a ring as its writer sees them: how far each is, who is lost, and who joins.

# States of readers that the writer waits for. The lost are among them, until they are dropped.
_READING = (EXPECTED, ATTACHED, FAILED)


class Audience:
    """What the writer asks of its readers. `written` is the writer's own count of messages."""

    def __init__(self, member: RingMember, *, drop_lost: bool) -> None:
        self._member, self._view, self._drop_lost = member, member.view, drop_lost
        self._modulus, self._slots = member.layout.modulus, member.layout.slots
        self._cells = [member.layout.reader_cell(rank) for rank in range(member.layout.readers)]
        self._words = [SharedWord(self._view, cell) for cell in self._cells]

    def free_slots(self, written: int) -> int:
        """How many slots may be written. Raises BrokenPipeError where nobody is left, and none joins."""
        most = self.most_behind(written)
        if most < 0:
            self.look(written)
            self.need_somebody()
            return self._slots
        return self._slots - most

    def most_behind(self, written: int) -> int:
        """How far the slowest reader is behind; -1 where nobody is to be waited for."""
        return max(self._behind(cell, written) for cell in self._cells)

    def _behind(self, cell: int, written: int) -> int:
        state = self._view[cell]
        if state == JOINING and self._view[cell + ADMITTED] == self._view[cell + TICKET]:
            state = ATTACHED
        if state not in _READING:
            return -1
        return (written - self._view[cell + COUNT]) % self._modulus

    def sleep(self, written: int, seconds: float) -> None:
        """Sleep until the slowest reader has read a message and wakes the writer."""
        most = self.most_behind(written)
        for cell, word in zip(self._cells, self._words, strict=True):
            if most > 0 and self._behind(cell, written) == most:
                self._view[cell + SLEEPER] = 1
                seen = word.load()
                if self._behind(cell, written) == most:
                    word.sleep(seen, seconds)
                return

    def look(self, written: int) -> None:
        """Drop who is lost, or raise PeerDiedError; take in who joins."""
        if (lost := self.lost()) and not self._drop_lost:
            raise PeerDiedError(self._member.name, lost)
        self.drop(lost)
        for cell in self._cells:
            if self._view[cell] == JOINING and self._behind(cell, written) < 0:
                # The reader may be gone meanwhile, and another there: then this ticket is not the other one's.
                ticket = self._view[cell + TICKET]
                self._view[cell + COUNT] = written
                memory_fence()
                self._view[cell + ADMITTED] = ticket

    def need_somebody(self) -> None:
        """Raise BrokenPipeError where every reader has left or was dropped."""
        if all(self._view[cell] in (CLOSED, DROPPED) for cell in self._cells):
            raise BrokenPipeError(f"ring {self._member.name}: no reader is left")

    def lost(self) -> tuple[Peer, ...]:
        """Readers that have died or failed, and are not dropped."""
        places = range(1, 1 + len(self._cells))
        return tuple(self._member.peer(place) for place in places if self._member.is_lost(place))

    def drop(self, lost: tuple[Peer, ...]) -> None:
        """Wait for them no more."""
        for peer in lost:
            assert peer.rank is not None
            self._view[self._cells[peer.rank]] = DROPPED

    def too_slow(self, written: int, timeout: float | None, what: str) -> SlowReaderError:
        """The error that names the slowest."""
        most = self.most_behind(written)
        behind = tuple(peer for peer in self._member.everybody()[1:] if peer.behind and peer.behind == most)
        names = ", ".join(f"{peer} ({peer.state}, {peer.behind} behind)" for peer in behind) or "a reader"
        return SlowReaderError(f"ring {self._member.name}: {names} {what} within {timeout:g} s", behind)

    def close(self) -> None:
        for word in self._words:
            word.close()


# ==== ring_overflow =========================================================================================

# Messages that are longer than a slot: each slot may have a segment of its own beside the ring.
#
# The slot carries the segment's name in place of the message. The writer makes a segment when it needs one, uses it again
# for the slot's next long message, and removes it when a short one follows; so memory follows what is sent.

# A segment this many times larger than a message is not used for it: one giant would stay for ever.
_WASTE = 4
_SMALL_SEGMENT = 1 << 20


class OverflowWriter:
    """The writer's side: which slot has which segment."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}

    def open(self, slot: int, size: int) -> tuple[str, memoryview]:
        """The name of the segment for the slot's next message, and where the message goes.

        Raises OSError when there is no memory for it; then the slot has no segment.
        """
        known = self._segments.get(slot)
        if known is None or not size <= known.size <= max(_SMALL_SEGMENT, _WASTE * size):
            self.drop(slot)
            known = self._segments[slot] = create(size, "ring-overflow")
        return known.name, known.buf[:size]

    def drop(self, slot: int) -> None:
        """Remove the slot's segment; its readers are done."""
        if self._segments and (known := self._segments.pop(slot, None)) is not None:
            known.unlink()
            known.close()

    def close(self) -> None:
        """Give all back. The segments stay for readers that have not come to them yet, until the ring is removed."""
        for segment in self._segments.values():
            if segment.owner:  # which a forked child is not
                segment.hand_over()
            segment.close()
        self._segments.clear()


def remove_overflow(name: bytes) -> None:
    """Remove the segment that a slot names. A writer that was killed may have left half a name, or none."""
    whole = name.decode("ascii", errors="replace")
    if generation_of(whole) is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(segment_path(whole))


class OverflowReader:
    """A reader's side: the segments it has attached, by slot."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}

    def open(self, slot: int, name: str, size: int) -> memoryview:
        """The message. Raises FileNotFoundError when its segment has been removed."""
        known = self._segments.get(slot)
        if known is None or known.name != name:
            self.drop(slot)
            known = self._segments[slot] = attach(name, rank=-1)
        return known.buf[:size]

    def drop(self, slot: int) -> None:
        """Give back the mapping of a slot whose segment is not used any more."""
        if self._segments and (known := self._segments.pop(slot, None)) is not None:
            known.close()

    def close(self) -> None:
        for slot in list(self._segments):
            self.drop(slot)


# ==== ring_reader ===========================================================================================

# A reading end of a ring: waits for the next message, lends it out, and acknowledges it with one byte.

class RingReader:
    """One reader of a ring, from `ShmRing.reader`. For one thread at a time; tasks of one event loop may share it.

    A message is acknowledged once it has been read, whether or not what was done with it raised; the writer may use its
    slot again from then on. As a context manager it leaves the ring; left with an exception it counts as failed, and
    the writer is told (not with one that just ends the task or process: CancelledError, KeyboardInterrupt, SystemExit).

    What waits raises:
        EOFError: the writer has closed the ring, and this reader has read everything.
        PeerDiedError: the writer has died or failed, and this reader has read what it had sent before.
        TimeoutError: no message within `timeout` seconds; None waits for ever, but not for the dead.
        ValueError: this reader is closed, or was opened by a parent process; a timeout below 0, or NaN.
    """

    def __init__(self, name: str, rank: int, *, busy_seconds: float) -> None:
        if rank < 0:
            raise ValueError(f"ring {name} has readers from 0 on, not {rank}")
        self._member = RingMember(name, 1 + rank)
        self._layout, self._view, self._cell = self._member.layout, self._member.view, self._member.cell
        self._hold, self._busy = self._member.hold, busy_seconds
        self._modulus = self._layout.modulus
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._overflow = OverflowReader()
        self._read, self._ready, self._lent = 0, 0, False
        self._writer_word = SharedWord(self._view, WRITER_CELL)
        self._come_in()

    def _come_in(self) -> None:
        state = self._view[self._cell]
        if state in (ATTACHED, JOINING, FAILED):
            before = self._member.peer(self._member.place)
            self._member.leave(None)
            raise ConnectionError(
                f"ring {self._member.name}: {before} was there and is lost; its place is free again when the "
                "writer has dropped it (drop_dead_readers)"
            )
        self._admitted = state == EXPECTED
        if not self._admitted:
            self._view[self._cell + TICKET] = (self._view[self._cell + TICKET] + 1) % 256
        self._member.come_in(ATTACHED if self._admitted else JOINING)

    # Reading ------------------------------------------------------------------------------------------------

    def read(self, timeout: float | None = None) -> Borrowed:
        """Lend the next message, as it stands in the ring, for the time of a block; then acknowledge it.

            with reader.read(timeout=5) as view:
                handle(view)

        The view is released at the end of the block. What was made of it and shares its memory, such as a slice or an
        array, must not be used any more: the writer stores the next message there. An object that was sent is seen in
        its pickled form. Waits when the block is entered.
        """
        return Borrowed(partial(self._borrow, timeout), self._give_back)

    @contextlib.asynccontextmanager
    async def read_async(self, timeout: float | None = None) -> AsyncIterator[memoryview]:
        """`read` for asyncio. Cancelled while it waits, it leaves the message unread."""
        await self._need_message_async(timeout)
        with Borrowed(self._lend, self._give_back) as view:
            yield view

    def receive(self, timeout: float | None = None) -> Any:
        """The next message as the object that was sent, or as bytes where bytes were written.

        The object owns its memory. Unpickling runs what the sender says, so the writer has to be trusted; what it
        raises is raised here, and the message counts as read.
        """
        self._need_message(timeout)
        return self._taken()

    async def receive_async(self, timeout: float | None = None) -> Any:
        """`receive` for asyncio. Cancelled, it leaves the message unread."""
        await self._need_message_async(timeout)
        return self._taken()

    def __iter__(self) -> Iterator[Any]:
        """All messages to the end, as `receive` gives them."""
        while self._need_message(None, end_is_error=False):
            yield self._taken()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while await self._need_message_async(None, end_is_error=False):
            yield self._taken()

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    # Closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave; the writer does not wait for this reader any more. Doing it twice is harmless.

        Raises RuntimeError while a message is being read.
        """
        self._leave(None)

    def __enter__(self) -> RingReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error if isinstance(error, Exception) else None)

    def _leave(self, error: BaseException | None) -> None:
        self._refuse_while_lent()
        self._overflow.close()
        self._writer_word.close()
        self._member.leave(CLOSED if error is None else FAILED, error)

    # Waiting ------------------------------------------------------------------------------------------------

    def _check(self, timeout: float | None = None) -> None:
        checked_timeout(timeout)
        if self._hold.fd < 0:
            self._member.refuse()
        self._refuse_while_lent()

    def _refuse_while_lent(self) -> None:
        if self._lent:
            raise RuntimeError("a message of this reader is still being read; leave its block first")

    def _need_message(self, timeout: float | None, *, end_is_error: bool = True) -> bool:
        self._check(timeout)
        if not self._ready and not wait_until(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._nothing_came(timeout)
        return self._ready > 0 or self._end(end_is_error)

    async def _need_message_async(self, timeout: float | None, *, end_is_error: bool = True) -> bool:
        self._check(timeout)
        if not self._ready and not await wait_until_async(
            self._arrived, timeout, watch=self._watch_writer, busy_seconds=self._busy
        ):
            raise self._nothing_came(timeout)
        self._check()
        return self._ready > 0 or self._end(end_is_error)

    def _end(self, is_error: bool) -> bool:
        if self._member.is_lost(WRITER_PLACE):
            raise self._writer_lost()
        if is_error:
            raise EOFError(f"ring {self._member.name}: its writer has closed it, and everything is read")
        return False

    def _sleep(self, seconds: float) -> None:
        """Sleep until the writer wakes its readers."""
        self._view[WRITER_CELL + SLEEPER] = 1
        seen = self._writer_word.load()
        if not self._arrived():
            self._writer_word.sleep(seen, seconds)

    def _arrived(self) -> bool:
        """Whether there is a message, or none will ever come."""
        if self._available():
            return True
        if self._view[WRITER_CELL] not in (CLOSED, FAILED):
            return False
        memory_fence()
        self._available()
        return True

    def _available(self) -> bool:
        """Look how many messages there are."""
        if not self._admitted:
            if self._view[self._cell + ADMITTED] != self._view[self._cell + TICKET]:
                return False
            memory_fence()
            self._read = self._view[self._cell + COUNT]
            self._admitted = True
            self._view[self._cell] = ATTACHED
        written = self._view[WRITER_CELL + COUNT]
        if written == self._read:
            return False
        memory_fence()
        self._ready = (written - self._read) % self._modulus
        return True

    def _watch_writer(self) -> None:
        """Raise PeerDiedError when the writer is lost and has left no message behind."""
        if self._member.is_lost(WRITER_PLACE) and not self._available():
            raise self._writer_lost()

    def _writer_lost(self) -> PeerDiedError:
        return PeerDiedError(self._member.name, (self._member.peer(WRITER_PLACE),))

    def _nothing_came(self, timeout: float | None) -> TimeoutError:
        writer = self._member.peer(WRITER_PLACE)
        has = f"{writer} wrote nothing" if writer.pid else "no writer has come"
        return TimeoutError(f"ring {self._member.name}: {has} within {timeout:g} s")

    # One message --------------------------------------------------------------------------------------------

    def _borrow(self, timeout: float | None) -> memoryview:
        self._need_message(timeout)
        return self._lend()

    def _lend(self) -> memoryview:
        """The next message, which is there; `_give_back` follows."""
        self._lent = True
        try:
            return self._message()[1]
        except BaseException:
            self._lent = False
            self._acknowledge()
            raise

    def _give_back(self, view: memoryview) -> None:
        """The message is read. Raises BufferError, after that, where something still uses the view."""
        self._lent = False
        try:
            view.release()
        except BufferError:
            raise BufferError(
                f"something made of a message of ring {self._member.name} is used beyond its block; copy it there"
            ) from None
        finally:
            self._acknowledge()

    def _taken(self) -> Any:
        try:
            kind, view = self._message()
            with view:
                return object_of(kind, view)
        finally:
            self._acknowledge()

    def _message(self) -> tuple[int, memoryview]:
        """Kind and bytes of the next message, where they stand."""
        slot = self._read % self._layout.slots
        start = self._starts[slot]
        kind, name_length, size = struct.unpack_from(SLOT_HEADER, self._view, start)
        body = start + SLOT_HEADER_SIZE
        if kind < OVERFLOWED:
            self._overflow.drop(slot)
            return kind, self._view[body : body + size]
        name = bytes(self._view[body : body + name_length]).decode()
        try:
            return kind - OVERFLOWED, self._overflow.open(slot, name, size)
        except FileNotFoundError:
            if self._member.is_lost(WRITER_PLACE):
                raise self._writer_lost() from None
            raise ConnectionError(
                f"ring {self._member.name} was removed before a long message was read; flush its writer before"
            ) from None

    def _acknowledge(self) -> None:
        # This process's own count first: an exception between the two lines may delay the acknowledgement, but never
        # has the message read twice.
        self._ready -= 1
        self._read = (self._read + 1) % self._modulus
        memory_fence()
        self._view[self._cell + COUNT] = self._read
        # A writer that sleeps is woken when it can write many messages, not for each: that would be a turn for each.
        if self._view[self._cell + SLEEPER] and 2 * self._ready <= self._layout.slots:
            self._view[self._cell + SLEEPER] = 0
            self._member.word.wake()


# ==== ring_writer ===========================================================================================

# The writing end of a ring: waits for a free slot, fills it, and publishes it with one byte.

_LOOK_SECONDS = 0.1


class RingWriter:
    """The one writer of a ring, from `ShmRing.writer`. For one thread at a time; tasks of one event loop may share it.

    A message is published by the store of one byte. A writer that is killed, cancelled or interrupted anywhere has sent
    the whole message or nothing of it. As a context manager it leaves the ring; left with an exception it counts as
    failed, and readers are told instead of finding the end.

    What waits raises:
        SlowReaderError: no slot became free within `timeout` seconds, since the readers it names do not read or have
            not come; None waits for ever, but not for the dead. Nothing has been sent.
        PeerDiedError: a reader has died or failed. Nothing has been sent. `drop_dead_readers` goes on without it; a
            writer that was opened with `drop_dead_readers=True` does so by itself.
        BrokenPipeError: every reader has left, or was dropped.
        OSError: there is no memory for a message longer than a slot. Nothing has been sent.
        ValueError: this writer is closed, or was opened by a parent process; a timeout below 0, or NaN.
    """

    def __init__(self, name: str, *, drop_dead_readers: bool, busy_seconds: float) -> None:
        self._member = RingMember(name, WRITER_PLACE)
        if self._member.view[WRITER_CELL] != EXPECTED:
            before = self._member.peer(WRITER_PLACE)
            self._member.leave(None)
            raise ConnectionError(f"ring {name} has had its {before}, and has only one; make a new ring")
        self._hold = self._member.hold
        self._layout, self._view = self._member.layout, self._member.view
        self._busy = busy_seconds
        self._written = self._free = 0
        self._look_at = 0.0
        self._filling = self._large = False
        self._overflow = OverflowWriter()
        self._modulus = self._layout.modulus
        self._slot_bytes = self._layout.slot_bytes
        self._starts = [self._layout.slot_start(slot) for slot in range(self._layout.slots)]
        self._audience = Audience(self._member, drop_lost=drop_dead_readers)
        self._member.come_in(ATTACHED)

    # Writing ------------------------------------------------------------------------------------------------

    def write(self, data: Any, timeout: float | None = None) -> None:
        """Send bytes, or any other contiguous buffer, to every reader. Waits until a slot is free."""
        data, size = sized(data)
        self._need_slot(timeout)
        self._store(BYTES, (data,), size)

    def send(self, value: object, timeout: float | None = None) -> None:
        """Send an object, pickled, to every reader. Raises what `write` and pickling raise; then nothing is sent."""
        kind, parts, size = message_of(value, large=self._large)
        self._large = size > LARGE
        self._need_slot(timeout)
        self._store(kind, parts, size)

    @contextlib.contextmanager
    def reserve(self, size: int, timeout: float | None = None) -> Iterator[memoryview]:
        """`size` bytes of the ring to be filled in the block; the message is sent when the block ends.

        A block that raises sends nothing. What the bytes held before is undefined.
        """
        if size < 0:
            raise ValueError(f"a message has 0 bytes or more, not {size}")
        self._need_slot(timeout)
        self._filling = True
        try:
            with self._open(BYTES, size) as view:
                yield view
            self._publish()
        finally:
            self._filling = False

    async def write_async(self, data: Any, timeout: float | None = None) -> None:
        """`write` for asyncio. Cancelled, it has sent the whole message or nothing.

        `data` must not be changed before it comes back, since it is copied only then.
        """
        data, size = sized(data)
        await self._need_slot_async(timeout)
        self._store(BYTES, (data,), size)

    async def send_async(self, value: object, timeout: float | None = None) -> None:
        """`send` for asyncio. Cancelled, it has sent the whole message or nothing.

        Buffers in `value` must not be changed before it comes back, since they are copied only then.
        """
        kind, parts, size = message_of(value, large=self._large)
        self._large = size > LARGE
        await self._need_slot_async(timeout)
        self._store(kind, parts, size)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until every reader has read everything, those too that have not come yet. Raises what `write` raises."""
        self._check()
        if not wait_until(
            self._all_read, timeout, watch=self._look, busy_seconds=self._busy, sleep=self._sleep
        ):
            raise self._audience.too_slow(self._written, timeout, "has not read everything")

    async def flush_async(self, timeout: float | None = None) -> None:
        """`flush` for asyncio."""
        self._check()
        if not await wait_until_async(self._all_read, timeout, watch=self._look, busy_seconds=self._busy):
            raise self._audience.too_slow(self._written, timeout, "has not read everything")

    # Readers ------------------------------------------------------------------------------------------------

    def peers(self) -> tuple[Peer, ...]:
        """All members of the ring as they are now, the writer first."""
        self._check()
        return self._member.everybody()

    def drop_dead_readers(self) -> tuple[Peer, ...]:
        """Go on without the readers that have died or failed, and return who they were. Their places are free again."""
        self._check()
        lost = self._audience.lost()
        self._audience.drop(lost)
        return lost

    # Closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave. Readers read what has been sent, and then find the end. Doing it twice is harmless.

        Raises RuntimeError while a message is being written.
        """
        self._leave(None)

    def __enter__(self) -> RingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        self._refuse_while_filling()
        self._overflow.close()
        self._audience.close()
        self._member.leave(CLOSED if error is None else FAILED, error)

    # Inside -------------------------------------------------------------------------------------------------

    def _check(self, timeout: float | None = None) -> None:
        checked_timeout(timeout)
        if self._hold.fd < 0:
            self._member.refuse()
        self._refuse_while_filling()

    def _refuse_while_filling(self) -> None:
        if self._filling:
            raise RuntimeError("a message of this writer is still being written; leave its block first")

    def _need_slot(self, timeout: float | None) -> None:
        self._check(timeout)
        self._look_now_and_then()
        if not self._free and not wait_until(
            self._found_free,
            timeout,
            watch=self._look_for_somebody,
            busy_seconds=self._busy,
            sleep=self._sleep,
        ):
            raise self._audience.too_slow(self._written, timeout, "left no slot free")

    async def _need_slot_async(self, timeout: float | None) -> None:
        self._check(timeout)
        self._look_now_and_then()
        if not self._free and not await wait_until_async(
            self._found_free, timeout, watch=self._look_for_somebody, busy_seconds=self._busy
        ):
            raise self._audience.too_slow(self._written, timeout, "left no slot free")
        self._check()

    def _store(self, kind: int, parts: Sequence[Any], size: int) -> None:
        """Fill a slot and publish it. Without a `finally`: what raises before the last line has sent nothing."""
        with self._open(kind, size) as view:
            start = 0
            for part in parts:
                end = start + len(part)
                view[start:end] = part
                start = end
        self._publish()

    def _open(self, kind: int, size: int) -> memoryview:
        """Where the next message goes, `size` bytes; its header is written."""
        slot = self._written % self._layout.slots
        start = self._starts[slot]
        body = start + SLOT_HEADER_SIZE
        if size <= self._slot_bytes:
            self._overflow.drop(slot)
            struct.pack_into(SLOT_HEADER, self._view, start, kind, 0, size)
            return self._view[body : body + size]
        name, view = self._overflow.open(slot, size)
        self._view[body : body + len(name)] = name.encode()
        struct.pack_into(SLOT_HEADER, self._view, start, kind | OVERFLOWED, len(name), size)
        return view

    def _publish(self) -> None:
        # This process's own count first: an exception between the two lines may delay the message, but never has
        # the next one written over it.
        self._free -= 1
        self._written = (self._written + 1) % self._modulus
        memory_fence()
        self._view[WRITER_CELL + COUNT] = self._written
        if self._view[WRITER_CELL + SLEEPER]:
            self._view[WRITER_CELL + SLEEPER] = 0
            self._member.word.wake()

    def _sleep(self, seconds: float) -> None:
        self._audience.sleep(self._written, seconds)

    def _found_free(self) -> bool:
        # No fence between these loads and the stores to a slot that they allow: stores wait for the branch.
        self._free = self._audience.free_slots(self._written)
        return self._free > 0

    def _all_read(self) -> bool:
        return self._audience.most_behind(self._written) <= 0

    def _look(self) -> None:
        self._audience.look(self._written)

    def _look_for_somebody(self) -> None:
        self._look()
        self._audience.need_somebody()

    def _look_now_and_then(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look_for_somebody()


# ==== shared_flag ===========================================================================================

# A flag and a counter in memory that processes share, stored with release and loaded with acquire.
#
# What was stored to shared memory before `store` is seen by whoever has seen the stored value: `store` puts a fence
# before its store, `load` one behind its load (`memory_fence`).
#
# Both wait for single bytes alone. A byte is never seen half stored, whatever the CPU, the compiler and the interpreter
# do. Of wider stores Python promises nothing: `struct.pack_into` fills its place with zeros first, slices are copied by
# whatever `memmove` does, and `memoryview.cast("Q")` is one instruction only because today's compilers make it one.

_COUNTER_WIDTH = 8


class SharedFlag:
    """One byte of a shared buffer as a flag: a value from 0 to 255, zero in a fresh segment.

    `buffer` is any writable buffer of bytes, such as `SharedMemory.buf` or an `mmap`; `offset` says which of its bytes.
    Each process makes its own `SharedFlag` over its own mapping. Any process may store; where several do, the last
    store stays. A process that is killed leaves the flag as it was before its store or as it is after.
    """

    nbytes = 1

    def __init__(self, buffer: Any, offset: int = 0) -> None:
        self._bytes = _window(buffer, offset, self.nbytes, "SharedFlag")

    def store(self, value: int) -> None:
        """Store a value with release: who loads it sees all that this thread has stored before.

        Raises ValueError when it is not within 0 to 255, TypeError when it is no int.
        """
        value = _flag_value(value)
        memory_fence()
        self._bytes[0] = value

    def load(self) -> int:
        """The value, with acquire: what was stored before it is seen by whatever this thread loads next."""
        value = self._bytes[0]
        memory_fence()
        return value

    def set(self) -> None:
        """Store 1."""
        self.store(1)

    def clear(self) -> None:
        """Store 0."""
        self.store(0)

    def is_set(self) -> bool:
        """Whether the value is not 0."""
        return self.load() != 0

    def wait(
        self, value: int = 1, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        """Wait until the flag holds `value`. A value that comes and goes between two looks is missed.

        Raises TimeoutError after `timeout` seconds, None for no limit; it says what the flag holds. Raises ValueError
        for a value that no flag holds.
        """
        value = _flag_value(value)
        if not wait_until(lambda: self.load() == value, timeout, busy_seconds=busy_seconds):
            raise self._late(value, timeout)

    async def wait_async(
        self, value: int = 1, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        """`wait` for asyncio; other tasks run meanwhile."""
        value = _flag_value(value)
        if not await wait_until_async(lambda: self.load() == value, timeout, busy_seconds=busy_seconds):
            raise self._late(value, timeout)

    def _late(self, value: int, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"the flag did not become {value} within {timeout:g} s; it holds {self._bytes[0]}"
        )


class SharedCounter:
    """Seventeen bytes of a shared buffer as a counter from 0 to 2**64 - 1, zero in a fresh segment.

    One process stores, any number loads. A load never gives a mixture of two values, and a writer that is killed at any
    step leaves the value from before or the one from after. There are two copies of eight bytes and a byte that counts
    stores: its lowest bit tells which copy holds. A store writes the other copy, then counts. A load that the counting
    byte has changed under begins again; it would be fooled only by exactly 256 stores, or a multiple, between two of
    its steps.
    """

    nbytes = 1 + 2 * _COUNTER_WIDTH

    def __init__(self, buffer: Any, offset: int = 0) -> None:
        self._bytes = _window(buffer, offset, self.nbytes, "SharedCounter")

    def store(self, value: int) -> None:
        """Store a value with release: who loads it sees all that this thread has stored before.

        Raises ValueError when it is not within 0 to 2**64 - 1, TypeError when it is no int.
        """
        value = _whole(value, "SharedCounter")
        if not 0 <= value < 2 ** (8 * _COUNTER_WIDTH):
            raise ValueError(f"a SharedCounter holds 0 to 2**64 - 1, not {value}")
        data = value.to_bytes(_COUNTER_WIDTH, "little")
        stores = (self._bytes[0] + 1) % 256
        start = _copy_start(stores)
        # The copy was the valid one until the last store; that store has to be seen before this copy changes.
        memory_fence()
        self._bytes[start : start + _COUNTER_WIDTH] = data
        memory_fence()
        self._bytes[0] = stores

    def add(self, amount: int = 1) -> int:
        """Store the value plus `amount`, and return it. Not atomic: only the one process that stores may add."""
        value = self.load() + amount
        self.store(value)
        return value

    def load(self) -> int:
        """The value, with acquire: what was stored before it is seen by whatever this thread loads next."""
        while True:
            stores = self._bytes[0]
            start = _copy_start(stores)
            memory_fence()
            data = bytes(self._bytes[start : start + _COUNTER_WIDTH])
            memory_fence()
            if self._bytes[0] == stores:
                return int.from_bytes(data, "little")

    def wait(self, at_least: int, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS) -> int:
        """Wait until the counter holds at least `at_least`, and return what it holds.

        Raises TimeoutError after `timeout` seconds, None for no limit; it says what the counter holds.
        """
        at_least = _whole(at_least, "SharedCounter")
        if not wait_until(lambda: self.load() >= at_least, timeout, busy_seconds=busy_seconds):
            raise self._late(at_least, timeout)
        return self.load()

    async def wait_async(
        self, at_least: int, timeout: float | None = None, *, busy_seconds: float = BUSY_SECONDS
    ) -> int:
        """`wait` for asyncio; other tasks run meanwhile."""
        at_least = _whole(at_least, "SharedCounter")
        if not await wait_until_async(lambda: self.load() >= at_least, timeout, busy_seconds=busy_seconds):
            raise self._late(at_least, timeout)
        return self.load()

    def _late(self, at_least: int, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"the counter did not reach {at_least} within {timeout:g} s; it holds {self.load()}"
        )


def _copy_start(stores: int) -> int:
    return 1 + _COUNTER_WIDTH * (stores & 1)


def _flag_value(value: int) -> int:
    value = _whole(value, "SharedFlag")
    if not 0 <= value <= 255:
        raise ValueError(f"a SharedFlag holds 0 to 255, not {value}; SharedCounter holds more")
    return value


def _whole(value: int, what: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"a {what} holds an int, not {value!r}") from None


def _window(buffer: Any, offset: int, size: int, what: str) -> memoryview:
    """The bytes of a flag. What is a view already is sliced as it is, since a model of memory may stand for it."""
    view: memoryview = buffer if hasattr(buffer, "readonly") else memoryview(buffer)
    if view.readonly or view.itemsize != 1:
        raise TypeError(f"{what} needs a writable buffer of bytes")
    if not 0 <= offset <= len(view) - size:
        raise ValueError(f"{what} takes {size} bytes at offset {offset}; the buffer has {len(view)}")
    return view[offset : offset + size]


# ==== shm_ring ==============================================================================================

# A ring of messages in shared memory: one writer, many readers, and nobody waits for the dead.
#
# Every reader gets every message, in order. There are as many places for readers as the ring was made with, and messages
# stay until all who are expected there have read them; so it does not matter who comes first. What is promised when whom
# is killed stands in docs/guarantees/order.md.
#
# The shape of the bug that it replaces: a ring whose flags are ordered by no fence and whose waits end only when the peer
# is there (https://github.com/vllm-project/vllm/pull/29819).

class ShmRing:
    """A ring, known by its name; only the name travels when it is pickled.

    with ShmRing.create(readers=2) as ring:
        start_two_processes(ring)
        with ring.writer() as writer:
            writer.send({"step": 1})
            writer.flush()

    # in the processes
    with ring.reader(rank) as reader:
        for message in reader:
            ...
    """

    def __init__(self, name: str) -> None:
        """A ring that another process has made. Whether it is there shows when an end of it is opened."""
        self.name = name
        self._creator = -1
        self._segment: Segment | None = None

    @classmethod
    def create(
        cls, readers: int, *, slots: int = 16, slot_bytes: int = 1 << 16, label: str = "ring"
    ) -> ShmRing:
        """Make a ring; this process owns its memory, and as a context manager removes it.

        It takes a little more than `slots * slot_bytes` bytes of /dev/shm, reserved at once. A message that is longer
        than a slot takes a segment of its own.

        Args:
            readers: places for readers, ranks 0 to `readers - 1`.
            slots: messages that may be under way before the writer waits, up to 128.
            slot_bytes: the longest message in bytes that a slot holds by itself, 128 or more.
            label: part of the name.

        Raises:
            TypeError: for measures that are no ints.
            ValueError: for measures that make no ring.
            OSError: there is not so much memory, or this is not Linux.
        """
        for what, value in (("readers", readers), ("slots", slots), ("slot_bytes", slot_bytes)):
            _need_int(what, value)
        layout = RingLayout(readers, slots, slot_bytes)
        segment = create(layout.size, label)
        ring = cls(segment.name)
        ring._segment, ring._creator = segment, os.getpid()
        layout.store(segment.buf)
        return ring

    def writer(self, *, drop_dead_readers: bool = False, busy_seconds: float = 0) -> RingWriter:
        """Open the writing end, in the process that is to write; once for a ring.

        `drop_dead_readers` goes on without readers that have died or failed, instead of raising PeerDiedError.
        `busy_seconds` is how long a wait for a free slot looks again and again before it sleeps until it is woken.

        Raises:
            FileNotFoundError: the ring has been removed.
            ConnectionError: it has, or has had, a writer.
            ValueError: there is no ring under that name.
            OSError: this is not Linux.
        """
        return RingWriter(self.name, drop_dead_readers=drop_dead_readers, busy_seconds=busy_seconds)

    def reader(self, rank: int, *, busy_seconds: float = BUSY_SECONDS) -> RingReader:
        """Open a reading end, in the process that is to read.

        The first reader of a rank finds all messages from the first one on. One that comes after another has closed, or
        was dropped, finds what is written from then on.

        `busy_seconds` is how long a wait for a message looks again and again, yielding the CPU, before it sleeps until
        it is woken; longer pays where CPUs have nothing else to do and microseconds matter. Where yielding shows that
        others want the CPU, it sleeps at once.

        Raises:
            FileNotFoundError: the ring has been removed.
            ConnectionError: there is a reader of that rank, or one was lost and is not dropped yet.
            TypeError: for a rank that is no int.
            ValueError: for a rank that the ring does not have, or where there is no ring under that name.
            OSError: this is not Linux.
        """
        _need_int("rank", rank)
        return RingReader(self.name, rank, busy_seconds=busy_seconds)

    def unlink(self) -> None:
        """Remove the ring, and long messages that nobody has come to; for its owner, elsewhere nothing happens.

        Ends that are open go on with what they have mapped. Flush the writer before, or wait for the readers to end.
        """
        segment, self._segment = self._segment, None
        if segment is None or self._creator != os.getpid():
            return
        layout = RingLayout.load(segment.buf, self.name)
        for slot in range(layout.slots):
            start = layout.slot_start(slot)
            kind, length, _ = struct.unpack_from(SLOT_HEADER, segment.buf, start)
            if kind >= OVERFLOWED:
                body = start + SLOT_HEADER_SIZE
                remove_overflow(bytes(segment.buf[body : body + length]))
        segment.unlink()
        segment.close()

    def __enter__(self) -> ShmRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlink()

    def __reduce__(self) -> tuple[Any, ...]:
        return ShmRing, (self.name,)


def _need_int(what: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"ShmRing: {what} is an int, not {value!r}")


# ==== update_locks ==========================================================================================

# Locks between requests and updates of what they use, which know that requests can be paused.
#
# A server that replaces a model's weights waits until no request runs. If it has paused them, they run no more and end
# only after it resumes: then it must not wait. The bug (RS204) is to read the flag under one lock, to release that, and
# then to take the other lock or leave it: a resume in between lets requests run while the weights are replaced. Here one
# lock knows both, and an update that was let in because of a pause holds the pause: `resume` waits for it.
#
#     lock = AsyncUpdateLock()
#
#     async with lock.request():          # waits while paused, or while an update runs or waits
#         answer = await engine.generate(prompt)
#
#     async with lock.update() as paused: # alone, or, when paused, beside the requests that are
#         await engine.load(weights)
#
#     lock.pause(); …; await lock.resume()
#
# Turns are granted in the order in which they were asked for (`update_turns`): neither requests nor updates starve.

class UpdateLock:
    """For threads. Every wait takes a timeout in seconds, None or infinity for none, and raises TimeoutError; a turn
    that was waited for in vain is not kept. A timeout below 0, or NaN, is a ValueError, and nothing is asked for."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._turns = UpdateTurns()

    @property
    def paused(self) -> bool:
        """Whether requests are paused. It may change at once: decide by what `update` tells."""
        return self._turns.paused

    @contextlib.contextmanager
    def request(self, timeout: float | None = None) -> Iterator[None]:
        """Run beside other requests, when nothing is paused and no update runs or waits.

        Within a request of the same thread it is let in first; within its own update it raises RuntimeError.
        """
        turn = self._turn("request", timeout)
        try:
            yield
        finally:
            self._give_back(turn)

    @contextlib.contextmanager
    def update(self, timeout: float | None = None) -> Iterator[bool]:
        """Run while no other update runs, and no request runs or all are paused; tells whether they are paused.

        If they are at the entry, they are until the end: `resume` waits. Within a request or an update of the same
        thread it raises RuntimeError.
        """
        turn = self._turn("update", timeout)
        try:
            yield turn.paused
        finally:
            self._give_back(turn)

    def pause(self) -> None:
        """Let no request in until `resume`, and updates without waiting for requests that run. It does not wait, and
        stops nothing: requests that run must have been stopped, or be bound to stop before an update reaches them."""
        with self._mutex:
            self._turns.pause()

    def resume(self, timeout: float | None = None) -> None:
        """Let requests in again, when updates that were asked for before are done; at once when nothing is paused.

        It is carried out even if the wait for it ends by TimeoutError, unless `pause` is called before. Within an
        update of the same thread it raises RuntimeError.
        """
        self._turn("resume", timeout)

    def _turn(self, kind: Literal["request", "update", "resume"], timeout: float | None) -> Turn:
        limit = checked_timeout(timeout)
        turn = Turn(kind, threading.get_ident())
        with self._mutex:
            self._turns.ask(turn)
            if turn.granted:
                return turn
            granted = threading.Event()
            turn.grant = granted.set
        try:
            if not granted.wait(limit):
                raise TimeoutError(f"{kind}() was not let in within {timeout:g} s")
        except BaseException:
            if kind != "resume":
                self._give_back(turn)
            raise
        return turn

    def _give_back(self, turn: Turn) -> None:
        with self._mutex:
            self._turns.give_back(turn)


class AsyncUpdateLock:
    """For the tasks of one event loop. Any wait may be cancelled; giving back never waits, so that a task that is
    cancelled inside gives back too. For a timeout use `asyncio.timeout` or `asyncio.wait_for`."""

    def __init__(self) -> None:
        self._turns = UpdateTurns()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def paused(self) -> bool:
        """Whether requests are paused. It may change at the next await: decide by what `update` tells."""
        return self._turns.paused

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Run beside other requests, when nothing is paused and no update runs or waits.

        Within a request of the same task it is let in first; within its own update it raises RuntimeError. A task that
        a request starts and waits for must not ask for one of its own: it would queue behind an update that waits for
        the request.
        """
        turn = await self._turn("request")
        try:
            yield
        finally:
            self._turns.give_back(turn)

    @contextlib.asynccontextmanager
    async def update(self) -> AsyncIterator[bool]:
        """Run while no other update runs, and no request runs or all are paused; tells whether they are paused.

        If they are at the entry, they are until the end: `resume` waits. Within a request or an update of the same
        task it raises RuntimeError.
        """
        turn = await self._turn("update")
        try:
            yield turn.paused
        finally:
            self._turns.give_back(turn)

    def pause(self) -> None:
        """Let no request in until `resume`, and updates without waiting for requests that run. It does not wait, and
        stops nothing: requests that run must have been stopped, or be bound to stop before an update reaches them."""
        self._turns.pause()

    async def resume(self) -> None:
        """Let requests in again, when updates that were asked for before are done; at once when nothing is paused.

        It is carried out even if the task is cancelled while it waits, unless `pause` is called before. Within an
        update of the same task it raises RuntimeError.
        """
        await self._turn("resume")

    async def _turn(self, kind: Literal["request", "update", "resume"]) -> Turn:
        import asyncio

        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise RuntimeError("an AsyncUpdateLock belongs to the event loop in which it was first used")
        self._loop = loop
        turn = Turn(kind, asyncio.current_task())
        self._turns.ask(turn)
        if turn.granted:
            return turn
        granted: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not granted.done():  # it is when the task was cancelled and has not learned of it yet
                granted.set_result(None)

        turn.grant = wake
        try:
            await granted
        except BaseException:
            if kind != "resume":
                self._turns.give_back(turn)
            raise
        return turn

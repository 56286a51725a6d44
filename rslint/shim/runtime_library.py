# rslint-runtime 0.1.0 in one file (sha256 b0557b397ecff7c7)
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

"""What a distributed program needs so that one rank's failure reaches every rank instead of hanging them, and so that
what one process writes to shared memory is read in order by another."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import platform
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = [
    "PeerError",
    "agree",
    "broadcast_result",
    "memory_fence",
    "pairs_needed",
    "rank_guard",
]

# ==== collectives ===========================================================================================

# Collectives that a failing rank still takes part in, so that its peers learn of the failure instead of
# waiting.
#
# The shape of the bug they replace: `broadcast_object_list([client.start()])`, where `client.start()` raises on
# rank 0 and the peers wait in the broadcast until the group's timeout
# (https://github.com/alibaba/tair-kvcache/pull/102).
#
# torch is imported only when a process may have an initialised process group, and NumPy is never used: bytes
# travel in uint8 tensors over memory that Python owns.

T = TypeVar("T")

# First byte of what broadcast_result carries: whether the rest is the value or a _Failure.
_PRODUCED = b"\x00"
_FAILED = b"\x01"


class PeerError(Exception):
    """Another rank failed, and this rank learned of it through a collective.

    The instance raised is also an instance of the type raised on the failing rank (or of its nearest base
    that can be imported here), so `except ConnectionError` catches it on every rank.

    Attributes:
        rank: global rank that failed.
        error_type: qualified name of the exception raised there.
        text: `str()` of that exception.
        traceback_text: the failing rank's traceback, causes and contexts included.
    """

    rank: int = -1
    error_type: str = ""
    text: str = ""
    traceback_text: str = ""
    _failure: _Failure | None = None

    def __str__(self) -> str:
        if self._failure is None:
            return super().__str__()
        summary = f"rank {self.rank} raised {self.error_type}: {self.text}"
        return f"{summary}\n--- traceback of rank {self.rank} ---\n{self.traceback_text.rstrip()}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made per type and cannot be found by name, so a copy is rebuilt from the failure.
        if self._failure is None:
            return (type(self), self.args)
        return (_peer_error, (self._failure,))


@dataclass(frozen=True)
class _Failure:
    """An exception in a form that every peer can read, whatever it can import."""

    rank: int
    bases: tuple[tuple[str, str], ...]
    text: str
    traceback_text: str
    pickled: bytes | None


def broadcast_result(produce: Callable[[], T], src: int, group: ProcessGroup | None = None) -> T:
    """Run `produce` on rank `src` and return its value on every rank of `group`, or raise on every rank.

    It takes the two broadcasts that `torch.distributed.broadcast_object_list` takes, and no more. The value
    must be picklable; a failure to pickle it is a failure of the source like any other. The source returns
    the very object it produced, peers a copy. Without an initialised process group, or on a group of one,
    `produce` is simply called.

    Not covered: a peer that cannot *unpickle* the value raises alone, after the collectives have finished.

    Args:
        produce: called on `src` only, with no arguments.
        src: global rank of the source, as in torch.
        group: a group that accepts CPU tensors, the default group if None.

    Raises:
        ValueError: on every rank that calls it, when `src` or the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
        PeerError: on the peers, when `produce` or pickling failed on `src`; the source raises its own
        exception.
    """
    if not _initialised():
        return produce()
    import torch.distributed as dist

    ranks = _members(group)
    if src not in ranks:
        raise ValueError(f"broadcast_result: src={src} is not a member of the group with ranks {list(ranks)}")
    if len(ranks) == 1:
        return produce()
    if dist.get_rank() != src:
        received = memoryview(_broadcast_bytes(None, src, group))
        if received[:1] == _FAILED:
            failure = cast(_Failure, pickle.loads(received[1:]))
            raise _peer_error(failure) from _unpickled(failure)
        return cast(T, pickle.loads(received[1:]))
    try:
        value = produce()
        payload = _PRODUCED + pickle.dumps(value)
    except BaseException as error:
        # BaseException: a SystemExit here would leave the peers in the broadcast just as well.
        _broadcast_bytes(_FAILED + pickle.dumps(_describe(error, src)), src, group)
        raise
    _broadcast_bytes(payload, src, group)
    return value


@contextlib.contextmanager
def rank_guard(group: ProcessGroup | None = None) -> Iterator[None]:
    """Leave the block together: if it raises on any rank of `group`, it raises on all of them.

    Every rank must enter and leave the block. Leaving costs one all_reduce of one integer, and after a
    failure two broadcasts of its description. Ranks that failed raise their own exception, the others a
    `PeerError` of the type raised on the lowest failing rank.

    A collective *inside* the block, behind something that may raise, is still a hang (RS101): the failing
    rank goes straight to the guard's exit while its peers wait in that collective. Guard what comes before a
    collective, and put the collective after the block::

        with rank_guard(group):
            data = read_shard(rank)        # may raise on one rank
        dist.all_reduce(data, group=group)  # every rank is here, or none

    Raises:
        ValueError: when the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
        PeerError: on ranks whose own block succeeded while another rank's failed.
    """
    if not _initialised():
        yield
        return
    ranks = _members(group)
    own: BaseException | None = None
    try:
        yield
    except BaseException as error:
        own = error
    failed = _lowest_failing(own is not None, ranks, group)
    if failed is None:
        return
    import torch.distributed as dist

    if dist.get_rank() == failed:
        assert own is not None
        _broadcast_bytes(pickle.dumps(_describe(own, failed)), failed, group)
        raise own
    described = _broadcast_bytes(None, failed, group)
    if own is not None:
        raise own
    failure = cast(_Failure, pickle.loads(described))
    raise _peer_error(failure) from _unpickled(failure)


def agree(ok: bool, group: ProcessGroup | None = None) -> bool:
    """Return on every rank of `group` whether `ok` was true on all of them; one all_reduce of one integer.

    Raises:
        ValueError: when the caller is no member of `group`.
        RuntimeError: when the group's backend takes no CPU tensors.
    """
    if not _initialised():
        return bool(ok)
    ranks = _members(group)
    return _lowest_failing(not ok, ranks, group) is None


def _initialised() -> bool:
    # A process that never imported torch.distributed cannot have initialised a group.
    if "torch.distributed" not in sys.modules:
        return False
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def _members(group: ProcessGroup | None) -> tuple[int, ...]:
    """The group's global ranks; refuses callers outside it and backends that would refuse our tensors."""
    import torch
    import torch.distributed as dist

    if dist.get_rank(group) < 0:
        raise ValueError(f"rank {dist.get_rank()} is not a member of the process group it was called with")
    resolved = dist.group.WORLD if group is None else group
    assert resolved is not None
    if torch.device("cpu") not in resolved._device_types:
        raise RuntimeError(
            f"the process group (backend {dist.get_backend(resolved)}) takes no CPU tensors; pass a CPU "
            'group, for example group=torch.distributed.new_group(ranks, backend="gloo")'
        )
    return tuple(dist.get_process_group_ranks(resolved))


def _lowest_failing(failed: bool, ranks: tuple[int, ...], group: ProcessGroup | None) -> int | None:
    """The first rank in group order with `failed`, known to all; None when there is none."""
    import torch
    import torch.distributed as dist

    position = dist.get_rank(group) if failed else len(ranks)
    lowest = torch.tensor([position], dtype=torch.int64)
    dist.all_reduce(lowest, op=dist.ReduceOp.MIN, group=group)
    found = int(lowest.item())
    return None if found == len(ranks) else ranks[found]


def _broadcast_bytes(payload: bytes | None, src: int, group: ProcessGroup | None) -> bytearray:
    """Carry the source's bytes to every rank: their number first, then the bytes; peers pass None."""
    import torch
    import torch.distributed as dist

    size = torch.tensor([0 if payload is None else len(payload)], dtype=torch.int64)
    dist.broadcast(size, src=src, group=group)
    buffer = bytearray(int(size.item())) if payload is None else bytearray(payload)
    dist.broadcast(torch.frombuffer(buffer, dtype=torch.uint8), src=src, group=group)
    return buffer


def _describe(error: BaseException, rank: int) -> _Failure:
    try:
        text = str(error)
    except Exception as unprintable:
        text = f"<no text: {type(unprintable).__name__}>"
    return _Failure(
        rank=rank,
        bases=tuple((base.__module__, base.__qualname__) for base in type(error).__mro__),
        text=text,
        traceback_text="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        pickled=_round_tripped(error),
    )


def _round_tripped(error: BaseException) -> bytes | None:
    """The pickled exception, if it also unpickles: many define an `__init__` that pickle cannot repeat."""
    try:
        pickled = pickle.dumps(error)
        copy = pickle.loads(pickled)
    except Exception:
        return None
    return pickled if type(copy) is type(error) else None


def _unpickled(failure: _Failure) -> BaseException | None:
    if failure.pickled is None:
        return None
    try:
        copy = pickle.loads(failure.pickled)
    except Exception:
        return None  # the type lives in a module that only the failing rank has
    return copy if isinstance(copy, BaseException) else None


def _peer_error(failure: _Failure) -> BaseException:
    """A PeerError that is also of the failing rank's type, or of its nearest base that can be combined."""
    original = _unpickled(failure)
    for module, qualname in failure.bases:
        base = _exception_type(module, qualname)
        if base is None:
            continue
        try:
            namespace = {"__module__": PeerError.__module__, "__init__": _no_arguments}
            combined: Any = type("PeerError", (PeerError, base), namespace)
            return _filled(combined(), original, failure)
        except Exception:
            continue  # the type refuses a second base or an instance without its own arguments
    return _filled(PeerError(failure.text), original, failure)


def _no_arguments(self: PeerError) -> None:
    """Stands in for the original type's `__init__`, whose arguments are not known."""


def _exception_type(module: str, qualname: str) -> type[BaseException] | None:
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception:
        return None
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    return None


def _filled(error: PeerError, original: BaseException | None, failure: _Failure) -> PeerError:
    error.args = (failure.text,)
    if original is not None:
        error.args = original.args
        error.__dict__.update(original.__dict__)
        # Fields that OSError, SystemExit, UnicodeError … keep outside of __dict__ and handlers look at.
        for name in ("errno", "strerror", "filename", "filename2", "code", "value", "name", "path", "msg"):
            if hasattr(original, name) and hasattr(type(error), name):
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(error, name, getattr(original, name))
    error.rank = failure.rank
    module, qualname = failure.bases[0]
    error.error_type = qualname if module == "builtins" else f"{module}.{qualname}"
    error.text = failure.text
    error.traceback_text = failure.traceback_text
    error._failure = failure
    return error


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

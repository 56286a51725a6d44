"""Collectives that a failing rank still takes part in, so that its peers learn of the failure instead of waiting.

The shape of the bug they replace: `broadcast_object_list([client.start()])`, where `client.start()` raises on rank 0
and the peers wait in the broadcast until the group's timeout (https://github.com/alibaba/tair-kvcache/pull/102).

What all of them promise, and what they do not:

- As long as every rank of the group calls them in the same order and no process dies, none of them waits for ever
  because of an exception, SystemExit and KeyboardInterrupt included.
- The rank that failed raises its own exception, the others a `PeerError`. That is also of the type that was raised, if
  that is an `Exception`, so handlers that stood there before still match.
- An interrupt (Ctrl-C) that comes while a rank waits in one of these collectives is raised when the collective is over.
- Where a process dies, the backend of the group has to notice: gloo raises an error on the ranks that wait for it.
- Calls from several threads on one group take place one after the other, as they came. Threads with a group each do not
  wait for each other. A thread takes its call to the end even if the coroutine that waited for it has been cancelled.

Each of these with the test that shows it, and how to call them from asyncio: docs/guarantees/collectives.md.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rslint_runtime.byte_transport import (
    Message,
    broadcast_message,
    first_failing,
    gather_messages,
    pickled_bytes,
)
from rslint_runtime.peer_error import describe_failure, raise_for_peer
from rslint_runtime.process_groups import Carrier, carrier_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["agree", "broadcast_result", "gather_results", "rank_guard"]

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

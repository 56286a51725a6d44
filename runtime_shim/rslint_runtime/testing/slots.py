"""What each rank of a run has announced so far, and what follows from it: its state, its waits, how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rslint_runtime.testing import proof, wire
from rslint_runtime.testing.proof import RankState, ThreadState
from rslint_runtime.testing.records import Collective, DeadThread, Group, Wait


@dataclass
class Slot:
    """What one rank has announced so far."""

    threads: dict[int, ThreadState] = field(default_factory=dict)
    operations: dict[int, Collective] = field(default_factory=dict)
    entered: dict[tuple[Group, str], int] = field(default_factory=dict)
    # By thread, the operation it is handing to torch, which may still refuse it.
    announced: dict[int, Collective] = field(default_factory=dict)
    ready: bool = False
    ended: wire.Ended | None = None
    status: int | None = None
    looked: wire.Looked | None = None
    looked_before: wire.Looked | None = None
    answered: int = 0
    stacks: str | None = None
    dead_threads: list[DeadThread] = field(default_factory=list)


def note_thread(slot: Slot, message: Any) -> None:
    """Take what a rank announces about one of its threads."""
    if isinstance(message, wire.Waiting):
        name = slot.threads[message.thread].name
        slot.announced.pop(message.thread, None)
        slot.threads[message.thread] = ThreadState(
            name, "waiting", slot.operations[message.number], message.timed
        )
    elif isinstance(message, wire.Resumed):
        slot.threads[message.thread] = ThreadState(slot.threads[message.thread].name, "running")
    elif isinstance(message, wire.ThreadStarted):
        if message.replaces is not None:
            slot.threads.pop(message.replaces, None)
        slot.threads[message.thread] = ThreadState(message.name, "running")
    elif isinstance(message, wire.ThreadEnded):
        thread = slot.threads.pop(message.thread, None)
        if message.error is not None and thread is not None:
            slot.dead_threads.append(DeadThread(thread.name, message.error))
    elif isinstance(message, wire.Ready):
        slot.ready = True
        slot.threads[message.thread] = ThreadState("MainThread", "running")


def snapshot(slots: Mapping[int, Slot]) -> dict[int, RankState]:
    """All ranks as the proof wants them."""
    return {
        rank: RankState(
            ended=slot.ended is not None or slot.status is not None,
            threads=_seen_threads(slot),
            entered=dict(slot.entered),
        )
        for rank, slot in slots.items()
    }


def waits(slots: Mapping[int, Slot]) -> tuple[Wait, ...]:
    """Every thread that waits in a collective, and whom it misses."""
    ranks = snapshot(slots)
    found: list[Wait] = []
    for rank, state in ranks.items():
        for thread in state.threads:
            if thread.collective is None or state.ended:
                continue
            missing = proof.missing(thread.collective, ranks, any_algorithm=False)
            reasons = tuple((peer, ending(slots[peer])) for peer in missing)
            found.append(Wait(rank, thread.name, thread.collective, reasons))
    return tuple(found)


def ending(slot: Slot) -> str:
    """How far the rank came, in a few words."""
    if slot.ended is not None:
        return f"raised {failure(slot)}" if failure(slot) else "ended"
    if slot.status is not None:
        return death(slot.status)
    collectives = [thread.collective for thread in _seen_threads(slot) if thread.collective is not None]
    return f"waits in {collectives[0]}" if collectives else "running"


def failure(slot: Slot) -> str:
    """The exception that left the function on this rank, in one line; "" if none did."""
    return str(slot.ended.error) if slot.ended is not None and slot.ended.error is not None else ""


def death(status: int) -> str:
    """A wait status in words."""
    if not os.WIFSIGNALED(status):
        return f"exited with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    names = {known.value: known.name for known in signal.Signals}
    return f"was killed by signal {number}" + (f" ({names[number]})" if number in names else "")


def _seen_threads(slot: Slot) -> tuple[ThreadState, ...]:
    """The announced threads, marked those found blocked inside the process twice and not scheduled between.

    Until the rank has answered, and when it has threads that were not started through `threading`, something
    unannounced may be running in it.
    """
    before, now = slot.looked_before, slot.looked
    if before is None or now is None or now.unknown:
        return (*slot.threads.values(), ThreadState("not announced", "running"))
    blocked = {ident for ident, _ in set(before.blocked) & set(now.blocked)}
    inside_torch = {
        ident: [slot.operations[number] for number in numbers]
        for ident, _, numbers in set(before.inside_torch) & set(now.inside_torch)
    }
    return tuple(
        _as_found(thread, ident in blocked, inside_torch.get(ident, []))
        for ident, thread in slot.threads.items()
    )


def _as_found(thread: ThreadState, blocked: bool, unfinished: list[Collective]) -> ThreadState:
    if thread.status != "running":
        return thread
    if unfinished:
        first, *others = unfinished
        return replace(thread, status="waiting", collective=first, inferred=True, others=tuple(others))
    return replace(thread, status="blocked") if blocked else thread

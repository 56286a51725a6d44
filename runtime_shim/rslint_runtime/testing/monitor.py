"""Follows what the ranks of a run announce and decides how the run went.

Each thread of each rank has a slot that says what it is doing, and each rank a version that every
announcement advances. A deadlock counts as proven when two examinations with the same versions find the same
ranks unable to move (`rslint_runtime.testing.proof`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rslint_runtime.testing import proof, wire
from rslint_runtime.testing.proof import RankState, ThreadState
from rslint_runtime.testing.records import Collective, Group, Outcome, RunResult, Wait


@dataclass
class _Rank:
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


class Monitor:
    """The state of one run, as far as its ranks have announced it."""

    def __init__(self, world_size: int, fault_count: int) -> None:
        self.version = 0
        self.not_loaded: tuple[int, wire.NotLoaded] | None = None
        self._ranks = {rank: _Rank() for rank in range(world_size)}
        self._unfired = set(range(fault_count))
        self._uncalled = set(range(fault_count))
        self._met_unknown_thread = False
        self._outcome: Outcome | None = None
        self._detail = ""
        self._deadlocked: frozenset[int] = frozenset()
        self._suspects: tuple[int, frozenset[int]] | None = None
        self._parted: tuple[tuple[int, Collective], tuple[int, Collective]] | None = None
        self._first_at: dict[tuple[Group, int], tuple[int, Collective]] = {}

    def rank_says(self, rank: int, message: Any) -> None:
        """Take one announcement of a rank."""
        state = self._ranks[rank]
        if isinstance(message, wire.Looked):
            state.looked_before, state.looked = state.looked, message
            if message.unknown:
                # What it enters is not announced, and whom it wakes needs time to say so.
                self.version += 1
                self._met_unknown_thread = True
            return
        self.version += 1
        state.looked = state.looked_before = None
        if isinstance(message, wire.Entered):
            state.operations[message.number] = message.collective
            state.announced[message.thread] = message.collective
            key = (message.collective.group, message.collective.channel)
            state.entered[key] = message.collective.index
            self._compare(rank, message.collective)
        elif isinstance(message, wire.Withdrawn):
            collective = state.operations.pop(message.number)
            state.entered[(collective.group, collective.channel)] -= 1
            state.announced = {at: last for at, last in state.announced.items() if last is not collective}
            self._withdraw(rank, collective)
        elif isinstance(message, wire.Waiting):
            thread = state.threads[message.thread]
            collective = state.operations[message.number]
            state.announced.pop(message.thread, None)
            state.threads[message.thread] = ThreadState(thread.name, "waiting", collective, message.timed)
        elif isinstance(message, wire.Resumed):
            state.threads[message.thread] = ThreadState(state.threads[message.thread].name, "running")
        elif isinstance(message, wire.ThreadStarted):
            if message.replaces is not None:
                state.threads.pop(message.replaces, None)
            state.threads[message.thread] = ThreadState(message.name, "running")
        elif isinstance(message, wire.ThreadEnded):
            state.threads.pop(message.thread, None)
        elif isinstance(message, wire.Called):
            self._uncalled.discard(message.fault)
        elif isinstance(message, wire.Fired):
            self._unfired.discard(message.fault)
        elif isinstance(message, wire.Ready):
            state.ready = True
            state.threads[message.thread] = ThreadState("MainThread", "running")
        elif isinstance(message, wire.NotLoaded):
            self.not_loaded = self.not_loaded or (rank, message)
        elif isinstance(message, wire.Ended):
            state.ended = message

    def server_says(self, message: Any) -> None:
        """Take one announcement of the fork server."""
        if isinstance(message, wire.Died):
            self.version += 1
            self._ranks[message.rank].status = message.status

    def all_ready(self) -> bool:
        """Every rank has loaded the program and joined the process group."""
        return all(state.ready for state in self._ranks.values())

    def final(self) -> bool:
        """Nothing can change the verdict any more."""
        return self._outcome == "mismatch" or all(
            state.ended is not None or state.status is not None or rank in self._deadlocked
            for rank, state in self._ranks.items()
        )

    def decided(self) -> bool:
        """There is a verdict, although some ranks may still move."""
        return self._outcome is not None or any(
            state.status is not None and state.ended is None for state in self._ranks.values()
        )

    def worth_a_look(self) -> list[int]:
        """The living ranks, once a thread of the run waits: only they can say what else runs in them."""
        if not any(
            thread.status == "waiting" for state in self._ranks.values() for thread in state.threads.values()
        ):
            return []
        return [rank for rank, state in self._ranks.items() if state.ended is None and state.status is None]

    def examine(self, long_quiet: bool) -> None:
        """Nothing was announced for a while: look for a mismatch, and for ranks that can never move again."""
        if long_quiet or not self._may_be_refused():
            self._settle_mismatch()
        if self._outcome is not None or (self._met_unknown_thread and not long_quiet):
            return
        snapshot = self._snapshot()
        found = proof.deadlocked(snapshot) or (
            proof.deadlocked(snapshot, any_algorithm=False) if long_quiet else frozenset()
        )
        # Ranks that have not reached the program yet have no threads; they are only starting.
        found = frozenset(rank for rank in found if snapshot[rank].threads)
        suspects = (self.version, found)
        if found and suspects == self._suspects:
            self._outcome = "deadlock"
            self._deadlocked = found
            self._detail = "; ".join(str(wait) for wait in self._waits() if wait.rank in found)
        self._suspects = suspects

    def time_is_up(self, run_timeout: bool) -> None:
        """No more will be read."""
        self._settle_mismatch()
        if self._outcome is None and run_timeout and not self.decided():
            self._outcome = "timeout"
            self._detail = (
                "; ".join(str(wait) for wait in self._waits())
                or "no rank waits in a collective that was seen"
            )

    def settle(self) -> None:
        """Decide what is still undecided when the run is over."""
        self._settle_mismatch()
        if self._outcome is not None:
            return
        dead = {
            rank: state.status
            for rank, state in self._ranks.items()
            if state.status is not None and not state.ended
        }
        raised = [rank for rank, state in self._ranks.items() if state.ended and _failure(state.ended)]
        if dead:
            self._outcome = "peer_died"
            self._detail = "; ".join(
                f"rank {rank} {_death(status)}" for rank, status in dead.items() if status is not None
            )
        elif raised:
            self._outcome = "failed"
            self._detail = "; ".join(f"rank {rank}: {_failure(self._ranks[rank].ended)}" for rank in raised)
        else:
            self._outcome = "completed"

    def result(
        self, output: Mapping[int, str], seconds: float, unpickled: Callable[[bytes | None, str], Any]
    ) -> RunResult:
        """The verdict and all that was announced, frozen."""
        assert self._outcome is not None
        ended = {rank: state.ended for rank, state in self._ranks.items() if state.ended is not None}
        return RunResult(
            outcome=self._outcome,
            world_size=len(self._ranks),
            results={
                rank: unpickled(end.value, end.text) for rank, end in ended.items() if end.error is None
            },
            errors={rank: end.error for rank, end in ended.items() if end.error is not None},
            waiting=self._waits(),
            sequences={rank: tuple(state.operations.values()) for rank, state in self._ranks.items()},
            output=output,
            detail=self._detail,
            unfired=tuple(sorted(self._unfired)),
            uncalled=tuple(sorted(self._uncalled)),
            seconds=seconds,
        )

    def _compare(self, rank: int, collective: Collective) -> None:
        if collective.channel or self._parted is not None:
            return
        first_rank, first = self._first_at.setdefault(
            (collective.group, collective.index), (rank, collective)
        )
        if (first.operation, first.signature) != (collective.operation, collective.signature):
            self._parted = ((first_rank, first), (rank, collective))

    def _withdraw(self, rank: int, collective: Collective) -> None:
        if self._first_at.get((collective.group, collective.index)) == (rank, collective):
            del self._first_at[(collective.group, collective.index)]
        if self._parted is not None and (rank, collective) in self._parted:
            self._parted = None

    def _may_be_refused(self) -> bool:
        """Whether torch may still refuse one of the operations that differ."""
        return self._parted is not None and any(
            self._ranks[rank].ended is None and collective in self._ranks[rank].announced.values()
            for rank, collective in self._parted
        )

    def _settle_mismatch(self) -> None:
        if self._parted is None or self._outcome is not None:
            return
        (first_rank, first), (rank, other) = self._parted
        self._outcome = "mismatch"
        self._detail = (
            f"operation {other.index} on {other.group}: "
            f"rank {first_rank} runs {_short(first)} at {first.place}, "
            f"rank {rank} runs {_short(other)} at {other.place}"
        )

    def _snapshot(self) -> dict[int, RankState]:
        return {
            rank: RankState(
                ended=state.ended is not None or state.status is not None,
                threads=_seen_threads(state),
                entered=dict(state.entered),
            )
            for rank, state in self._ranks.items()
        }

    def _waits(self) -> tuple[Wait, ...]:
        snapshot = self._snapshot()
        waits: list[Wait] = []
        for rank, state in snapshot.items():
            for thread in state.threads:
                if thread.collective is None or state.ended:
                    continue
                missing = proof.missing(thread.collective, snapshot, any_algorithm=False)
                reasons = tuple((peer, self._doing(peer)) for peer in missing)
                waits.append(Wait(rank, thread.name, thread.collective, reasons))
        return tuple(waits)

    def _doing(self, rank: int) -> str:
        state = self._ranks[rank]
        if state.ended is not None:
            failure = _failure(state.ended)
            return f"raised {failure}" if failure else "ended"
        if state.status is not None:
            return _death(state.status)
        waits = [str(thread.collective) for thread in state.threads.values() if thread.collective is not None]
        return f"waits in {waits[0]}" if waits else "running"


def _seen_threads(state: _Rank) -> tuple[ThreadState, ...]:
    """The announced threads, marked those found blocked inside the process twice and not scheduled between.

    Until the rank has answered, and when it has threads that were not started through `threading`, something
    unannounced may be running in it.
    """
    before, now = state.looked_before, state.looked
    if before is None or now is None or now.unknown:
        return (*state.threads.values(), ThreadState("not announced", "running"))
    idents = {ident for ident, _ in set(before.blocked) & set(now.blocked)}
    return tuple(
        replace(thread, status="blocked") if thread.status == "running" and ident in idents else thread
        for ident, thread in state.threads.items()
    )


def _short(collective: Collective) -> str:
    return " ".join((collective.operation, *collective.signature))


def _failure(ended: wire.Ended | None) -> str:
    return str(ended.error) if ended is not None and ended.error is not None else ""


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"exited with status {os.WEXITSTATUS(status)}"

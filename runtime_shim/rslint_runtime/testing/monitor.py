"""Follows what the ranks of a run announce and decides how the run went.

Each thread of each rank has a slot that says what it is doing, and each rank a version that every
announcement advances. A deadlock counts as proven when two examinations with the same versions find the same
ranks unable to move (`rslint_runtime.testing.proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from rslint_runtime.testing import proof, slots, wire
from rslint_runtime.testing.records import Collective, Group, Outcome, RunResult, Wait, waits_as_text
from rslint_runtime.testing.slots import Slot


class Monitor:
    """The state of one run, as far as its ranks have announced it."""

    def __init__(self, world_size: int, fault_count: int) -> None:
        self.version = 0
        self.not_loaded: tuple[int, wire.NotLoaded] | None = None
        self._ranks = {rank: Slot() for rank in range(world_size)}
        self._unfired = set(range(fault_count))
        self._uncalled = set(range(fault_count))
        self._met_unknown_thread = False
        self._outcome: Outcome | None = None
        self._detail = ""
        self._deadlocked: frozenset[int] = frozenset()
        # What they waited for when that was found: a rank that is asked where it hangs wakes up to answer.
        self._waits: tuple[Wait, ...] = ()
        self._endings: dict[int, str] = {}
        self._suspects: tuple[int, frozenset[int]] | None = None
        self._parted: tuple[tuple[int, Collective], tuple[int, Collective]] | None = None
        self._first_at: dict[tuple[Group, int], tuple[int, Collective]] = {}

    def rank_says(self, rank: int, message: Any) -> None:
        """Take one announcement of a rank."""
        state = self._ranks[rank]
        if isinstance(message, wire.Looked):
            state.looked_before, state.looked, state.answered = state.looked, message, message.token
            if message.unknown:
                # What it enters is not announced, and whom it wakes needs time to say so.
                self.version += 1
                self._met_unknown_thread = True
            return
        if isinstance(message, wire.Concluded):
            state.stacks = message.stacks
            return
        self.version += 1
        state.looked = state.looked_before = None
        if isinstance(message, (wire.Entered, wire.Withdrawn)):
            self._note_operation(rank, state, message)
        elif isinstance(message, wire.Called):
            self._uncalled.discard(message.fault)
        elif isinstance(message, wire.Fired):
            self._unfired.discard(message.fault)
        elif isinstance(message, wire.NotLoaded):
            self.not_loaded = self.not_loaded or (rank, message)
        elif isinstance(message, wire.Ended):
            state.ended = message
        else:
            slots.note_thread(state, message)

    def _note_operation(self, rank: int, state: Slot, message: wire.Entered | wire.Withdrawn) -> None:
        if isinstance(message, wire.Entered):
            state.operations[message.number] = message.collective
            state.announced[message.thread] = message.collective
            key = (message.collective.group, message.collective.channel)
            state.entered[key] = message.collective.index
            self._compare(rank, message.collective)
        else:
            collective = state.operations.pop(message.number)
            state.entered[(collective.group, collective.channel)] -= 1
            state.announced = {at: last for at, last in state.announced.items() if last is not collective}
            self._withdraw(rank, collective)

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

    def worth_a_look(self, long_quiet: bool) -> list[int]:
        """The living ranks, once a thread of the run waits or may wait: only they can say what runs in them."""
        waits = any(
            thread.status == "waiting" for state in self._ranks.values() for thread in state.threads.values()
        )
        if not waits and not (long_quiet and any(state.operations for state in self._ranks.values())):
            return []
        return self.hanging()

    def answered(self, rank: int) -> int:
        """The token of the last look that the rank has answered, 0 before the first."""
        return self._ranks[rank].answered

    def dead(self) -> dict[int, str]:
        """Ranks whose process has ended, and how."""
        return {
            rank: slots.death(state.status) for rank, state in self._ranks.items() if state.status is not None
        }

    def living(self) -> list[int]:
        """Ranks whose process is there, those that have ended and are parked included."""
        return [rank for rank, state in self._ranks.items() if state.status is None]

    def hanging(self) -> list[int]:
        """Living ranks that have not ended."""
        return [rank for rank in self.living() if self._ranks[rank].ended is None]

    def concluded(self, asked: Collection[int]) -> bool:
        """Whether each of the ranks asked has said where it is, or is gone."""
        return all(
            self._ranks[rank].stacks is not None or self._ranks[rank].status is not None for rank in asked
        )

    def examine(self, long_quiet: bool) -> None:
        """Nothing was announced for a while: look for a mismatch, and for ranks that can never move again."""
        if long_quiet or not self._may_be_refused():
            self._settle_mismatch()
        if self._outcome not in (None, "deadlock") or (self._met_unknown_thread and not long_quiet):
            return
        snapshot = slots.snapshot(self._ranks)
        found = proof.deadlocked(snapshot) or (
            proof.deadlocked(snapshot, any_algorithm=False) if long_quiet else frozenset()
        )
        # Ranks that have not reached the program yet have no threads; they are only starting.
        found = frozenset(rank for rank in found if snapshot[rank].threads)
        suspects = (self.version, found)
        # Ranks answer one after the other: a verdict on some is followed by those on the others.
        if suspects == self._suspects and (added := found - self._deadlocked):
            self._outcome = "deadlock"
            self._deadlocked |= added
            self._waits += tuple(wait for wait in slots.waits(self._ranks) if wait.rank in added)
            self._endings |= {rank: slots.ending(self._ranks[rank]) for rank in added}
            self._detail = "; ".join(waits_as_text(self._waiting()))
        self._suspects = suspects

    def time_is_up(self, run_timeout: bool) -> None:
        """No more will be read."""
        self._settle_mismatch()
        if self._outcome is None and run_timeout and not self.decided():
            self._outcome = "timeout"
            self._detail = self._unfinished()

    def _unfinished(self) -> str:
        """Why the time was not enough, as far as it is known."""
        waits = waits_as_text(slots.waits(self._ranks)) or ["no rank waits in a collective that was seen"]
        raised = [f"rank {rank} raised {failure}" for rank, failure in self._failures()]
        return "; ".join([*waits, *raised])

    def _failures(self) -> list[tuple[int, str]]:
        return [(rank, slots.failure(state)) for rank, state in self._ranks.items() if slots.failure(state)]

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
        raised = self._failures()
        if dead:
            self._outcome = "peer_died"
            self._detail = "; ".join(
                f"rank {rank} {slots.death(status)}" for rank, status in dead.items() if status is not None
            )
        elif raised:
            self._outcome = "failed"
            self._detail = "; ".join(f"rank {rank}: {failure}" for rank, failure in raised)
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
            waiting=self._waiting(),
            sequences={rank: tuple(state.operations.values()) for rank, state in self._ranks.items()},
            output=output,
            detail=self._detail,
            unfired=tuple(sorted(self._unfired)),
            uncalled=tuple(sorted(self._uncalled)),
            seconds=seconds,
            unclaimed={
                rank: tuple(self._ranks[rank].operations[number] for number in end.unclaimed)
                for rank, end in ended.items()
                if end.unclaimed
            },
            stacks={rank: state.stacks for rank, state in self._ranks.items() if state.stacks},
            dead_threads={
                rank: tuple(state.dead_threads) for rank, state in self._ranks.items() if state.dead_threads
            },
            endings={rank: slots.ending(state) for rank, state in self._ranks.items()} | self._endings,
        )

    def _waiting(self) -> tuple[Wait, ...]:
        others = (wait for wait in slots.waits(self._ranks) if wait.rank not in self._deadlocked)
        return tuple(sorted((*self._waits, *others), key=lambda wait: wait.rank))

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
            f"rank {first_rank} runs {first.form} at {first.place}, "
            f"rank {rank} runs {other.form} at {other.place}"
        )

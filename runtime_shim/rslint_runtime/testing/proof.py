"""Decides from a snapshot which ranks can never move again.

Definition. A thread *can move* if it runs, if it waits under a timeout of its own, or if every rank it still
waits for can move. A rank can move if it has not ended and one of its threads can. The set of ranks that can
move is the least fixpoint of that; a rank that has not ended and is not in it is deadlocked. So a rank is
deadlocked when it waits for one that has ended without entering the collective, when it waits for a
deadlocked one, and when several wait for each other in a circle.

Why one snapshot is a proof although ranks are read one after the other: a rank announces an operation before
it runs it, and is deadlocked only if all its threads have announced a wait. Suppose some of the ranks found
deadlocked moves after all, and take the first wait that ends. The peer it was waiting for had announced no
such entry when it was read, so it entered later; it had announced a wait itself, so that wait had ended
before. A contradiction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rslint_runtime.testing.records import Collective, Group


@dataclass(frozen=True)
class ThreadState:
    """A thread: running, waiting in `collective`, or blocked until another thread of its rank acts.

    A wait inside C++ is not announced but inferred from a thread that sleeps (see `blocked`). It is for
    `collective` or for one of the `others`, which of them is not known.
    """

    name: str
    status: Literal["running", "waiting", "blocked"]
    collective: Collective | None = None
    timed: bool = False
    inferred: bool = False
    others: tuple[Collective, ...] = ()


@dataclass(frozen=True)
class RankState:
    """A rank: whether it has ended, its threads, how many operations it entered per group and channel."""

    ended: bool
    threads: tuple[ThreadState, ...]
    entered: Mapping[tuple[Group, str], int]


def deadlocked(ranks: Mapping[int, RankState], *, any_algorithm: bool = True) -> frozenset[int]:
    """The ranks that can never move again.

    With `any_algorithm` only those waits count that every implementation of the collective has (a receiver's
    for the root of its broadcast). Without, also those a backend may have, and waits that are inferred; that is no
    proof by itself, so the caller must have seen that nothing moves.
    """
    movable: set[int] = set()
    while True:
        added = {
            rank
            for rank, state in ranks.items()
            if rank not in movable
            and not state.ended
            and any(_can_move(thread, ranks, movable, any_algorithm) for thread in state.threads)
        }
        if not added:
            return frozenset(rank for rank, state in ranks.items() if not state.ended and rank not in movable)
        movable |= added


def missing(
    collective: Collective, ranks: Mapping[int, RankState], *, any_algorithm: bool = True
) -> tuple[int, ...]:
    """The ranks that `collective` waits for and that have not entered their side of it."""
    awaited = collective.awaits if any_algorithm else collective.awaits + collective.may_await
    key = (collective.group, collective.channel)
    return tuple(peer for peer in awaited if ranks[peer].entered.get(key, 0) < collective.index)


def _can_move(
    thread: ThreadState, ranks: Mapping[int, RankState], movable: set[int], any_algorithm: bool
) -> bool:
    if thread.status != "waiting" or thread.collective is None:
        return thread.status == "running"
    if thread.timed or (thread.inferred and any_algorithm):
        return True
    return any(
        all(peer in movable for peer in missing(collective, ranks, any_algorithm=any_algorithm))
        for collective in (thread.collective, *thread.others)
    )

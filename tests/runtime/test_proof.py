"""The definition of a deadlock, on hand-made snapshots: `rank: [threads]`, and what each rank has entered."""

from __future__ import annotations

from rslint_runtime.testing.proof import RankState, ThreadState, deadlocked
from rslint_runtime.testing.records import Collective, Group

AB, BC, ABC = Group("1", (0, 1)), Group("2", (1, 2)), Group("0", (0, 1, 2))
RUNNING = ThreadState("main", "running")
BLOCKED = ThreadState("main", "blocked")


def in_collective(
    group: Group, index: int, rank: int, *, timed: bool = False, awaits: tuple[int, ...] | None = None
) -> ThreadState:
    others = tuple(member for member in group.ranks if member != rank)
    certain = others if awaits is None else awaits
    possible = tuple(member for member in others if member not in certain)
    collective = Collective("barrier", "barrier", group, "", index, (), certain, possible, "p.py:1")
    return ThreadState("main", "waiting", collective, timed)


def rank(*threads: ThreadState, ended: bool = False, **entered: int) -> RankState:
    names = {"ab": AB, "bc": BC, "abc": ABC}
    return RankState(ended, threads, {(names[name], ""): count for name, count in entered.items()})


def test_a_peer_that_has_ended_without_entering() -> None:
    assert deadlocked({0: rank(in_collective(AB, 1, 0), ab=1), 1: rank(ended=True)}) == {0}


def test_a_peer_that_entered_before_it_ended_is_not_missed() -> None:
    assert not deadlocked({0: rank(in_collective(AB, 1, 0), ab=1), 1: rank(ended=True, ab=1)})


def test_a_running_peer_may_still_come() -> None:
    assert not deadlocked({0: rank(in_collective(AB, 1, 0), ab=1), 1: rank(RUNNING)})


def test_waiting_for_one_that_waits_for_one_that_ended() -> None:
    ranks = {
        0: rank(in_collective(AB, 1, 0), ab=1),
        1: rank(in_collective(BC, 1, 1), bc=1),
        2: rank(ended=True),
    }
    assert deadlocked(ranks) == {0, 1}
    assert not deadlocked({**ranks, 2: rank(RUNNING)})


def test_waiting_for_each_other_in_a_circle() -> None:
    ranks = {
        0: rank(in_collective(AB, 1, 0), ab=1),
        1: rank(in_collective(ABC, 1, 1), abc=1),
        2: rank(abc=1, ended=True),
    }
    assert deadlocked(ranks) == {0, 1}


def test_one_thread_that_can_move_frees_its_rank() -> None:
    stuck = in_collective(AB, 1, 0)
    assert not deadlocked({0: rank(stuck, RUNNING, ab=1), 1: rank(ended=True)})
    assert deadlocked({0: rank(stuck, BLOCKED, ab=1), 1: rank(ended=True)}) == {0}


def test_a_wait_with_its_own_timeout_is_never_a_deadlock() -> None:
    assert not deadlocked({0: rank(in_collective(AB, 1, 0, timed=True), ab=1), 1: rank(ended=True)})


def test_what_only_some_backends_wait_for_is_no_proof_by_itself() -> None:
    ranks = {0: rank(in_collective(AB, 1, 0, awaits=()), ab=1), 1: rank(ended=True)}
    assert not deadlocked(ranks)
    assert deadlocked(ranks, any_algorithm=False) == {0}

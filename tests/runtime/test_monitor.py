"""What the monitor makes of announcements, one after the other, without a process."""

from __future__ import annotations

import pytest
from rslint_runtime.testing import wire
from rslint_runtime.testing.monitor import Monitor
from rslint_runtime.testing.records import Collective, Group

PAIR = Group("0", (0, 1))
MAIN = 1


def entered(operation: str, rank: int) -> wire.Entered:
    peer = (1 - rank,)
    return wire.Entered(MAIN, 1, Collective(operation, operation, PAIR, "", 1, (), peer, (), "p.py:1"))


@pytest.fixture
def parted() -> Monitor:
    """Rank 1 waits in a barrier; rank 0 has announced a broadcast instead, and is handing it to torch."""
    monitor = Monitor(2, 0)
    for rank in range(2):
        monitor.rank_says(rank, wire.Ready(MAIN))
    monitor.rank_says(0, entered("broadcast", 0))
    monitor.rank_says(1, entered("barrier", 1))
    monitor.rank_says(1, wire.Waiting(MAIN, 1, timed=False))
    return monitor


def test_an_operation_that_torch_may_still_refuse_is_no_mismatch(parted: Monitor) -> None:
    parted.examine(long_quiet=False)
    assert not parted.decided()
    parted.rank_says(0, wire.Withdrawn(1))
    parted.examine(long_quiet=True)
    assert not parted.decided()


def test_a_mismatch_is_certain_once_the_rank_waits(parted: Monitor) -> None:
    parted.rank_says(0, wire.Waiting(MAIN, 1, timed=False))
    parted.examine(long_quiet=False)
    assert parted.final()


def test_a_mismatch_is_certain_once_the_rank_has_ended(parted: Monitor) -> None:
    parted.rank_says(0, wire.Ended(None, "", None))
    parted.examine(long_quiet=False)
    assert parted.final()


def test_an_operation_nobody_waits_for_is_a_mismatch_after_a_longer_silence(parted: Monitor) -> None:
    parted.examine(long_quiet=True)
    assert parted.final()


@pytest.fixture
def crossed() -> Monitor:
    """Each rank waits in a barrier of a group of its own choice, and has nothing else running."""
    monitor = Monitor(2, 0)
    for rank in range(2):
        monitor.rank_says(rank, wire.Ready(MAIN))
        group = Group(str(rank), (0, 1))
        barrier = Collective("barrier", "barrier", group, "", 1, (), (1 - rank,), (), "p.py:1")
        monitor.rank_says(rank, wire.Entered(MAIN, 1, barrier))
        monitor.rank_says(rank, wire.Waiting(MAIN, 1, timed=False))
    return monitor


def look(monitor: Monitor, unknown: bool, *, long_quiet: bool = False) -> None:
    """Ask every rank twice what runs in it, rank 0 with or without an unknown thread, and examine."""
    for token in range(2):
        for rank in range(2):
            monitor.rank_says(rank, wire.Looked(token, (), unknown and rank == 0))
        monitor.examine(long_quiet=long_quiet)


def test_ranks_that_wait_for_each_other_are_deadlocked(crossed: Monitor) -> None:
    look(crossed, unknown=False)
    look(crossed, unknown=False)
    assert crossed.final()


def test_what_an_unknown_thread_has_woken_gets_time_to_say_so(crossed: Monitor) -> None:
    """It entered a barrier unannounced and is gone; its peer has been let go and has not been scheduled yet."""
    look(crossed, unknown=True)
    look(crossed, unknown=False)
    look(crossed, unknown=False)
    assert not crossed.decided()
    look(crossed, unknown=False, long_quiet=True)
    assert crossed.final()


@pytest.fixture
def inside_torch() -> Monitor:
    """Rank 0 has issued an all_reduce that rank 1, which has ended, never entered; nobody announced a wait."""
    monitor = Monitor(2, 0)
    for rank in range(2):
        monitor.rank_says(rank, wire.Ready(MAIN))
    monitor.rank_says(0, entered("all_reduce", 0))
    monitor.rank_says(1, wire.Ended(None, "", None))
    return monitor


def look_inside(monitor: Monitor, *switches: int, long_quiet: bool) -> None:
    for token, count in enumerate(switches):
        monitor.rank_says(0, wire.Looked(token, (), False, ((MAIN, count, (1,)),)))
        monitor.examine(long_quiet)


def test_a_rank_that_sleeps_inside_torch_is_deadlocked_after_a_longer_silence(inside_torch: Monitor) -> None:
    look_inside(inside_torch, 7, 7, 7, long_quiet=False)
    assert not inside_torch.decided()
    look_inside(inside_torch, 7, 7, long_quiet=True)
    assert inside_torch.final()


def test_what_a_deadlocked_rank_waits_for_is_told_as_it_was_when_the_verdict_fell(
    inside_torch: Monitor,
) -> None:
    """It is asked where it hangs afterwards, and answering schedules something in it."""
    look_inside(inside_torch, 7, 7, 7, long_quiet=True)
    look_inside(inside_torch, 8, long_quiet=True)
    result = inside_torch.result({0: "", 1: ""}, 0.1, lambda value, text: text)
    (wait,) = result.waiting
    assert (wait.rank, wait.collective.operation) == (0, "all_reduce")
    assert result.endings[0].startswith("waits in all_reduce")


def test_ranks_that_answer_later_join_the_verdict() -> None:
    monitor = Monitor(3, 0)
    for rank in range(3):
        monitor.rank_says(rank, wire.Ready(MAIN))
    three = Group("three", (0, 1, 2))
    for rank in (0, 1):
        awaited = tuple({0, 1, 2} - {rank})
        collective = Collective("all_reduce", "all_reduce", three, "", 1, (), awaited, (), "p.py:1")
        monitor.rank_says(rank, wire.Entered(MAIN, 1, collective))
    monitor.rank_says(2, wire.Ended(None, "", None))
    for rank in (0, 1):
        for token in (1, 2, 3):
            monitor.rank_says(rank, wire.Looked(token, (), False, ((MAIN, 7, (1,)),)))
            monitor.examine(long_quiet=True)
        assert monitor.answered(rank) == 3
        assert monitor.decided()
        assert monitor.final() == (rank == 1)
    result = monitor.result({0: "", 1: "", 2: ""}, 0.1, lambda value, text: text)
    assert [wait.rank for wait in result.waiting] == [0, 1]


def test_a_rank_in_which_anything_was_scheduled_between_two_looks_may_come_back(
    inside_torch: Monitor,
) -> None:
    look_inside(inside_torch, 7, 8, 9, 10, long_quiet=True)
    assert not inside_torch.decided()

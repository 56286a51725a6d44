"""The definition of a deadlock, on hand-made snapshots: `rank: [threads]`, and what each rank has entered."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
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


def test_a_wait_inside_cpp_is_for_one_of_the_operations_that_are_not_finished() -> None:
    """Only when none of them can finish is the thread stuck; and it takes a long look, as nobody announced it."""
    stuck, may_end = in_collective(AB, 1, 0).collective, in_collective(ABC, 1, 0).collective
    assert may_end is not None

    def waiting(*others: Collective) -> ThreadState:
        return ThreadState("main", "waiting", stuck, inferred=True, others=others)

    def ranks(*others: Collective) -> dict[int, RankState]:
        return {0: rank(waiting(*others), ab=1, abc=1), 1: rank(ended=True, abc=1), 2: rank(RUNNING)}

    assert deadlocked(ranks(), any_algorithm=False) == {0}
    assert not deadlocked(ranks())
    assert not deadlocked(ranks(may_end), any_algorithm=False)


@st.composite
def snapshots(draw: st.DrawFn) -> dict[int, RankState]:
    """Up to four ranks, each ended or with threads that run, are blocked, or wait for some of the others."""
    size = draw(st.integers(1, 4))
    groups = [Group(str(number), tuple(range(size))) for number in range(2)]

    def thread(own: int) -> st.SearchStrategy[ThreadState]:
        peers = [peer for peer in range(size) if peer != own]
        waits = st.builds(
            lambda group, index, awaited, timed: ThreadState(
                "worker",
                "waiting",
                Collective("barrier", "", group, "", index, (), tuple(sorted(awaited)), (), "p.py:1"),
                timed,
            ),
            st.sampled_from(groups),
            st.integers(1, 2),
            st.frozensets(st.sampled_from(peers)) if peers else st.just(frozenset()),
            st.booleans(),
        )
        return st.sampled_from([RUNNING, BLOCKED]) | waits

    return {
        own: RankState(
            draw(st.booleans()),
            tuple(draw(st.lists(thread(own), min_size=1, max_size=2))),
            {(group, ""): draw(st.integers(0, 2)) for group in groups},
        )
        for own in range(size)
    }


@given(snapshots())
def test_the_deadlocked_are_the_largest_set_that_nothing_outside_can_set_free(
    ranks: dict[int, RankState],
) -> None:
    """The definition read the other way: a set is stuck if all its threads wait for ended ranks or for itself."""

    def stuck(thread: ThreadState, others: frozenset[int]) -> bool:
        if thread.status != "waiting" or thread.collective is None:
            return thread.status == "blocked"
        missing = [
            peer
            for peer in thread.collective.awaits
            if ranks[peer].entered[(thread.collective.group, "")] < thread.collective.index
        ]
        return not thread.timed and any(ranks[peer].ended or peer in others for peer in missing)

    living = [number for number, state in ranks.items() if not state.ended]
    stuck_sets = [
        frozenset(chosen)
        for size in range(len(living) + 1)
        for chosen in itertools.combinations(living, size)
        if all(stuck(thread, frozenset(chosen)) for number in chosen for thread in ranks[number].threads)
    ]
    assert deadlocked(ranks) == max(stuck_sets, key=len)
    assert all(found <= deadlocked(ranks) for found in stuck_sets)

"""unlink_after_peers: the name goes when all have attached, and whoever has not is named."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime import Segment, attach, create, unlink_after_peers, unlink_after_peers_async
from rslint_runtime.segment_peers import absent_peers
from rslint_runtime.segment_records import Arrival
from rslint_runtime.testing import Fault, run_ranks

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)

PROGRAMS = Path(__file__).with_name("segment_programs.py")


ATTACHES = "import sys; from rslint_runtime import attach\n"
ATTACHES += "rank = int(sys.argv[2]); attach(sys.argv[1], rank=rank if rank >= 0 else None).close()"


def attached_elsewhere(segment: Segment, rank: int = -1) -> None:
    subprocess.run([sys.executable, "-c", ATTACHES, segment.name, str(rank)], timeout=60, check=True)


def test_all_ranks_of_a_group_attach_and_the_name_goes() -> None:
    result = run_ranks(f"{PROGRAMS}:shares_a_segment", 3)
    assert result.outcome == "completed", result.report()
    assert result.results == {0: [False, False, b"ok"], 1: [False, b"ok"], 2: [False, b"ok"]}


def test_of_a_part_of_the_ranks_only_its_members_are_waited_for() -> None:
    result = run_ranks(f"{PROGRAMS}:shares_within_a_part", 3)
    assert result.outcome == "completed", result.report()
    assert result.results == {0: [False, 16], 1: [], 2: [False, 16]}


def test_a_peer_that_raises_before_it_attaches_is_named_in_time() -> None:
    faults = [Fault(1, "before_attach", raises=ConnectionError)]
    result = run_ranks(f"{PROGRAMS}:gives_up_on_a_peer", 3, faults=faults)
    assert result.outcome == "failed", result.report()
    assert result.results[0] == (
        "True segment NAME was not attached by rank 1 within 0.5 s; it is still there, and this process owns it"
    )


def test_it_waits_no_longer_than_until_the_last_peer_has_attached() -> None:
    with create(1) as segment:
        waiting = threading.Thread(target=unlink_after_peers, args=(segment, None, 60), kwargs={"peers": 2})
        waiting.start()
        attached_elsewhere(segment)
        assert os.path.exists(f"/dev/shm/{segment.name}")
        attached_elsewhere(segment)
        waiting.join(30)
        assert (waiting.is_alive(), segment.owner) == (False, False)
        assert not os.path.exists(f"/dev/shm/{segment.name}")


def test_a_process_that_attaches_twice_is_one_peer_and_the_owner_is_none(segments_folder: Path) -> None:
    with create(1) as segment:
        for _ in range(2):
            attach(segment.name).close()
        with pytest.raises(TimeoutError, match="was not attached by 1 of 1 peers within 0 s"):
            unlink_after_peers(segment, timeout=0, peers=1)
        assert segment.owner
        assert [arrival.pid for arrival in segment.arrived()] == [os.getpid()]


def test_peers_may_be_named_by_rank_without_a_group() -> None:
    with create(1) as segment:
        attached_elsewhere(segment, rank=5)
        attached_elsewhere(segment)
        with pytest.raises(TimeoutError, match=r"by ranks 4, 6 \(attached without a rank: pid \d+\) within"):
            unlink_after_peers(segment, timeout=0, peers=[4, 5, 6])
        unlink_after_peers(segment, timeout=0, peers=[5])
        assert not segment.owner


def test_a_group_is_judged_as_the_collectives_judge_it() -> None:
    result = run_ranks(f"{PROGRAMS}:names_groups_that_do_not_do", 3)
    assert result.outcome == "completed", result.report()
    no_group = (
        "TypeError: group must be a torch.distributed.ProcessGroup or None, not object; of an object that coordinates "
        "several groups, pass the CPU group it holds"
    )
    outside = "ValueError: rank 1 is not a member of the process group it was called with"
    asked = ["agree", "unlink_after_peers", "unlink_after_peers_async"]
    member = {name: [no_group] for name in asked}
    assert result.results == {0: member, 1: {name: [no_group, outside] for name in asked}, 2: member}


def test_a_group_for_devices_alone_does_as_well() -> None:
    result = run_ranks(f"{PROGRAMS}:shares_in_a_group_for_devices_alone", 2)
    assert result.outcome == "completed", result.report()
    assert result.results == {0: False, 1: False}


def test_the_loop_is_not_blocked_while_peers_are_waited_for() -> None:
    async def main() -> int:
        with create(1) as segment:
            waiting = asyncio.create_task(unlink_after_peers_async(segment, timeout=60, peers=1))
            turns = 0
            while turns < 10:
                await asyncio.sleep(0.001)
                turns += 1
            assert (waiting.done(), segment.owner) == (False, True)
            await asyncio.to_thread(attached_elsewhere, segment)
            await waiting
            assert not segment.owner
            assert not os.path.exists(f"/dev/shm/{segment.name}")
            return turns

    assert asyncio.run(asyncio.wait_for(main(), 60)) == 10


def test_a_wait_for_peers_that_is_cancelled_leaves_the_segment_in_place() -> None:
    async def main() -> None:
        with create(1) as segment:
            waiting = asyncio.create_task(unlink_after_peers_async(segment, timeout=None, peers=1))
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert segment.owner
            attach(segment.name).close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_peers_that_are_late_are_named_with_asyncio_too(segments_folder: Path) -> None:
    with create(1) as segment:
        with pytest.raises(TimeoutError, match=r"was not attached by ranks 1, 2 within 0\.01 s; it is still"):
            asyncio.run(unlink_after_peers_async(segment, timeout=0.01, peers=[1, 2]))
        assert segment.owner
        with attach(segment.name) as attached:
            asyncio.run(unlink_after_peers_async(attached, timeout=60, peers=3))


def test_a_segment_that_another_owner_removes_is_waited_for_no_longer(segments_folder: Path) -> None:
    with create(1) as segment:
        other = attach(segment.name)
        other.take_over()
        other.unlink()
        with pytest.raises(FileNotFoundError, match="has been removed"):
            unlink_after_peers(segment, timeout=60, peers=1)


def test_less_than_no_peers_are_refused(segments_folder: Path) -> None:
    with create(1) as segment, pytest.raises(ValueError, match="-1 peers"):
        unlink_after_peers(segment, peers=-1)


@pytest.mark.parametrize("peers", [True, 1.5, "12", ["1"], [True], object()])
def test_peers_are_a_number_or_ranks(segments_folder: Path, peers: Any) -> None:
    with create(1) as segment, pytest.raises(TypeError, match="a number of processes, or their ranks, not "):
        unlink_after_peers(segment, peers=peers)


@pytest.mark.parametrize("name", [5, None, b"name"])
def test_a_name_is_a_str(name: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"the name of a segment is a str, not {name!r}")):
        attach(name)


def test_without_a_group_it_asks_for_the_number_of_peers(segments_folder: Path) -> None:
    with create(1) as segment, pytest.raises(ValueError, match=re.escape("peers=…")):
        unlink_after_peers(segment)


def test_who_does_not_own_the_segment_does_not_wait(segments_folder: Path) -> None:
    with create(1) as segment, attach(segment.name) as attached:
        before = time.monotonic()
        unlink_after_peers(attached, timeout=60, peers=3)
        assert time.monotonic() - before < 30
        assert os.listdir(segments_folder) == [segment.name]


@pytest.mark.parametrize(
    ("arrived", "expected", "text"),
    [
        ([], frozenset({2, 1}), "ranks 1, 2"),
        ([1], frozenset({2, 1}), "rank 2"),
        ([1, 2, 3], frozenset({2, 1}), ""),
        ([1, 1], 2, "1 of 2 peers"),
        ([], 0, ""),
        ([], frozenset(), ""),
    ],
)
def test_who_is_missing(arrived: list[int], expected: int | frozenset[int], text: str) -> None:
    arrivals = [Arrival(pid=rank, rank=rank, process=bytes([rank])) for rank in arrived]
    assert absent_peers(arrivals, expected) == text

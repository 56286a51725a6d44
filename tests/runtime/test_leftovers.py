"""What ranks leave in shared memory is gone when their run is over, however they end, and nothing else is."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest
from rslint_runtime import segments
from rslint_runtime.testing import run_ranks

from tests.runtime.leftover_programs import (
    ENDINGS,
    is_removed_by_its_tracker_now,
    leaves_a_segment,
    leaves_a_segment_of_the_library,
    leaves_it_to_children,
)

pytestmark = pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="looks into /dev/shm")


def left(directory: Path) -> list[str]:
    names = [file.read_text() for file in directory.glob("rank-*")]
    assert names
    return [name for name in names if Path("/dev/shm", name).exists()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_segment_is_removed_by_its_own_tracker_when_the_run_is_over(tmp_path: Path, ending: str) -> None:
    result = run_ranks(leaves_a_segment, 2, args=(str(tmp_path), ending))
    outcomes = {"returns": "completed", "raises": "failed", "waits": "deadlock", "is killed": "peer_died"}
    assert result.outcome == outcomes[ending], result.report()
    assert left(tmp_path) == []


def test_segments_of_the_library_are_removed_as_the_orphans_that_they_are(tmp_path: Path) -> None:
    with segments.create(64, label="left") as mine:
        result = run_ranks(leaves_a_segment_of_the_library, 2, args=(str(tmp_path),))
        assert result.outcome == "deadlock", result.report()
        assert left(tmp_path) == []
        assert Path("/dev/shm", mine.name).exists()


def test_segments_of_children_are_removed(tmp_path: Path) -> None:
    result = run_ranks(leaves_it_to_children, 1, args=(str(tmp_path),))
    assert result.outcome == "completed", result.report()
    assert left(tmp_path) == []


def test_segments_of_the_caller_and_of_a_run_beside_stay(tmp_path: Path) -> None:
    mine = SharedMemory(create=True, size=64)
    try:
        beside = threading.Thread(
            target=run_ranks, args=(leaves_a_segment, 2), kwargs={"args": (str(tmp_path), "waits")}
        )
        beside.start()
        for _ in range(3):
            assert run_ranks(is_removed_by_its_tracker_now, 2).results == {0: True, 1: True}
        beside.join()
        assert Path("/dev/shm", mine.name).exists()
    finally:
        mine.close()
        mine.unlink()


def test_what_a_tracker_says_at_its_end_is_not_among_a_ranks_words(tmp_path: Path) -> None:
    result = run_ranks(leaves_a_segment, 2, args=(str(tmp_path), "waits"))
    assert result.output[0] == "", "the harness has killed the rank: the program leaks nothing"


def test_a_child_that_has_left_the_ranks_process_group_does_not_hold_the_caller_up() -> None:
    def program(rank: int, world_size: int) -> int:
        SharedMemory(create=True, size=64)
        child = os.fork()
        if child == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
        return child

    result = run_ranks(program, 1)
    with pytest.raises(ProcessLookupError):
        os.kill(result.results[0], signal.SIGKILL)
    assert result.outcome == "completed", result.report()

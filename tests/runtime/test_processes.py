"""No process is left behind, however a run or its caller ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rslint_runtime.testing import run_ranks, runner, wire

PROGRAMS = Path(__file__).with_name("programs.py")
pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def recorded(directory: Path) -> list[int]:
    return [int(pid) for file in directory.glob("pids.*") for pid in file.read_text().split()]


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_ranks_and_what_they_started_are_gone_when_run_ranks_returns(tmp_path: Path) -> None:
    result = run_ranks(f"{PROGRAMS}:leaves_children", 2, args=(str(tmp_path),))
    assert result.outcome == "deadlock", result.report()
    for file in sorted(tmp_path.glob("pids.*")):
        rank, child, server = map(int, file.read_text().split())
        assert not alive(rank)
        assert eventually(lambda child=child: not alive(child), 2.0)  # type: ignore[misc]
        assert alive(server)
    assert len(recorded(tmp_path)) == 6


def test_what_has_left_its_ranks_process_group_is_gone_too(tmp_path: Path) -> None:
    result = run_ranks(f"{PROGRAMS}:starts_daemons", 2, args=(str(tmp_path),))
    assert result.outcome == "peer_died", result.report()
    started = recorded(tmp_path)
    assert len(started) == 4
    assert not any(alive(pid) for pid in started)


# A shell starts what it runs in the background with SIGINT ignored, and so do all below it.
CALLER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from rslint_runtime.testing import run_ranks
run_ranks(sys.argv[1] + ":sleeps_after_start", 2, timeout=120.0, args=(sys.argv[2],))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_an_interrupted_or_killed_caller(ending: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CALLER, str(PROGRAMS), str(tmp_path)]
    directories = tmp_path / "directories"
    directories.mkdir()
    environment = dict(os.environ, TMPDIR=str(directories))
    caller = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    try:
        assert eventually(lambda: len(recorded(tmp_path)) == 4), "the ranks did not start"
        ranks_and_server = set(recorded(tmp_path))
        assert all(alive(pid) for pid in ranks_and_server)
        os.kill(caller.pid, ending)
        caller.wait(15.0)
        assert eventually(lambda: not any(alive(pid) for pid in ranks_and_server))
        assert list(directories.iterdir()) == []
    finally:
        caller.kill()
        caller.wait()


def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CALLER, str(PROGRAMS), str(tmp_path)]
    caller = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert eventually(lambda: len(recorded(tmp_path)) == 4), "the ranks did not start"
        _, server = map(int, (tmp_path / "pids.0").read_text().split())
        os.kill(server, signal.SIGKILL)
        _, said = caller.communicate(timeout=15.0)
        assert "the fork server has ended" in said
        assert eventually(lambda: not any(alive(pid) for pid in recorded(tmp_path)))
    finally:
        caller.kill()
        caller.wait()


def test_no_directory_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_ranks(f"{PROGRAMS}:all_reduced", 2)
    assert list(tmp_path.iterdir()) == []


def test_a_rank_that_no_longer_listens_does_not_hold_its_caller_up() -> None:
    """Its process lives, so nothing but a full buffer shows it."""
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                here.send(b"x" * 4096)
        here.setblocking(True)
        runner._send(here, wire.Look(1))


def test_what_a_rank_is_told_arrives() -> None:
    here, there = socket.socketpair()
    with here, there:
        runner._send(here, wire.Look(7))
        assert wire.receive(there) == wire.Look(7)

"""An owner dies: what it leaves is removed, and nothing else."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rslint_runtime import attach, create, remove_orphans, segment_names
from rslint_runtime.segment_names import new_segment_name

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)

PROGRAMS = Path(__file__).with_name("segment_programs.py")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of /dev/shm."""
    monkeypatch.setattr(segment_names, "_SEGMENTS_FOLDER", str(tmp_path))
    return tmp_path


@contextmanager
def running(
    program: str, *arguments: object, before: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    command = [*before, sys.executable, str(PROGRAMS), program, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        with process:  # waits, and closes the pipes
            pass


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_owner_killed_at_any_line_leaves_nothing_that_a_sweep_does_not_take(folder: Path) -> None:
    with create(64, "killed-not") as living, open(folder / "psm_1b2c3d4e", "wb"):
        done = subprocess.run(
            [sys.executable, str(PROGRAMS), "killed_at_every_line", str(folder)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [row for row in told if row[1] != row[2] or row[3]] == []
        # Places at which something was left: well more than ten, in every module that touches the file.
        left = {place for place, before, _, _ in told if before}
        assert len(left) >= 30
        assert {place.partition(":")[0] for place in left} >= {
            "segments.py",
            "segment_handle.py",
            "segment_records.py",
            "orphans.py",
        }
        assert sorted(os.listdir(folder)) == sorted(["psm_1b2c3d4e", living.name])


def test_segments_of_a_living_owner_stay_until_it_is_killed(folder: Path) -> None:
    with running("waits", folder, "test") as process:
        name = first_line(process)
        assert remove_orphans() == ()
        with attach(name):
            process.kill()
            process.wait()
            assert remove_orphans("other") == ()
            assert remove_orphans("test") == (name,)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("takes_over", ["yes", "no"])
def test_a_child_keeps_what_it_has_taken_over_and_nothing_else(folder: Path, takes_over: str) -> None:
    with running("parent_of_a_child", folder, "test", takes_over) as process:
        name, child = first_line(process).split()
        try:
            process.kill()
            process.wait()
            assert remove_orphans() == (() if takes_over == "yes" else (name,))
        finally:
            os.kill(int(child), signal.SIGKILL)
        wait_for_end(int(child))
        assert remove_orphans() == ((name,) if takes_over == "yes" else ())


def test_a_parent_that_ends_leaves_to_its_child_what_that_has_taken_over(folder: Path) -> None:
    with running("parent_of_a_child", folder, "test", "yes") as process:
        name, child = first_line(process).split()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
        try:
            assert (folder / name).exists()
        finally:
            os.kill(int(child), signal.SIGKILL)


def wait_for_end(pid: int) -> None:
    """Wait until a process that is no child of this one has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.005)
    raise TimeoutError(f"process {pid} lives on")


IN_ANOTHER_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def test_an_owner_in_another_pid_namespace_is_alive(folder: Path) -> None:
    tried = subprocess.run([*IN_ANOTHER_NAMESPACE, "true"], capture_output=True, timeout=20, check=False)
    if tried.returncode:
        pytest.skip("no pid namespace of our own")
    with running("waits", folder, "test", before=IN_ANOTHER_NAMESPACE) as process:
        name = first_line(process)
        assert name.split("-")[2] == "1"  # its pid there: ours is another process
        assert remove_orphans() == ()
        process.kill()
        process.wait()
        deadline = time.monotonic() + 30
        while not (removed := remove_orphans()) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert removed == (name,)


def test_a_pid_that_lives_is_no_proof_of_an_owner(folder: Path) -> None:
    segment = create(1)
    segment.hand_over()
    assert f"-{os.getpid()}-" in segment.name
    assert remove_orphans() == (segment.name,)


@pytest.mark.parametrize("content", [b"", bytes(8192)])
def test_what_was_never_finished_is_removed(folder: Path, content: bytes) -> None:
    name = new_segment_name()
    (folder / name).write_bytes(content)
    assert remove_orphans() == (name,)


def test_what_is_not_ours_stays(folder: Path) -> None:
    named_like_ours = [new_segment_name() for _ in range(4)]
    (folder / "psm_1b2c3d4e").write_bytes(bytes(64))
    (folder / "sem.mp-abc").write_bytes(bytes(32))
    (folder / "rslint-cache").write_bytes(b"somebody's own")
    (folder / named_like_ours[0]).symlink_to(folder / "psm_1b2c3d4e")
    (folder / named_like_ours[1]).mkdir()
    os.mkfifo(folder / named_like_ours[2])
    (folder / named_like_ours[3]).write_bytes(b"a payload, and no stamp")
    before = sorted(os.listdir(folder))
    assert remove_orphans() == ()
    assert sorted(os.listdir(folder)) == before


def test_another_users_segments_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = new_segment_name()
    (folder / name).touch()
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(folder).st_uid + 1)
    assert remove_orphans() == ()
    monkeypatch.undo()
    assert (folder.parent / folder.name / name).exists()


def test_a_sweep_between_making_and_locking_costs_the_maker_a_second_try(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[tuple[str, ...]] = []
    lock = fcntl.flock

    def late(fd: int, operation: int) -> None:
        if not swept:
            swept.append(())
            swept.append(remove_orphans())
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with create(1) as segment:
        assert (len(swept[1]), swept[1][0] != segment.name) == (1, True)
        assert os.listdir(folder) == [segment.name]


def test_an_orphan_that_is_taken_over_during_a_sweep_is_either_owned_or_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = create(1)
    orphan.hand_over()
    lock = fcntl.flock

    def taken_first(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        orphan.take_over()
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", taken_first)
    assert remove_orphans() == ()
    orphan.unlink()

    gone = create(1)
    gone.hand_over()
    assert remove_orphans() == (gone.name,)
    with pytest.raises(FileNotFoundError):
        gone.take_over()


def test_two_sweeps_at_once_remove_each_orphan_once(folder: Path) -> None:
    names = set()
    for _ in range(20):
        segment = create(1)
        segment.hand_over()
        names.add(segment.name)
    sweep = "import sys; from rslint_runtime import remove_orphans, segment_names\n"
    sweep += "segment_names._SEGMENTS_FOLDER = sys.argv[1]; print(*remove_orphans())"
    sweeps = [
        subprocess.Popen([sys.executable, "-c", sweep, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    removed = [name for one in sweeps for name in one.communicate(timeout=60)[0].split()]
    assert sorted(removed) == sorted(names)

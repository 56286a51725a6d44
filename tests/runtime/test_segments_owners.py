"""Who owns a segment, and when it is removed: by a `with`, at the end of a process, after a hand-over."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rslint_runtime import attach, create, remove_orphans, segment_names

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)


def test_an_error_inside_still_removes_the_segment_and_stays_the_error(segments_folder: Path) -> None:
    def fails() -> None:
        with create(8) as segment:
            view.append(segment.buf[:])
            raise KeyError("inside")

    view: list[memoryview] = []
    with pytest.raises(KeyError, match="inside"):
        fails()
    assert os.listdir(segments_folder) == []


def test_who_has_attached_does_not_remove(segments_folder: Path) -> None:
    with create(1) as segment:
        with attach(segment.name) as attached, pytest.raises(PermissionError, match="take_over"):
            attached.unlink()
        assert os.listdir(segments_folder) == [segment.name]


def test_a_segment_is_handed_over(segments_folder: Path) -> None:
    segment = create(1)
    attached = attach(segment.name)
    attached.take_over()
    assert (segment.owner, attached.owner) == (True, True)
    segment.hand_over()
    assert (segment.owner, remove_orphans()) == (False, ())
    with pytest.raises(RuntimeError, match="does not own it"):
        segment.hand_over()
    with attached:
        pass
    assert os.listdir(segments_folder) == []


def test_the_last_owner_removes(segments_folder: Path) -> None:
    segment, other = create(1), create(1)
    attached, second = attach(segment.name), attach(other.name)
    attached.take_over()
    with segment:
        pass
    assert segment.name in os.listdir(segments_folder)
    with attached:
        pass
    assert os.listdir(segments_folder) == [other.name]
    second.take_over()
    other.unlink()  # at once, whoever owns it besides
    assert os.listdir(segments_folder) == []


def test_what_nobody_has_taken_over_is_an_orphan(segments_folder: Path) -> None:
    segment = create(1)
    segment.hand_over()
    assert remove_orphans() == (segment.name,)
    assert os.listdir(segments_folder) == []


def test_a_segment_that_is_dropped_is_removed_with_a_warning(segments_folder: Path) -> None:
    segment = create(1)
    with pytest.warns(ResourceWarning, match="was never unlinked"):
        del segment
    assert os.listdir(segments_folder) == []


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)", "raise SystemExit"])
def test_a_process_that_ends_by_itself_removes_what_it_owns(ending: str) -> None:
    program = "import sys; from rslint_runtime import create\n"
    program += f"segment = create(1, 'ending'); print(segment.name, flush=True)\n{ending}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert not os.path.exists(f"/dev/shm/{done.stdout.strip()}")


@pytest.mark.parametrize("imported", ["before", "after"])
def test_at_the_end_of_a_process_its_children_are_joined_before_the_name_goes(imported: str) -> None:
    program = Path(__file__).with_name("segment_programs.py")
    done = subprocess.run(
        [sys.executable, str(program), "ends_before_its_children", "joined", imported],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    content, _, name = done.stdout.strip().rpartition(" ")
    assert (content, os.path.exists(f"/dev/shm/{name}"), done.stderr) == ("b'ok'", False, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("takes_over", [False, True])
def test_a_forked_child_owns_only_what_it_takes_over(segments_folder: Path, takes_over: bool) -> None:
    segment = create(1)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            owned = segment.owner
            if takes_over:
                segment.take_over()
            with segment:
                segment.buf[0] = 5
            status = int(owned)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert segment.buf[0] == 5
    assert os.listdir(segments_folder) == [segment.name]
    with segment:
        pass
    assert os.listdir(segments_folder) == []


def test_it_cannot_be_pickled_and_says_what_to_send(segments_folder: Path) -> None:
    with create(1) as segment, pytest.raises(TypeError, match="send its name"):
        pickle.dumps(segment)


# --- the resource tracker


def interpreters() -> list[str]:
    """This one, and one of each other supported version that is installed."""
    found = {sys.version_info[:2]: sys.executable}
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for minor in range(10, 14):
        candidates = [
            *sorted(map(str, versions.glob(f"3.{minor}.*/bin/python"))),
            shutil.which(f"python3.{minor}"),
        ]
        for candidate in filter(None, candidates):
            found.setdefault((3, minor), candidate)
    return [found[version] for version in sorted(found)]


@pytest.mark.parametrize("interpreter", interpreters())
def test_no_tracker_hears_of_an_attach_in_any_kind_of_process(interpreter: str) -> None:
    program = Path(__file__).with_name("segment_trackers.py")
    runtime = Path(segment_names.__file__).parent.parent
    done = subprocess.run(
        [interpreter, str(program)],
        env={**os.environ, "PYTHONPATH": str(runtime)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("all is well\n", "")

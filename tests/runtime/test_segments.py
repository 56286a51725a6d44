"""Segments: what is made, attached and removed, by whom, and what is said where it goes wrong."""

from __future__ import annotations

import errno
import os
import re
import string
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import attach, create, remove_orphans, segment_names
from rslint_runtime.segment_names import generation_of, label_of, new_segment_name
from rslint_runtime.testing import run_ranks

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)


def in_another_process(program: str, *arguments: str) -> str:
    """What a process prints that has nothing in common with this one."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() + done.stderr


def test_what_one_process_writes_another_reads_under_the_name() -> None:
    with create(5000, "test") as segment:
        segment.buf[-3:] = b"abc"
        read = "import sys; from rslint_runtime import attach\n"
        read += "with attach(sys.argv[1]) as s: print(s.size, bytes(s.buf[-3:]), bytes(s.buf[:1]), s.owner)"
        assert in_another_process(read, segment.name) == r"5000 b'abc' b'\x00' False"
        assert os.path.exists(f"/dev/shm/{segment.name}")  # the other one's end has not taken it along
    assert not os.path.exists(f"/dev/shm/{segment.name}")


# --- names


LETTERS = string.ascii_letters + string.digits


@given(st.just("") | st.builds(str.__add__, st.sampled_from(LETTERS), st.text(LETTERS + "._-", max_size=199)))
def test_a_new_name_tells_its_label_and_a_generation_of_its_own(label: str) -> None:
    first, second = new_segment_name(label), new_segment_name(label)
    assert generation_of(first) != generation_of(second)
    assert (generation_of(first), label_of(first)) == (first[-16:], label)
    assert len(os.fsencode(first)) <= 255


@given(st.text())
def test_a_label_that_is_no_part_of_a_files_name_is_refused(label: str) -> None:
    if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,199})?", label):
        with pytest.raises(ValueError, match="label of a segment"):
            new_segment_name(label)


@pytest.mark.parametrize(
    "name", ["psm_1b2c3d4e", "sem.rslint", "rslint-1-2", "rslint-x-1-0123456789abcde", ""]
)
def test_names_that_others_give_are_none_of_ours(name: str) -> None:
    assert generation_of(name) is None


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/b", "../etc/passwd", "/dev/shm/a", "a\0b"])
def test_what_names_no_segment_cannot_be_attached(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a segment"):
        attach(name)


def test_a_removed_segment_is_missed_by_name_and_never_mistaken_for_its_successor(
    segments_folder: Path,
) -> None:
    with create(1, "cache") as old:
        pass
    with (
        create(1, "cache"),
        pytest.raises(FileNotFoundError, match="its owner has removed it, or died") as told,
    ):
        attach(old.name)
    assert told.value.filename == old.name


def test_a_file_of_an_old_name_with_another_generation_inside_is_refused(segments_folder: Path) -> None:
    with create(1) as old, create(1) as new:
        os.replace(segments_folder / new.name, segments_folder / old.name)
        with pytest.raises(FileNotFoundError, match="of another generation"):
            attach(old.name)
    assert (segments_folder / old.name).exists()  # it is not the file that `old` has made


@pytest.mark.parametrize(
    "content", [b"", bytes(64), bytes(5000), b"rslint\0S" + bytes(56), b"rslint\0A" * 600]
)
def test_a_file_that_was_never_finished_is_refused(segments_folder: Path, content: bytes) -> None:
    name = new_segment_name()
    (segments_folder / name).write_bytes(content)
    with pytest.raises(FileNotFoundError, match="not finished"):
        attach(name)


# --- sizes


@pytest.mark.parametrize("size", [1, 63, 64, 4095, 4096, 4097, 1 << 20])
def test_a_segment_has_the_bytes_asked_for_all_zero_and_reserved(segments_folder: Path, size: int) -> None:
    with create(size) as segment, attach(segment.name) as attached:
        assert (segment.size, attached.size, len(attached.buf)) == (size, size, size)
        assert not any(attached.buf)
        assert os.stat(segments_folder / segment.name).st_blocks * 512 >= size
        segment.buf[-1] = 255
        assert attached.buf[-1] == 255


@pytest.mark.parametrize(
    ("size", "error"),
    [(0, ValueError), (-1, ValueError), (True, TypeError), (8.0, TypeError), ("8", TypeError)],
)
def test_what_is_no_size_is_refused(segments_folder: Path, size: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"segment (has at least one byte|is a number of bytes)"):
        create(size)
    assert os.listdir(segments_folder) == []


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 63, 1 << 200])
def test_more_than_a_file_may_have_is_an_error_that_leaves_nothing(segments_folder: Path, size: int) -> None:
    with pytest.raises(OSError, match=f"{size} bytes for a segment") as told:
        create(size)
    assert told.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert os.listdir(segments_folder) == []


def test_a_full_mount_is_an_error_that_leaves_nothing(
    segments_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"8192 bytes for a segment, \d+ are free") as told:
        create(8192)
    assert told.value.errno == errno.ENOSPC
    assert os.listdir(segments_folder) == []


MOUNTED = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" "$@"']
FILLED = """
import os
from rslint_runtime import create
segment = create(600_000)
try:
    create(600_000)
except OSError as error:
    print(error.errno, len(os.listdir("/dev/shm")), end=" ")
with open("/dev/shm/greedy", "wb", buffering=0) as other:
    try:
        while other.write(bytes(4096)):
            pass
    except OSError as error:
        print(error.errno, end=" ")
segment.buf[:] = b"x" * segment.size  # a SIGBUS where the pages were not reserved
print(bytes(segment.buf[-2:]))
segment.unlink()
"""


def test_a_real_full_mount_takes_nothing_from_a_segment_that_was_made() -> None:
    tried = subprocess.run([*MOUNTED, "true"], capture_output=True, timeout=20, check=False)
    if tried.returncode:
        pytest.skip("no mount namespace of our own")
    done = subprocess.run(
        [*MOUNTED, sys.executable, "-c", FILLED], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == f"{errno.ENOSPC} 1 {errno.ENOSPC} b'xx'"


def test_without_a_folder_of_segments_one_line_says_so(
    segments_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_names, "_SEGMENTS_FOLDER", str(segments_folder / "none"))
    for needs in (lambda: create(1), lambda: attach("psm_1"), remove_orphans):
        with pytest.raises(OSError, match="use multiprocessing") as told:
            needs()
        assert told.value.errno == errno.ENOTSUP


# --- views and closing


def test_views_outlive_the_segment_that_is_closed_around_them(segments_folder: Path) -> None:
    with create(4096) as segment:
        segment.buf[:2] = b"ab"
        view = segment.buf[:2]
    assert bytes(view) == b"ab"
    view[0] = 99
    with pytest.raises(ValueError, match="is closed"):
        _ = segment.buf


def test_a_tensor_made_from_it_keeps_its_memory() -> None:
    pytest.importorskip("torch", reason="ranks are processes with torch")
    result = run_ranks(f"{Path(__file__).with_name('segment_programs.py')}:tensor_of_a_closed_segment", 1)
    assert result.results == {0: 7 * (1 << 20)}, result.report()


def test_the_memory_goes_with_the_last_view(segments_folder: Path) -> None:
    def mapped() -> bool:
        return segment.name in Path("/proc/self/maps").read_text()

    segment = create(4096)
    view = segment.buf[1:]
    segment.unlink()
    segment.close()
    assert mapped()
    del view
    assert not mapped()


def test_closing_twice_and_unlinking_twice_is_no_error(segments_folder: Path) -> None:
    segment = create(1)
    for _ in range(2):
        segment.unlink()
        segment.close()
    assert repr(segment) == f"<Segment {segment.name}: 1 bytes, closed>"


def test_no_descriptor_is_left_open(segments_folder: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with create(1) as segment, attach(segment.name) as attached:
            attached.take_over()
        with pytest.raises(FileNotFoundError):
            attach(segment.name)
        with pytest.raises(FileNotFoundError):
            attached.take_over()
    with pytest.raises(OSError, match="bytes for a segment"):
        create(1 << 62)
    assert os.listdir("/proc/self/fd") == before


# --- segments of multiprocessing


def test_a_segment_of_multiprocessing_is_attached_used_and_removed_like_one_of_its_own() -> None:
    made = SharedMemory(create=True, size=5000)
    try:
        attached = attach(made.name)
        attached.buf[:2] = b"hi"
        assert (bytes(made.buf[:2]), attached.size >= 5000, attached.owner) == (b"hi", True, False)
        attached.close()
        assert os.path.exists(f"/dev/shm/{made.name}")
        again = attach("/" + made.name)
        assert again.name == made.name
    finally:
        made.close()
        made.unlink()
    again.unlink()  # gone already


def test_who_knows_nothing_of_segments_finds_the_payload_at_the_start() -> None:
    with create(3) as segment:
        segment.buf[:] = b"abc"
        read = "import sys; from pathlib import Path; print(Path('/dev/shm', sys.argv[1]).read_bytes()[:3])"
        assert in_another_process(read, segment.name) == "b'abc'"


def test_a_foreign_segment_without_a_size_is_not_there_yet(segments_folder: Path) -> None:
    (segments_folder / "psm_1").touch()
    with pytest.raises(FileNotFoundError, match="its maker is not done"):
        attach("psm_1")


def test_no_symbolic_link_is_followed(segments_folder: Path) -> None:
    (segments_folder / "target").write_bytes(bytes(64))
    (segments_folder / "psm_link").symlink_to(segments_folder / "target")
    with pytest.raises(OSError, match="symbolic links") as told:
        attach("psm_link")
    assert told.value.errno == errno.ELOOP


def test_on_a_system_without_file_locks_the_library_can_be_imported() -> None:
    program = (
        "import sys; sys.modules['fcntl'] = None; import rslint_runtime; print(rslint_runtime.agree(True))"
    )
    assert in_another_process(program) == "True"

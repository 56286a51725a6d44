"""Segments: what is made, attached and removed, by whom, and what is said where it goes wrong."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import attach, create, remove_orphans, segment_names
from rslint_runtime.segment_names import generation_of, label_of, new_segment_name

if not os.path.isdir("/dev/shm"):
    pytest.skip("segments need /dev/shm", allow_module_level=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of /dev/shm."""
    monkeypatch.setattr(segment_names, "_SEGMENTS_FOLDER", str(tmp_path))
    return tmp_path


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

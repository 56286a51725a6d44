"""The runtime's tests need torch. Python 3.11 must have it; elsewhere they are left out without it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

collect_ignore_glob = (
    [] if sys.version_info[:2] == (3, 11) or importlib.util.find_spec("torch") else ["test_*.py"]
)


@pytest.fixture
def segments_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of /dev/shm."""
    from rslint_runtime import segment_names

    monkeypatch.setattr(segment_names, "_SEGMENTS_FOLDER", str(tmp_path))
    return tmp_path

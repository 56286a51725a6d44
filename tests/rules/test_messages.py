"""What messages say of places in other files: concise and flake8 show nothing but the message."""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint import cli

COMMON = """
import torch.distributed as dist


def line_up():
    dist.barrier()
"""
LEADER = """
import torch.distributed as dist
from common import line_up


def publish(rank):
    if rank == 0:
        line_up()


def close(rank):
    if rank == 0:
        dist.barrier()
"""

CACHE = """
import threading


class Cache:
    def __init__(self):
        self.entries = {}
        self.lock = threading.Lock()

    def evict(self, key):
        with self.lock:
            self.entries.pop(key, None)

    def read(self, key):
        with self.lock:
            found = key in self.entries
        return self.entries[key] if found else None

    def size(self, key):
        with self.lock:
            found = key in self.entries
        return len(self.entries[key]) if found else 0
"""


def test_a_line_of_another_file_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "common.py").write_text(COMMON)
    (tmp_path / "leader.py").write_text(LEADER)
    assert cli.main(["check", "--isolated", "--output-format", "concise", str(tmp_path)]) == 1
    first, second = [line for line in capsys.readouterr().out.splitlines() if "RS102" in line]
    assert "`barrier` on line 6 of common.py: " in first
    assert "`barrier` on line 13: " in second


def test_who_takes_an_entry_away_is_named_where_a_root_has_several_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache.py").write_text(CACHE)
    assert cli.main(["check", "--isolated", "--output-format", "concise", str(tmp_path)]) == 1
    (message,) = [line for line in capsys.readouterr().out.splitlines() if "RS201" in line]
    assert "`Cache.evict` may have removed it" in message

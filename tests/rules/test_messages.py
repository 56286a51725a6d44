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


def test_a_line_of_another_file_is_named_with_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "common.py").write_text(COMMON)
    (tmp_path / "leader.py").write_text(LEADER)
    assert cli.main(["check", "--isolated", "--output-format", "concise", str(tmp_path)]) == 1
    first, second = [line for line in capsys.readouterr().out.splitlines() if "RS102" in line]
    assert "`barrier` on line 6 of common.py: " in first
    assert "`barrier` on line 13: " in second

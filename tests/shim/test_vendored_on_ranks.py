"""The vendored file on gloo ranks: a failure of the source reaches every rank, with what the file itself defines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rslint.shim.vendor import vendor

if sys.version_info[:2] != (3, 11):
    pytest.importorskip("torch", reason="the ranks run on gloo")

PROGRAM = """\
from rank_safety import PeerError, broadcast_result


def fetch():
    return "session"


def main(rank, world_size):
    try:
        return broadcast_result(fetch, src=0)
    except ConnectionError as error:
        return type(error).__name__, isinstance(error, PeerError), PeerError.__module__
"""


def test_a_failure_reaches_every_rank_through_the_vendored_file(tmp_path: Path) -> None:
    from rslint_runtime.testing import Fault, run_ranks

    vendor(tmp_path / "rank_safety.py", ["broadcast_result"])
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    program = f"{tmp_path / 'program.py'}:main"
    assert set(run_ranks(program, 2).results.values()) == {"session"}
    failed = run_ranks(program, 2, faults=[Fault(rank=0, target="fetch", raises=ConnectionError)])
    assert failed.outcome == "completed", failed.report()
    assert failed.results[0] == ("ConnectionError", False, "rank_safety")
    assert failed.results[1][1:] == (True, "rank_safety")

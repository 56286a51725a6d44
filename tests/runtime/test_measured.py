"""Coverage inside ranks: lines that only a rank runs are counted, also in one that hangs."""

from __future__ import annotations

from pathlib import Path

import pytest
from rslint_runtime.testing import run_ranks
from rslint_runtime.testing.measured import without_coverage

coverage = pytest.importorskip("coverage")

PROGRAM = """\
import threading
import torch.distributed as dist

def serve(rank, world_size, hangs):
    if rank == 1:
        value = "only here"
        thread = threading.Thread(target=aside)
        thread.start()
        thread.join()
        if hangs:
            dist.barrier()
    return rank

def aside():
    pass

def never():
    value = "nowhere"
"""


@pytest.mark.parametrize("hangs", [False, True])
def test_lines_that_only_a_rank_runs_are_counted(tmp_path: Path, hangs: bool) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    measurement = coverage.Coverage(
        data_file=str(tmp_path / ".coverage"), config_file=False, include=[str(tmp_path / "*")]
    )
    measurement.set_option("run:disable_warnings", ["no-data-collected"])
    with measurement.collect():
        result = run_ranks(f"{program}:serve", 2, args=(hangs,))
    measurement.save()
    assert result.outcome == ("deadlock" if hangs else "completed"), result.report()
    files = sorted(path.name for path in tmp_path.glob(".coverage*"))
    assert len([name for name in files if name != ".coverage"]) == 2
    measurement.combine([str(tmp_path)])
    _, _, _, missing, _ = measurement.analysis2(str(program))
    assert missing == ([18] if hangs else [11, 18])
    assert result.output == {0: "", 1: ""}


def test_what_the_environment_asks_for_is_done_in_ranks_and_not_in_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    settings = tmp_path / "settings"
    settings.write_text(f"[run]\ndata_file = {tmp_path}/.coverage\nparallel = true\ninclude = {tmp_path}/*\n")
    monkeypatch.setenv("COVERAGE_PROCESS_START", str(settings))
    run_ranks(f"{program}:serve", 2, args=(False,))
    assert len(list(tmp_path.glob(".coverage.*"))) == 2
    assert without_coverage({"COVERAGE_PROCESS_START": "settings", "HOME": "home"}) == {"HOME": "home"}

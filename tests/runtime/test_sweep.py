"""sweep: what is tried, what is found, how it resumes and how it ends early."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rslint_runtime.testing import RunError, SweepResult, run_ranks, sweep, sweeping
from rslint_runtime.testing.__main__ import main

PROGRAMS = Path(__file__).with_name("swept.py")


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.json"
    path.write_text("{}", encoding="utf-8")
    return str(path)


def swept(name: str, *args: object, world_size: int = 2, **options: Any) -> SweepResult:
    return sweep(f"{PROGRAMS}:{name}", world_size, args=args, **options)


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(PROGRAMS.read_text().splitlines(), 1) if text in line)


def tried(result: SweepResult) -> list[tuple[str, int, str]]:
    """Call, rank and outcome of each row."""
    return [(row.call, row.rank, row.outcome) for row in result.rows]


# --- what is found


@pytest.fixture(scope="module")
def of_the_leader(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """The sweep of `leader_reads`, which several tests look at."""
    path = tmp_path_factory.mktemp("leader") / "config.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(PROGRAMS.parents[2])
        return swept("leader_reads", str(path))


def test_a_leader_that_swallows_its_failure_is_found_with_the_fault_that_shows_it(
    of_the_leader: SweepResult, config: str
) -> None:
    result = of_the_leader
    assert tried(result) == [("open", 0, "deadlock"), ("file.read", 0, "deadlock")]
    row = result.deadlocks[0]
    assert row.place.endswith(f"tests/runtime/swept.py:{line_of('with open(self.path')}")
    assert (row.left, row.reason, row.fault.raises) == ("", "file", "OSError")
    assert [int(place.rpartition(":")[2]) for place in row.chain][:2] == [
        line_of("with open(self.path"),
        line_of("text = [ConfigClient(path).fetch() if"),
    ]
    assert "rank 1 waits in broadcast" in row.detail
    again = run_ranks(f"{PROGRAMS}:leader_reads", 2, args=(config,), faults=[row.fault])
    assert (again.outcome, again.unfired) == ("deadlock", ())


def test_the_repaired_program_has_none(config: str) -> None:
    result = swept("leader_reads_in_step", config)
    assert {outcome for _, _, outcome in tried(result)} == {"completed"}
    assert len(result.rows) == 2
    assert result.parted == ()


def test_a_rank_that_leaves_with_the_exception_is_told_from_one_that_goes_on(config: str) -> None:
    result = swept("reads_on_every_rank", config)
    left = {(row.call, row.outcome): row.left for row in result.rows}
    assert left == {
        ("open", "completed"): "",
        ("file.read", "completed"): "",
        ("json.loads", "deadlock"): "json.decoder.JSONDecodeError",
    }


def test_calls_on_every_rank_fail_on_one_rank_at_a_time(config: str) -> None:
    assert tried(swept("in_a_task", config, world_size=3)) == [
        ("os.stat", rank, "deadlock") for rank in range(3)
    ]


def test_later_calls_of_one_place_are_tried_when_asked_for(config: str) -> None:
    result = swept("reads_on_every_rank", config, world_size=1, occurrences=2)
    assert [row.occurrence for row in result.rows if row.call == "open"] == [1, 2]
    assert len(result.rows) == 6
    assert {row.outcome for row in result.rows} == {"completed", "failed"}


@pytest.mark.parametrize("name", ["in_a_thread", "in_a_task"])
def test_calls_in_threads_and_tasks_are_tried(config: str, name: str) -> None:
    assert tried(swept(name, config)) == [("os.stat", 0, "deadlock"), ("os.stat", 1, "deadlock")]


def test_a_thread_that_the_failure_ends_is_told_from_one_that_catches_it(config: str, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    for result in (swept("in_a_thread", config, state=state), swept("in_a_thread", config, state=state)):
        assert {(row.left, row.thread) for row in result.rows} == {("", "worker")}
        assert "  rank 0 goes on without thread worker" in result.report().splitlines()
    assert result.resumed == 2
    assert {row.thread for row in swept("in_a_task", config).rows} == {""}


def test_a_call_by_another_name_is_tried(config: str) -> None:
    result = swept("callback_of_another_name", config)
    assert {row.outcome for row in result.rows} == {"deadlock"}


def test_a_program_in_which_nothing_may_fail_has_no_rows() -> None:
    result = swept("does_nothing_that_may_fail")
    assert (result.rows, result.untried, result.baseline.outcome) == ((), (), "completed")
    assert "0 failing calls tried" in result.report()


def test_a_call_that_is_not_made_again_is_said(tmp_path: Path, config: str) -> None:
    result = swept("fails_only_without_a_fault_nearby", config)
    assert {(row.call, row.outcome, row.detail) for row in result.rows if row.call == "os.listdir"} == {
        ("os.listdir", "not injected", "the call was not made this time")
    }


def test_only_calls_of_the_files_asked_for_are_tried(config: str, tmp_path: Path) -> None:
    assert swept("leader_reads", config, world_size=1, within=[tmp_path]).rows == ()
    assert len(swept("leader_reads", config, world_size=1, within=[PROGRAMS]).rows) == 2


def test_a_program_that_does_not_complete_by_itself_is_refused_with_its_report() -> None:
    with pytest.raises(RunError, match="completes without a fault") as caught:
        swept("deadlocks_by_itself")
    assert "rank 0 waits in barrier" in str(caught.value)


def test_a_program_that_joins_its_group_itself_is_swept_when_that_is_said(config: str) -> None:
    with pytest.raises(RunError, match="with init_group=False it may do so itself"):
        swept("joins_itself", config)
    result = swept("joins_itself", config, init_group=False)
    assert tried(result) == [("os.stat", 0, "deadlock"), ("os.stat", 1, "deadlock")]
    assert "rank 1 waits in new_group (init_process_group)" in result.deadlocks[0].detail


@pytest.mark.parametrize("options", [{"occurrences": 0}, {"timeout": 0.0}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="from 1 on, and above 0"):
        swept("does_nothing_that_may_fail", **options)


# --- the report


def test_the_report_is_a_table_and_a_fault_to_copy(of_the_leader: SweepResult) -> None:
    report = of_the_leader.report()
    place = f"tests/runtime/swept.py:{line_of('with open(self.path')}"
    lines = report.splitlines()
    assert lines[0].startswith("swept.py:leader_reads on 2 ranks: 2 failing calls tried in ")
    assert lines[0].endswith("2 of them lead to a deadlock")
    assert lines[2].split() == ["place", "call", "rank", "why", "raises", "outcome"]
    assert lines[3].split() == [place, "open", "0", "file", "OSError", "deadlock"]
    assert f"  shown by Fault(0, 'builtins.open', at='{place}', raises='OSError')" in lines
    assert "  rank 0 catches the failure and goes on" in lines


def test_every_file_in_the_report_is_named_from_the_working_directory(
    of_the_leader: SweepResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the table, on the way to the call, and where the others wait."""
    monkeypatch.chdir(PROGRAMS.parents[2])
    report = of_the_leader.report()
    caller = line_of("text = [ConfigClient(path).fetch() if")
    assert str(PROGRAMS.parent) not in report
    assert f"  called from tests/runtime/swept.py:{caller}\n" in report
    assert f" at tests/runtime/swept.py:{caller + 1} for rank 0 (ended)" in report


# --- ending early, and going on


def test_no_run_begins_once_the_time_is_up(config: str) -> None:
    result = swept("looks_three_times", config, world_size=1, time_limit=0.0)
    assert (result.rows, len(result.untried), result.interrupted) == ((), 3, False)
    assert "not tried (time was up):" in result.report()
    assert "swept.py" in result.untried[0]


@pytest.fixture
def interrupted_after_two(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ctrl-C arrives during the third run that has a failure in it."""
    attempt = sweeping._Plan.attempt
    attempts: list[int] = []

    def attempted(self: Any, trial: Any) -> Any:
        attempts.append(trial.call.rank)
        if len(attempts) == 3:
            raise KeyboardInterrupt
        return attempt(self, trial)

    monkeypatch.setattr(sweeping._Plan, "attempt", attempted)
    return attempts


def test_ctrl_c_keeps_what_was_found_and_the_next_sweep_goes_on_from_there(
    config: str, tmp_path: Path, interrupted_after_two: list[int]
) -> None:
    state = tmp_path / "state.jsonl"
    options: dict[str, Any] = {"world_size": 1, "occurrences": 2, "state": state}
    first = swept("reads_on_every_rank", config, **options)
    assert (first.interrupted, len(first.rows), len(first.untried)) == (True, 2, 4)
    assert "not tried (Ctrl-C):" in first.report()
    second = swept("reads_on_every_rank", config, **options)
    assert (second.interrupted, second.resumed, len(second.rows), second.untried) == (False, 2, 6, ())
    assert second.rows[:2] == first.rows
    assert "(2 of them before)" in second.report()
    assert len(interrupted_after_two) == 3 + 4
    third = swept("reads_on_every_rank", config, **options)
    assert (third.resumed, third.rows) == (6, second.rows)


def test_a_state_of_other_sources_is_not_gone_on_from(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import os\ndef main(rank, world_size):\n    os.stat('/')\n")
    state = tmp_path / "state.jsonl"
    assert sweep(f"{program}:main", 1, state=state).resumed == 0
    assert sweep(f"{program}:main", 1, state=state).resumed == 1
    program.write_text("import os\ndef main(rank, world_size):\n    os.stat('.')\n")
    assert sweep(f"{program}:main", 1, state=state).resumed == 0


def test_a_state_that_was_cut_off_is_gone_on_from(config: str, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    assert len(swept("leader_reads", config, world_size=1, state=state).rows) == 2
    state.write_text(state.read_text()[:-20])
    assert swept("leader_reads", config, world_size=1, state=state).resumed == 1
    assert [json.loads(line) for line in state.read_text().splitlines()]


def test_a_state_of_another_group_is_not_gone_on_from(config: str, tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    for options in ({}, {"init_group": False}, {"init_group": False, "group_timeout": 30.0}):
        assert swept("looks_three_times", config, world_size=1, state=state, **options).resumed == 0
    assert swept("looks_three_times", config, world_size=1, state=state, **options).resumed == 3


@pytest.mark.parametrize("content", ["notes\n", '{"a": 1}\n', "[1]\n"])
def test_a_file_that_is_something_else_is_left_alone(config: str, tmp_path: Path, content: str) -> None:
    state = tmp_path / "notes.txt"
    state.write_text(content)
    with pytest.raises(ValueError, match="is not the state of a sweep"):
        swept("leader_reads", config, state=state)
    assert state.read_text() == content


# --- progress, and the command line


def test_progress_is_one_line_that_is_replaced(config: str, capfd: pytest.CaptureFixture[str]) -> None:
    swept("leader_reads", config, world_size=1, progress=True)
    parts = capfd.readouterr().err.split("\r\x1b[K")
    assert parts[1] == "the run without a fault"
    assert parts[3].startswith("1 of 2: ")
    assert parts[-1] == ""


def test_there_is_no_progress_where_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    swept("does_nothing_that_may_fail", world_size=1)
    assert capfd.readouterr().err == ""


COMMANDS = """
import os, torch.distributed as dist
def bug(rank, world_size):
    try:
        if rank == 0: os.stat("/")
        dist.barrier()
    except OSError: pass
def right(rank, world_size):
    os.stat("/")
def joins(rank, world_size):
    dist.init_process_group("gloo")
    bug(rank, world_size)
"""


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["bug", "2"], 1, "1 of them leads to a deadlock"),
        (["right", "1"], 0, "0 of them lead to a deadlock"),
        (["joins", "2", "--no-init-group"], 1, "2 of them lead to a deadlock"),
        # A wait that ends by itself is no deadlock: the rank that waited fails.
        (["bug", "2", "--group-timeout", "2"], 0, "0 of them lead to a deadlock"),
        (["right", "1", "--time-limit", "0"], 3, "not tried (time was up)"),
        (["absent", "2"], 2, "sweep: "),
        (["right", "0"], 2, "sweep: world_size=0"),
    ],
)
def test_the_exit_status_says_how_the_sweep_went(
    tmp_path: Path, arguments: list[str], status: int, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.py").write_text(COMMANDS)
    name, *rest = arguments
    assert main(["sweep", f"{tmp_path}/program.py:{name}", *rest]) == status
    output = capfd.readouterr()
    assert told in (output.err if status == 2 else output.out)


def test_ctrl_c_on_the_command_line_leaves_the_report_and_no_process(tmp_path: Path) -> None:
    """The signal that a terminal sends, in the midst of a run that would take long."""
    (tmp_path / "program.py").write_text(
        "import os, time\n"
        "def main(rank, world_size):\n"
        "    try: os.stat('/')\n"
        "    except OSError:\n"
        f"        with open({str(tmp_path / 'pid')!r}, 'w') as file: file.write(str(os.getpid()))\n"
        "        time.sleep(100)\n"
    )
    command = [sys.executable, "-m", "rslint_runtime.testing", "sweep", f"{tmp_path}/program.py:main", "1"]
    with subprocess.Popen([*command, "--timeout", "100"], stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60.0
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "not tried (Ctrl-C):" in output
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_it_is_a_module_to_be_run() -> None:
    command = [sys.executable, "-m", "rslint_runtime.testing", "sweep", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "exit status: 0 nothing found, 1 found" in ended.stdout

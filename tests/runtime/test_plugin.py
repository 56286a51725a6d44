"""The pytest plugin: what a test that runs ranks sees when they do not end as it expects."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Imported here once: what a pytest run inside this process imports first, is dropped at its end, and torch does not
# survive a second import.
import rslint_runtime.testing
import tomllib
import torch.distributed  # noqa: F401

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytest_plugins = ["pytester"]

# The plugin comes by its entry point where this version is installed, else by name.
INSTALLED = any(point.name == "rslint_ranks" for point in importlib.metadata.entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "rslint_runtime.pytest_plugin")

LEADER = """
import torch.distributed as dist
from rslint_runtime.testing import Fault


def start():
    return 7


def leader(rank, world_size):
    print(f"output of leader {rank}")
    if rank == 0:
        start()
    dist.barrier()
    return rank

"""


def outcomes(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    """Run the tests in `body`, which may refer to `leader` and `start`."""
    pytester.makepyfile(LEADER + body)
    return pytester.runpytest_inprocess(*PLUGIN, "--strict-markers", "-p", "no:cacheprovider", *options)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_functions_of_the_test_module_run_on_ranks(pytester: pytest.Pytester, mode: str) -> None:
    body = """
def test_it(rslint_ranks):
    assert rslint_ranks(leader).results == {0: 0, 1: 1}
    base = [10]
    def nested(rank, world_size, times):
        return base[0] * times + leader(rank, world_size)
    assert rslint_ranks(nested, 2, args=(2,)).results == {0: 20, 1: 21}
    assert rslint_ranks(lambda rank, world_size: base, 1).results == {0: base}
"""
    outcomes(pytester, body, f"--import-mode={mode}").assert_outcomes(passed=1)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_test_modules_in_packages_run_on_ranks_with_their_relative_imports(
    pytester: pytest.Pytester, mode: str
) -> None:
    package = pytester.mkpydir("package")
    (package / "helper.py").write_text("BASE = 40\n")
    (package / "test_inside.py").write_text(
        "from . import helper\n"
        "def by_name(rank, world_size): return helper.BASE + rank\n"
        "def test_it(rslint_ranks):\n"
        "    assert rslint_ranks(by_name).results == {0: 40, 1: 41}\n"
        "    assert rslint_ranks(lambda rank, world_size: by_name(rank, 2)).results == {0: 40, 1: 41}\n"
    )
    result = pytester.runpytest_inprocess(*PLUGIN, f"--import-mode={mode}", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_a_deadlock_fails_the_test_at_its_own_line_with_the_report(pytester: pytest.Pytester) -> None:
    body = """
def test_it(rslint_ranks):
    rslint_ranks(leader, faults=[Fault(0, "start", raises=ConnectionError)])
"""
    result = outcomes(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*rslint_ranks(leader, faults=*",
            "E*UnexpectedOutcome: deadlock, expected completed: rank 1 waits in barrier*",
            "*rslint_ranks, run 1: deadlock*",
            "*rank 0 raised ConnectionError*",
            "*output of leader 0",
        ]
    )
    result.stdout.no_fnmatch_line("*def __call__*")


def test_what_ranks_wrote_and_raised_is_shown_when_the_test_itself_fails(pytester: pytest.Pytester) -> None:
    body = """
def asserts(rank, world_size):
    print("computed", rank)
    assert rank + 1 == 4

def test_it(rslint_ranks):
    assert rslint_ranks(leader, 1).results == {0: "other"}

def test_rewritten(rslint_ranks):
    rslint_ranks(asserts)
"""
    result = outcomes(pytester, body)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*rslint_ranks, run 1: completed*", "*output of leader 0"])
    result.stdout.fnmatch_lines(["*AssertionError: assert (0 + 1) == 4", "*computed 1"])


def test_a_test_that_passes_shows_nothing(pytester: pytest.Pytester) -> None:
    result = outcomes(pytester, "def test_it(rslint_ranks): rslint_ranks(leader)", "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*output of leader*")


def test_the_outcome_may_be_another_and_any(pytester: pytest.Pytester) -> None:
    body = """
FAULTS = [Fault(0, "start", raises=ConnectionError)]

def test_it(rslint_ranks):
    assert rslint_ranks(leader, faults=FAULTS, expect="deadlock").outcome == "deadlock"
    assert rslint_ranks(leader, faults=FAULTS, expect=("failed", "deadlock")).errors[0].is_a("OSError")
    rslint_ranks(leader, faults=FAULTS, expect=None)
    assert [run.outcome for run in rslint_ranks.runs] == ["deadlock"] * 3
"""
    outcomes(pytester, body).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("leader, 0", "ValueError: world_size=0: it takes at least 1 rank, and at most 128"),
        ("leader, expect='fine'", "ValueError: expect='fine' is no outcome; there are completed, failed, *"),
        (
            "leader, faults=[Fault(1, 'start')]",
            "*UnexpectedOutcome: this never happened: raise RuntimeError at call 1 of start*",
        ),
        (
            "lambda rank, world_size: request",
            "TypeError: *it captures 'request', a *Request, which cannot be *",
        ),
        ("leader, faults=[Fault(0, 'absent')]", "*RunError: *fault target 'absent' cannot be resolved*"),
    ],
)
def test_bad_use_is_one_line_at_the_line_of_the_test(pytester: pytest.Pytester, call: str, text: str) -> None:
    result = outcomes(pytester, f"def test_it(rslint_ranks, request): rslint_ranks({call})")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E*{text}"])
    result.stdout.no_fnmatch_line("*def __call__*")
    result.stdout.no_fnmatch_line("*def run_ranks*")


def test_faults_that_need_not_fire(pytester: pytest.Pytester) -> None:
    body = """
def test_it(rslint_ranks):
    assert rslint_ranks(leader, faults=[Fault(1, "start")], unfired_faults=True).unfired == (0,)
"""
    outcomes(pytester, body).assert_outcomes(passed=1)


def test_without_torch_only_a_test_that_uses_the_fixture_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        """
        def program(rank, world_size): ...
        def test_other(): ...
        def test_it(rslint_ranks): rslint_ranks(program)
        """
    )
    monkeypatch.setitem(sys.modules, "torch", None)
    result = pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*RunError: run_ranks needs torch: pip install 'rslint-runtime?torch?'"])


def test_the_time_of_a_run_is_an_option(pytester: pytest.Pytester) -> None:
    body = """
import time
def sleeps(rank, world_size): time.sleep(60)
def test_it(rslint_ranks):
    assert rslint_ranks(sleeps, 1, expect="timeout").seconds < 30
"""
    outcomes(pytester, body, "-o", "rslint_ranks_timeout=0.5").assert_outcomes(passed=1)
    result = outcomes(pytester, body, "-o", "rslint_ranks_timeout=soon")
    result.stdout.fnmatch_lines(["*rslint_ranks_timeout = soon: a number of seconds is needed"])


def test_the_entry_point_loads_the_plugin_and_its_name_turns_it_off(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path(rslint_runtime.__file__).parents[1] / "pyproject.toml"
    points = {"rslint_ranks": "rslint_runtime.pytest_plugin"}
    if project.is_file():
        points = tomllib.loads(project.read_text())["project"]["entry-points"]["pytest11"]
    installed = pytester.mkdir("installed") / "rslint_runtime-0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: rslint-runtime\nVersion: 0\n")
    lines = [f"{name} = {module}\n" for name, module in points.items()]
    (installed / "entry_points.txt").write_text("[pytest11]\n" + "".join(lines))
    monkeypatch.syspath_prepend(installed.parent)
    pytester.makepyfile("def test_it(rslint_ranks): ...")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    result = pytester.runpytest_inprocess("-p", "no:rslint_ranks", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'rslint_ranks' not found"])


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import rslint_runtime.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in listed.stdout.split()}
    assert "rslint_runtime" in loaded
    assert not loaded & {"torch", "numpy", "asyncio", "multiprocessing"}
    assert "rslint_runtime.testing" not in listed.stdout.split()


# --- beside other plugins

SERVERS = """
import os, pathlib, pytest, time
def tells(rank, world_size, directory):
    (pathlib.Path(directory) / f"{os.getpid()}").write_text(str(os.getppid()))
    if directory.endswith("hangs"):
        time.sleep(120)
"""


def pytest_in_a_process(
    pytester: pytest.Pytester, body: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """A run with no plugins but ours and those that `options` name."""
    pytester.makepyfile(SERVERS + body)
    command = [sys.executable, "-m", "pytest", "-p", "rslint_runtime.pytest_plugin", *options]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=pytester.path,
        env=dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_every_xdist_worker_has_a_fork_server_that_ends_with_it(pytester: pytest.Pytester) -> None:
    there = pytester.mkdir("there")
    body = f"""
@pytest.mark.parametrize("number", range(4))
def test_it(rslint_ranks, number):
    rslint_ranks(tells, args=({str(there)!r},))
    for _ in range(500):  # until the other worker has run one as well
        if len({{path.read_text() for path in pathlib.Path({str(there)!r}).iterdir()}}) == 2:
            return
        time.sleep(0.02)
"""
    run = pytest_in_a_process(pytester, body, "-p", "xdist", "-n", "2")
    assert "4 passed" in run.stdout, run.stdout + run.stderr
    servers = {int(path.read_text()) for path in there.iterdir()}
    assert len(servers) == 2
    assert all(gone(pid) for pid in servers)


def test_tests_that_pytest_timeout_ends_leave_no_process(pytester: pytest.Pytester) -> None:
    """By a signal, after which other tests go on, and from a thread, which ends pytest at once."""
    there = pytester.mkdir("hangs")
    body = f"""
def test_warm(rslint_ranks):
    rslint_ranks(lambda rank, world_size: None, 1)

@pytest.mark.timeout(4, method="signal")
def test_signal(rslint_ranks):
    rslint_ranks(tells, 1, args=({str(there)!r},))

@pytest.mark.timeout(4, method="thread")
def test_thread(rslint_ranks):
    rslint_ranks(tells, 1, args=({str(there)!r},))
"""
    run = pytest_in_a_process(pytester, body, "-p", "pytest_timeout", "--timeout=60", "-v")
    assert "test_warm PASSED" in run.stdout, run.stdout + run.stderr
    assert "test_signal FAILED" in run.stdout
    assert "test_thread" in run.stdout
    assert "Timeout" in run.stdout + run.stderr
    ranks = {int(path.name) for path in there.iterdir()}
    servers = {int(path.read_text()) for path in there.iterdir()}
    assert (len(ranks), len(servers)) == (2, 1)
    assert all(gone(pid) for pid in ranks | servers)

"""The pytest plugin: what a test that runs ranks sees when they do not end as it expects."""

from __future__ import annotations

import importlib.metadata

import pytest

# Imported here once: what a pytest run inside this process imports first, is dropped at its end, and torch does not
# survive a second import.
import rslint_runtime.testing  # noqa: F401
import torch.distributed  # noqa: F401

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

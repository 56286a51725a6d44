"""Every row of the table in the connector's README, on gloo ranks and with a real manager process."""

from __future__ import annotations

import importlib.util
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rslint_runtime.testing import RunResult, run_ranks

from tests.connector.table import VARIANTS, Row, rows

CONNECTOR = Path(__file__).parents[2] / "fixtures" / "RS101" / "connector"
PROGRAM = f"{Path(__file__).with_name('ranks.py')}:run"
ROWS = tuple(rows(CONNECTOR / "README.md"))
WRITTEN = tuple(variant for variant in VARIANTS if (CONNECTOR / f"{variant}.py").exists())
CASES = [
    pytest.param(row, world_size, variant, id=f"{row.number}-{world_size}-{variant}")
    for row in ROWS
    for world_size in row.world_sizes
    for variant in WRITTEN
]


def _loaded(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"connector_{name}", CONNECTOR / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Service:
    """A manager that runs, and the connector on ranks against it; each run is an instance of its own."""

    def __init__(self, endpoint: str, storage: Path) -> None:
        self.endpoint = endpoint
        self._storage = storage
        self._debug = _loaded("client").DebugClient(endpoint)
        self._instances = 0

    def run(self, variant: str, world_size: int, steps: tuple[str, ...]) -> tuple[RunResult, str]:
        """How the ranks ended, and the states of the write sessions afterwards, the oldest first."""
        self._instances += 1
        instance_id = f"instance-{self._instances}"
        args = (variant, self.endpoint, instance_id, str(self._storage), steps)
        try:
            result = run_ranks(PROGRAM, world_size, args=args)
        finally:
            self._debug.heal()
        return result, ", ".join(self._debug.session_states(instance_id)) or "none"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    storage = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        with _loaded("manager").running(storage) as endpoint:
            yield Service(endpoint, storage)


def answered(result: RunResult) -> str:
    """The answers of all ranks in the words of the table."""
    if result.outcome != "completed":
        return result.outcome
    by_rank: Mapping[int, Any] = result.results
    words = {rank: " ".join(answers) for rank, answers in by_rank.items()}
    if len(set(words.values())) == 1:
        return f"all: {words[0]}"
    peers = {word for rank, word in words.items() if rank != 0}
    if len(peers) == 1:
        return f"rank 0: {words[0]}; others: {peers.pop()}"
    return "; ".join(f"rank {rank}: {word}" for rank, word in sorted(words.items()))


@pytest.mark.parametrize(("row", "world_size", "variant"), CASES)
def test_ranks_answer_and_sessions_end_as_the_table_says(
    row: Row, world_size: int, variant: str, service: Service
) -> None:
    result, sessions = service.run(variant, world_size, row.steps)
    assert answered(result) == row.answers[variant], result.report()
    assert sessions == row.sessions[variant]
    assert result.unfired == ()


def test_the_table_has_every_row_that_was_promised() -> None:
    numbers = [row.number for row in ROWS]
    assert len(set(numbers)) == len(numbers)
    promised = {f"FI-{n}" for n in range(1, 8)} | {f"MR-{n}" for n in range(1, 6)} | {"N-1", "N-2", "N-3"}
    assert promised <= set(numbers)
    assert all({2, 3} <= set(row.world_sizes) for row in ROWS if row.number.startswith("MR-"))


def test_without_faults_all_variants_answer_alike() -> None:
    for row in ROWS:
        if row.number in ("N-1", "N-2", "N-3", "MR-1", "MR-2"):
            assert len(set(row.answers.values())) == 1
            assert len(set(row.sessions.values())) == 1


def test_the_hang_is_proven_and_says_who_waits_for_whom(service: Service) -> None:
    result, _ = service.run("bug", 3, ("fail StartWriteCache", "set a b"))
    assert result.outcome == "deadlock"
    assert {wait.rank for wait in result.waiting} == {1, 2}
    for wait in result.waiting:
        assert wait.collective.call == "broadcast_object_list"
        assert wait.missing[0] == (0, "ended")
    assert result.seconds < 10


def test_hardening_costs_no_collective(service: Service) -> None:
    steps = ("set a b", "set a b", "get a b", "exists a b")
    sequences = {
        variant: {
            rank: [each.call for each in entered]
            for rank, entered in service.run(variant, 2, steps)[0].sequences.items()
        }
        for variant in WRITTEN
    }
    assert len(sequences["bug"][0]) > 0
    assert all(each == sequences["bug"] for each in sequences.values())


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("only_first_parts 2", "0 parts of tp_1 for 2 blocks"),
        ("answer no-locations", "0 locations for 2 missing blocks"),
        ("answer short-mask", "a mask of 1 for 2 blocks"),
    ],
)
def test_a_length_error_is_logged_as_what_it_is(step: str, message: str, service: Service) -> None:
    result, _ = service.run("hardened", 2, (step, "set a b"))
    assert answered(result) == "all: FF"
    assert f"MalformedReply: {message}" in result.output[1]
    assert "transfer failed" not in result.output[1]


def test_the_manager_process_has_ended_with_its_context(tmp_path: Path) -> None:
    with (
        _loaded("manager").running(tmp_path) as endpoint,
        urllib.request.urlopen(f"{endpoint}/health") as reply,
    ):
        assert reply.status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{endpoint}/health", timeout=1)

"""What functions tell their callers: records that can be stored, and the same ones in whatever order files are read."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rslint.flow.analysis import Analysis, analyse, record_of
from rslint.flow.forest import Forest
from rslint.flow.record import FunctionRecord
from rslint.project.index import build_index
from rslint.project.project import Project
from tests.flow.trees import project_of, shown, written

FIXTURES = Path(__file__).parents[2] / "fixtures"
FILES = {
    "app/__init__.py": "",
    "app/client.py": """
        import requests

        class ManagerClient:
            def ask(self, url):
                return requests.get(url).json()
        """,
    "app/base.py": """
        import os
        from app.client import ManagerClient

        class Base:
            def __init__(self, rank):
                self.client = ManagerClient()
                self.leads = rank == 0
                self.pending = []

            def expire(self, path):
                if os.path.exists(path):
                    self.pending.append(path)

            def agree(self, value):
                dist.broadcast_object_list([value], src=0)
                return value
        """,
    "app/worker.py": """
        from contextlib import contextmanager
        from app.base import Base

        class Worker(Base):
            def step(self, x):
                answer = self.client.ask(x)
                if self.pending:
                    return answer
                with self.together():
                    dist.all_reduce(x)
                return self.agree(answer)

            @contextmanager
            def together(self):
                yield
                dist.barrier()

            def lead(self, x):
                if self.leads:
                    dist.broadcast(x, 0)
                for item in x:
                    self.step(item)
        """,
    "app/main.py": """
        import threading
        from app.worker import Worker

        def loop(worker: Worker, x):
            try:
                worker.step(x)
            except Exception:
                return

        def start(worker: Worker, x):
            threading.Thread(target=worker.lead, args=(x,)).start()
        """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A package of several modules, and beside it every second faulty program of the fixtures."""
    folder = tmp_path_factory.mktemp("project").resolve()
    written(folder, FILES)
    for program in sorted(FIXTURES.glob("RS10*/*/bug.py"))[::2]:
        copy = folder / program.parent.parent.name / program.parent.name.replace("-", "_") / program.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(program.read_bytes())
    return project_of(folder)


@pytest.fixture(scope="module")
def analysis(project: Project) -> Analysis:
    return analyse(project, build_index(project, 1))


def records(analysis: Analysis) -> dict[str, FunctionRecord]:
    return {identity: record_of(analysis, identity) for identity in sorted(analysis.effects)}


def test_the_project_has_something_of_everything(analysis: Analysis) -> None:
    """Otherwise the other tests would say little."""
    all_records = records(analysis).values()
    assert len(analysis.suspects) > 20
    for part in ("effect", "raises", "returns", "evidence", "sites"):
        assert any(len(getattr(record, part)) > 0 for record in all_records), part


def test_every_record_comes_back_from_bytes_as_it_was(analysis: Analysis) -> None:
    for identity, record in records(analysis).items():
        stored = msgspec.msgpack.encode(record)
        found = msgspec.msgpack.decode(stored, type=FunctionRecord)
        assert msgspec.msgpack.encode(found) == stored, identity
        assert msgspec.structs.replace(found, effect=()) == msgspec.structs.replace(record, effect=())
        assert found.identity == identity


def test_the_tree_of_a_record_can_be_read_elsewhere(analysis: Analysis) -> None:
    k, elsewhere = analysis.knowledge, Forest()
    for identity, record in records(analysis).items():
        assert shown(elsewhere, elsewhere.decode(list(record.effect))) == shown(k.forest, k.effects[identity])


def test_the_tree_of_a_stored_record_can_be_read_elsewhere(analysis: Analysis) -> None:
    k, elsewhere = analysis.knowledge, Forest()
    for identity, record in records(analysis).items():
        found = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=FunctionRecord)
        assert shown(elsewhere, elsewhere.decode(list(found.effect))) == shown(k.forest, k.effects[identity])


def test_records_and_suspects_do_not_depend_on_the_order_of_files(
    project: Project, analysis: Analysis
) -> None:
    files = list(project.files)
    random.Random(1).shuffle(files)
    shuffled = dataclasses.replace(project, files=tuple(files))
    other = analyse(shuffled, build_index(shuffled, 1))
    assert other.suspects == analysis.suspects
    assert msgspec.msgpack.encode(records(other)) == msgspec.msgpack.encode(records(analysis))


def test_records_do_not_depend_on_what_was_asked_before(project: Project, analysis: Analysis) -> None:
    """All suspects have been asked for; here the records are asked for first, the last function first."""
    assert analysis.suspects
    fresh = analyse(project, build_index(project, 1))
    asked = {identity: record_of(fresh, identity) for identity in sorted(fresh.effects, reverse=True)}
    assert msgspec.msgpack.encode(dict(sorted(asked.items()))) == msgspec.msgpack.encode(records(analysis))


def check(paths: list[Path], *options: str, hash_seed: int) -> list[dict[str, object]]:
    """The findings of a run of its own."""
    arguments = ["-m", "rslint", "check", "--isolated", "--preview", "--exit-zero", "--output-format", "json"]
    run = subprocess.run(
        [sys.executable, *arguments, *options, *map(str, paths)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: list[dict[str, object]] = json.loads(run.stdout)
    return found


def test_the_report_is_the_same_for_every_hash_seed_and_order_of_paths(project: Project) -> None:
    paths = sorted(project.root.glob("*")) + sorted(project.root.glob("app/*.py"))
    expected = check(paths, "-j", "1", hash_seed=0)
    assert len(expected) > 20
    random.Random(3).shuffle(paths)
    assert check(paths, "-j", "2", hash_seed=4711) == expected

"""A fault raises at its call, whatever kind of function it names and whoever holds a reference to it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from rslint_runtime.testing.faults import Fault, FaultTargetError, Setting

SOURCE = """
class Client:
    def start(self): return "started"
    @staticmethod
    def ping(): return "pong"
    @classmethod
    def make(cls): return cls.__name__
    limit = 3
def fetch(): return "fetched"
async def fetch_later(): return "fetched"
class Refused(OSError): pass
"""


@pytest.fixture
def program() -> Iterator[ModuleType]:
    module = ModuleType("program_with_faults")
    exec(SOURCE, module.__dict__)
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def fired_by(module: ModuleType, **options: object) -> list[str]:
    fired: list[str] = []
    Fault(0, **options).install(Setting(module, 0, lambda: fired.append("fired")))  # type: ignore[arg-type]
    return fired


def test_only_the_nth_call_raises(program: ModuleType) -> None:
    fired = fired_by(program, target="Client.start", nth=2, raises=ConnectionError, message="down")
    client = program.Client()
    assert client.start() == "started"
    with pytest.raises(ConnectionError, match=r"^down$"):
        client.start()
    assert client.start() == "started"
    assert fired == ["fired"]


@pytest.mark.parametrize("target", ["Client.ping", "Client.make"])
def test_static_and_class_methods_stay_what_they_are(program: ModuleType, target: str) -> None:
    fired_by(program, target=target, nth=2)
    call = getattr(program.Client, target.rpartition(".")[2])
    assert call() in ("pong", "Client")
    with pytest.raises(RuntimeError, match=f"injected at call 2 of {target}"):
        call()


def test_a_coroutine_raises_when_awaited(program: ModuleType) -> None:
    fired_by(program, target="fetch_later", raises=TimeoutError)
    awaitable = program.fetch_later()
    with pytest.raises(TimeoutError):
        asyncio.run(awaitable)


def test_a_name_imported_elsewhere_is_the_same_function(program: ModuleType) -> None:
    other = ModuleType("other_program")
    other.fetch = program.fetch  # type: ignore[attr-defined]
    sys.modules[other.__name__] = other
    try:
        fired_by(program, target="program_with_faults.fetch")
        with pytest.raises(RuntimeError):
            other.fetch()
    finally:
        del sys.modules[other.__name__]


@pytest.mark.parametrize("raises", ["Refused", "program_with_faults.Refused", "builtins.OSError", "OSError"])
def test_the_type_may_be_named(program: ModuleType, raises: str) -> None:
    fired_by(program, target="fetch", raises=raises)
    with pytest.raises(OSError, match="injected"):
        program.fetch()


@pytest.mark.parametrize(
    "options",
    [
        {"target": "Client.limit"},
        {"target": "Client.absent"},
        {"target": "fetch", "raises": "Absent"},
    ],
)
def test_what_cannot_be_found_or_called_is_said(program: ModuleType, options: dict[str, str]) -> None:
    with pytest.raises(FaultTargetError):
        fired_by(program, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"rank": -1},
        {"rank": True},
        {"rank": ()},
        {"rank": (0, -1)},
        {"rank": "all"},
        {"nth": 0},
        {"nth": range(3)},
        {"nth": range(3, 3)},
        {"nth": 1.5},
    ],
)
def test_ranks_and_calls_are_checked_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nth from 1"):
        Fault(**{"rank": 0, "target": "f", **options})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"target": ""}, "needs a target, or a place"),
        ({"raises": OSError, "returns": None}, "one of raises, kills and returns"),
        ({"kills": 9, "returns": 0}, "one of raises, kills and returns"),
        ({"delays": -1.0}, "not below 0"),
        ({"at": "client.py"}, 'a place is "file.py:12"'),
        ({"at": "client.py:3", "returns": 1}, "cannot go with at"),
    ],
)
def test_what_contradicts_itself_is_refused_at_once(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Fault(**{"rank": 0, "target": "f", **options})


def test_a_call_can_be_held_back_and_goes_on(program: ModuleType) -> None:
    seen: list[tuple[object, ...]] = []
    assert fired_by(program, target="Client.start", nth=2, holds=lambda *args: seen.append(args)) == []
    client = program.Client()
    assert [client.start() for _ in range(3)] == ["started"] * 3
    assert seen == [(client,)]


def test_what_holds_a_call_back_may_be_named(program: ModuleType) -> None:
    program.held = []
    exec("def hold(): held.append('held')", program.__dict__)
    fired_by(program, target="fetch", holds="hold")
    assert program.fetch() == "fetched"
    assert program.held == ["held"]


def test_what_holds_a_call_back_has_to_be_a_function(program: ModuleType) -> None:
    with pytest.raises(FaultTargetError, match="is not a function"):
        fired_by(program, target="fetch", holds="Client.limit")

"""A fault raises at its call, whatever kind of function it names and whoever holds a reference to it."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rslint_runtime.testing import call_watch
from rslint_runtime.testing.faults import Fault, FaultTargetError, Setting

SOURCE = """
import collections, functools
class Client:
    def start(self): return "started"
    @staticmethod
    def ping(): return "pong"
    @classmethod
    def make(cls): return cls.__name__
    limit = 3
    @property
    def state(self): return "ready"
    @functools.cached_property
    def cached(self): return "ready"
def fetch(): return "fetched"
async def fetch_later(): return "fetched"
class Refused(OSError): pass
class Special(Client):
    def stop(self): return super().start().replace("tart", "topp")
Point = collections.namedtuple("Point", "x")
class Proxy:
    def __getattr__(self, name): return lambda: name
def adds(value, *, more=10):
    "Adds ten."
    return value + more
def closed():
    return lambda value: adds(value)
def pages(count):
    for page in range(count): yield page
def echo():
    said = None
    while True: said = yield said
async def stream(count):
    for item in range(count): yield item
"""

WATCHED = """\
"A program whose calls have places."

def take(table):
    first = table.pop("a")
    return first

def opens(_): return Box().open()

class Box:
    def open(self): return "open"

def count():
    yield from (0, 1, 2)

def counts():
    return list(count())
"""
CALLS = {
    "builtins.open": "open(os.devnull)",
    "os.stat": "os.stat(os.devnull)",
    "json.loads": "json.loads('1')",
    "socket.socket.connect": "socket.socket().connect(('127.0.0.1', 0))",
}


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


def test_a_type_that_a_message_does_not_make_is_refused_before_the_program_runs(program: ModuleType) -> None:
    with pytest.raises(FaultTargetError, match=r"UnicodeDecodeError cannot be made from a message alone"):
        fired_by(program, target="fetch", raises=UnicodeDecodeError)


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
        ({"kills": 0}, "is no signal"),
        ({"delays": -1.0}, "not below 0"),
        ({"at": "client.py"}, 'a place is "file.py:12"'),
        ({"at": "client.py:3", "returns": 1}, "cannot go with at"),
        ({"delays": float("nan")}, "not below 0"),
        ({"delays": "1"}, "not below 0"),
        ({"raises": int}, "int is no exception"),
        ({"target": 5}, "named by text, not by target=5"),
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


# --- whatever holds the function, and whatever kind it is


def test_references_taken_before_are_the_same_function(program: ModuleType) -> None:
    client = program.Client()
    held = {"bound": client.start, "table": {"start": program.Client.start}, "closure": program.closed()}
    fired_by(program, target="Client.start", nth="every")
    fired_by(program, target="adds", nth=1)
    for call in (held["bound"], lambda: held["table"]["start"](client), lambda: held["closure"](1)):
        with pytest.raises(RuntimeError, match="injected"):
            call()
    assert held["closure"](1) == 11


def test_a_changed_function_looks_as_before(program: ModuleType) -> None:
    before = inspect.signature(program.adds)
    for target in ("adds", "fetch_later", "pages", "stream"):
        fired_by(program, target=target, nth=9)
    assert program.adds(1, more=5) == 6
    assert program.adds(1) == 11
    assert inspect.signature(program.adds) == before
    assert (program.adds.__name__, program.adds.__doc__) == ("adds", "Adds ten.")
    assert inspect.iscoroutinefunction(program.fetch_later)
    assert inspect.isgeneratorfunction(program.pages)
    assert inspect.isasyncgenfunction(program.stream)


def test_an_inherited_method_is_changed_for_the_class_named_alone(program: ModuleType) -> None:
    fired_by(program, target="Special.start", nth="every")
    assert program.Client().start() == "started"
    with pytest.raises(RuntimeError):
        program.Special().start()


def test_a_method_that_calls_super_goes_on(program: ModuleType) -> None:
    fired_by(program, target="Special.stop", nth=2)
    assert program.Special().stop() == "stopped"


@pytest.mark.parametrize("target", ["Client.state", "Client.cached"])
def test_a_property_raises_when_it_is_read(program: ModuleType, target: str) -> None:
    fired_by(program, target=target)
    with pytest.raises(RuntimeError):
        getattr(program.Client(), target.rpartition(".")[2])


def test_a_class_means_its_constructor_and_stays_a_class(program: ModuleType) -> None:
    fired_by(program, target="Client")
    with pytest.raises(RuntimeError):
        program.Client()
    assert isinstance(program.Client(), program.Client)


def test_a_class_that_makes_its_objects_in_new_still_gets_their_arguments(program: ModuleType) -> None:
    fired_by(program, target="Point", nth=2)
    assert program.Point(1).x == 1
    with pytest.raises(RuntimeError):
        program.Point(2)


def test_what_an_object_makes_up_when_it_is_asked_can_fail(program: ModuleType) -> None:
    program.proxy = program.Proxy()
    fired_by(program, target="proxy.anything")
    with pytest.raises(RuntimeError):
        program.proxy.anything()
    assert program.proxy.other() == "other"


def test_a_signal_that_the_program_handles_lets_the_call_go_on(program: ModuleType) -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: caught.append(number))
    try:
        fired_by(program, target="fetch", kills=signal.SIGUSR1)
        assert program.fetch() == "fetched"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught == [signal.SIGUSR1]


def test_a_method_of_an_object_of_the_module(program: ModuleType) -> None:
    program.client = program.Client()
    fired_by(program, target="client.start")
    assert program.Client().start() == "started"
    with pytest.raises(RuntimeError):
        program.client.start()


def test_a_generator_raises_when_its_first_item_is_asked_for(program: ModuleType) -> None:
    fired_by(program, target="pages", nth=2)
    assert list(program.pages(2)) == [0, 1]
    later = program.pages(2)
    with pytest.raises(RuntimeError):
        next(later)


def test_what_is_sent_into_a_generator_arrives(program: ModuleType) -> None:
    fired_by(program, target="echo", nth=9)
    running = program.echo()
    next(running)
    assert running.send("hello") == "hello"


def test_an_async_generator_raises_and_goes_on(program: ModuleType) -> None:
    fired_by(program, target="stream", nth=2)

    async def read() -> list[int]:
        return [item async for item in program.stream(2)]

    assert asyncio.run(read()) == [0, 1]
    with pytest.raises(RuntimeError):
        asyncio.run(read())


@pytest.mark.parametrize("target", CALLS)
def test_functions_of_the_standard_library(target: str) -> None:
    # In a process of its own: what is replaced in builtins and os stays so.
    source = (
        "from rslint_runtime.testing.faults import Fault, Setting\n"
        "import json, os, socket, sys\n"
        f"fault = Fault(0, {target!r}, raises=OSError, message='chosen')\n"
        "fault.install(Setting(sys.modules['__main__'], 0, lambda: None))\n"
        f"try: {CALLS[target]}\n"
        "except OSError as error: print(error, end='')\n"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("chosen", "")


def test_a_type_in_c_cannot_be_changed_and_the_error_says_what_to_do(program: ModuleType) -> None:
    with pytest.raises(FaultTargetError, match=r'dict is written in C.*at="file\.py:12"'):
        fired_by(program, target="dict.get")


# --- which calls


def failing(call: Callable[[], object], times: int) -> list[int]:
    """At which of so many calls it raised."""
    raised = []
    for number in range(1, times + 1):
        try:
            call()
        except RuntimeError:
            raised.append(number)
    return raised


@pytest.mark.parametrize(
    ("nth", "raised"),
    [(1, [1]), (4, [4]), (range(2, 4), [2, 3]), ((1, 5), [1, 5]), ("every", [1, 2, 3, 4, 5])],
)
def test_calls_are_counted_from_one(program: ModuleType, nth: Any, raised: list[int]) -> None:
    fired = fired_by(program, target="fetch", nth=nth)
    assert failing(program.fetch, 5) == raised
    assert len(fired) == len(raised)


def test_calls_are_counted_over_all_threads(program: ModuleType) -> None:
    fired_by(program, target="fetch", nth=range(1, 101))
    with ThreadPoolExecutor(8) as executor:
        raised = list(executor.map(lambda _: len(failing(program.fetch, 20)), range(8)))
    assert sum(raised) == 100


def test_a_fault_is_over_as_soon_as_its_predicate_says_so(program: ModuleType) -> None:
    program.healed = False
    exec("def is_healed(*args): return healed", program.__dict__)
    fired_by(program, target="fetch", nth="every", until="is_healed")
    assert failing(program.fetch, 2) == [1, 2]
    program.healed = True
    assert failing(program.fetch, 2) == []
    program.healed = False
    assert failing(program.fetch, 2) == []


# --- what happens


def test_a_call_may_be_answered_instead(program: ModuleType) -> None:
    fired_by(program, target="fetch", returns=None, nth=range(2, 4))
    assert [program.fetch() for _ in range(4)] == ["fetched", None, None, "fetched"]


def test_a_coroutine_and_a_generator_may_be_answered_too(program: ModuleType) -> None:
    fired_by(program, target="fetch_later", returns="other")
    fired_by(program, target="pages", returns=[7, 8])
    fired_by(program, target="stream", returns=[9])
    assert asyncio.run(program.fetch_later()) == "other"
    assert list(program.pages(1)) == [7, 8]

    async def read() -> list[int]:
        return [item async for item in program.stream(2)]

    assert asyncio.run(read()) == [9]


def test_a_delayed_call_is_made_and_one_may_raise_after_a_delay(program: ModuleType) -> None:
    fired_by(program, target="fetch", delays=0.05)
    fired_by(program, target="fetch_later", delays=0.05, raises=TimeoutError)
    started = time.monotonic()
    assert program.fetch() == "fetched"
    with pytest.raises(TimeoutError):
        asyncio.run(program.fetch_later())
    assert time.monotonic() - started >= 0.1


def test_a_delayed_coroutine_lets_others_run(program: ModuleType) -> None:
    fired_by(program, target="fetch_later", delays=0.05)
    order: list[str] = []

    async def both() -> None:
        async def first() -> None:
            order.append(await program.fetch_later())

        async def second() -> None:
            order.append("meanwhile")

        await asyncio.gather(first(), second())

    asyncio.run(both())
    assert order == ["meanwhile", "fetched"]


def test_a_coroutine_can_be_held_back_by_a_coroutine(program: ModuleType) -> None:
    seen: list[str] = []

    async def hold() -> None:
        await asyncio.sleep(0)
        seen.append("held")

    fired_by(program, target="fetch_later", holds=hold)
    assert asyncio.run(program.fetch_later()) == "fetched"
    assert seen == ["held"]


def test_a_fault_that_is_off_neither_acts_nor_counts(program: ModuleType) -> None:
    on: list[bool] = []
    Fault(0, "fetch", nth=2).install(Setting(program, 0, lambda: None, is_on=lambda: bool(on)))
    assert failing(program.fetch, 3) == []
    on.append(True)
    assert failing(program.fetch, 3) == [2]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(0, "f"), "raise RuntimeError at call 1 of f on rank 0"),
        (Fault((0, 2), "f", nth="every", raises="a.B"), "raise a.B at every call of f on rank 0, 2"),
        (
            Fault("every", "f", nth=range(2, 9), delays=0.5),
            "delay by 0.5 s at call 2 to 8 of f on every rank",
        ),
        (Fault(1, at="a.py:3", kills=9), "kill with SIGKILL at call 1 made at a.py:3 on rank 1"),
        (Fault(1, "f", returns=None, holds="g"), "hold back and answer at call 1 of f on rank 1"),
    ],
)
def test_a_fault_says_what_it_does(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_a_name_that_is_nearly_right_gets_a_suggestion(program: ModuleType) -> None:
    with pytest.raises(FaultTargetError, match=r"did you mean 'Client\.start'\?"):
        fired_by(program, target="Client.strat")


# --- by place


@pytest.fixture
def watched_program(tmp_path: Path) -> Iterator[ModuleType]:
    """A module in a file, so that its calls have places; the watching ends with the test."""
    path = tmp_path / "watched.py"
    path.write_text(WATCHED, encoding="utf-8")
    module = ModuleType("watched")
    exec(compile(WATCHED, str(path), "exec"), module.__dict__)
    yield module
    call_watch.stop()


@pytest.mark.parametrize(
    ("target", "line"), [("", 4), ("dict.pop", 4), ("builtins.dict.pop", 4), ("Box.open", 7), ("open", 7)]
)
def test_a_call_can_be_named_by_its_place(watched_program: ModuleType, target: str, line: int) -> None:
    fired_by(watched_program, target=target, at=f"watched.py:{line}", raises=KeyError, message="chosen")
    with pytest.raises(KeyError, match="chosen"):
        watched_program.take({"a": 1}) if line == 4 else watched_program.opens(None)


def test_other_places_of_the_same_call_go_through(watched_program: ModuleType) -> None:
    fired = fired_by(watched_program, target="dict.pop", at="watched.py:5")
    assert watched_program.take({"a": 1}) == 1
    assert fired == []


def test_the_nth_call_at_a_place(watched_program: ModuleType) -> None:
    fired_by(watched_program, target="pop", at="watched.py:4", nth=3)
    assert failing(lambda: watched_program.take({"a": 1}), 4) == [3]


def test_a_generator_that_goes_on_is_no_call(watched_program: ModuleType) -> None:
    fired_by(watched_program, target="count", at="watched.py:16", nth=2)
    assert watched_program.counts() == [0, 1, 2]
    with pytest.raises(RuntimeError):
        watched_program.counts()


# --- the page about them

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_faults_of_the_page_are_valid() -> None:
    namespace: dict[str, Any] = {}
    first = PAGE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(first.replace(", run_ranks", ""), namespace)
    told = [str(value) for value in namespace.values() if isinstance(value, Fault)]
    assert len(told) == first.count("= Fault(") == 8

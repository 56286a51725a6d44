"""The ring and the flags on a CPU with a weak memory model: right with their fences, and not without any single one.

Each fence is a line `memory_fence()`. The tests find the lines, so one that is added later is tried as well, and has to
be needed in one of the scenarios.
"""

from __future__ import annotations

import ast
import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from rslint_runtime import (
    PeerDiedError,
    SharedCounter,
    SharedFlag,
    ShmRing,
    create,
    ring_audience,
    ring_members,
    ring_reader,
    ring_writer,
    shared_flag,
    waiting,
)
from rslint_runtime.testing import Overtaken, Stuck, litmus, weak_memory

Outcome = str
Scenario = Callable[[Any], bool]
SEEDS = range(2000)
FENCED = (ring_audience, ring_members, ring_reader, ring_writer, shared_flag)


def outcome(scenario: Scenario, seed: int) -> Outcome:
    try:
        with weak_memory(seed, most_accesses=30_000) as memory:
            return "right" if scenario(memory) else "wrong"
    except Overtaken:
        return "overtaken"
    except Stuck:
        return "stuck"
    except (OSError, ValueError, struct.error) as error:
        return f"raised {type(error).__name__}"


# Scenarios: what runs as the cores of the model, and whether it went right ------------------------------------------


def message_of(number: int) -> bytes:
    """Each message differs from its neighbours in every byte; every seventh is too long for a slot."""
    return bytes([1 + number % 251]) * (150 if number % 7 == 6 else 40 + number % 13)


def sent(count: int) -> list[bytes]:
    return [message_of(number) for number in range(count)]


def send(ring: ShmRing, count: int) -> None:
    with ring.writer() as writer:
        for number in range(count):
            writer.write(message_of(number))


def read(ring: ShmRing, rank: int, at_most: int = 1000) -> list[bytes]:
    received: list[bytes] = []
    with ring.reader(rank) as reader, contextlib.suppress(EOFError):
        while len(received) < at_most:
            with reader.read() as view:
                received.append(bytes(view))
    return received


def messages_arrive(memory: Any) -> bool:
    with ShmRing.create(2, slots=3, slot_bytes=128) as ring:
        cores = [lambda: send(ring, 20), lambda: read(ring, 0), lambda: read(ring, 1)]
        return bool(memory.run(*cores)[1:] == (sent(20), sent(20)))


def the_end_comes_behind_the_last_message(memory: Any) -> bool:
    with ShmRing.create(1, slots=1, slot_bytes=128) as ring:
        return bool(memory.run(lambda: send(ring, 1), lambda: read(ring, 0))[1] == sent(1))


def a_reader_that_comes_back_misses_nothing_from_then_on(memory: Any) -> bool:
    with ShmRing.create(2, slots=3, slot_bytes=128) as ring:
        cores = [lambda: send(ring, 16), lambda: (read(ring, 0, 2), read(ring, 0)), lambda: read(ring, 1)]
        _, (first, second), whole = memory.run(*cores)
    return bool(first == sent(2) and second == sent(16)[16 - len(second) :] and whole == sent(16))


def a_reader_comes_again_and_again(memory: Any) -> bool:
    with ShmRing.create(2, slots=3, slot_bytes=128) as ring:
        times = lambda: [read(ring, 0, 1) for _ in range(8)]  # noqa: E731
        _, received, _ = memory.run(lambda: send(ring, 30), times, lambda: read(ring, 1))
    positions = [sent(30).index(message) for messages in received for message in messages]
    return positions == sorted(set(positions))


def members_are_known_by_their_process(memory: Any) -> bool:
    with ShmRing.create(1, slots=3, slot_bytes=128) as ring:

        def watch() -> int:
            with ring.writer() as writer:
                while (reader := writer.peers()[1]).state == "expected":
                    pass
                return reader.pid

        return bool(memory.run(lambda: read(ring, 0), watch)[1] == os.getpid())


def who_leaves_is_not_taken_for_dead(memory: Any) -> bool:
    with ShmRing.create(1, slots=3, slot_bytes=128) as ring:

        def watch() -> set[str]:
            states = set()
            with ring.writer() as writer:
                while "closed" not in states:
                    states.add(writer.peers()[1].state)
                writer.close()
            return states

        def come_and_go() -> None:
            ring.reader(0).close()

        return "died" not in memory.run(watch, come_and_go)[0]


def who_fails_says_why_behind_its_last_message(memory: Any) -> bool:
    with ShmRing.create(1, slots=1, slot_bytes=128) as ring:

        def fail() -> None:
            with contextlib.suppress(KeyError), ring.writer() as writer:
                writer.write(message_of(0))
                raise KeyError("x")

        def hear() -> tuple[list[bytes], str]:
            received: list[bytes] = []
            with ring.reader(0) as reader:
                try:
                    while True:
                        with reader.read() as view:
                            received.append(bytes(view))
                except PeerDiedError as error:
                    return received, error.peers[0].reason

        return bool(memory.run(fail, hear)[1] == (sent(1), "KeyError: 'x'"))


def a_flag_publishes(memory: Any) -> bool:
    with shared_bytes() as view:
        flag = SharedFlag(view)

        def publish() -> None:
            view[32:48] = b"m" * 16
            flag.set()

        def see() -> bytes:
            flag.wait()
            return bytes(view[32:48])

        return bool(memory.run(publish, see)[1] == b"m" * 16)


def a_counter_never_shows_a_mixture_and_publishes(memory: Any) -> bool:
    """Each value is one byte eight times; what it publishes is that byte as well."""
    last = 12

    def value_of(number: int) -> int:
        return int.from_bytes(bytes([number]) * 8, "little")

    with shared_bytes() as view:
        counter = SharedCounter(view)

        def count() -> None:
            for number in range(1, 1 + last):
                view[32 + number] = number
                counter.store(value_of(number))

        def watch() -> bool:
            number = 0
            while number < last:
                seen = counter.load()
                if seen not in map(value_of, range(number, 1 + last)):
                    return False
                number = seen & 255
                if view[32 + number] != number:
                    return False
            return True

        return bool(memory.run(count, watch)[1])


@contextlib.contextmanager
def shared_bytes() -> Iterator[Any]:
    with create(64, "flags") as segment:
        yield segment.buf


SCENARIOS = (
    messages_arrive,
    the_end_comes_behind_the_last_message,
    a_reader_that_comes_back_misses_nothing_from_then_on,
    a_reader_comes_again_and_again,
    members_are_known_by_their_process,
    who_leaves_is_not_taken_for_dead,
    who_fails_says_why_behind_its_last_message,
    a_flag_publishes,
    a_counter_never_shows_a_mixture_and_publishes,
)


def steady(_: float | None, watch: Callable[[], None] | None, *__: float, **___: bool) -> Iterator[float]:
    """Pauses of a wait by count instead of by the clock, with a look for the dead and for who joins behind each."""
    for pause in cycle((0, 0, 0.001)):
        yield pause
        if watch is not None:
            watch()


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed decides everything."""
    monkeypatch.setattr(ring_writer, "_LOOK_SECONDS", 0)
    monkeypatch.setattr(waiting, "_pauses", steady)


def test_a_seed_decides_everything() -> None:
    def accesses(seed: int) -> int:
        with weak_memory(seed, most_accesses=30_000) as memory:
            assert messages_arrive(memory)
            return memory._accesses

    assert [accesses(seed) for seed in range(5)] == [accesses(seed) for seed in range(5)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_its_fences_all_goes_right(scenario: Scenario) -> None:
    assert {outcome(scenario, seed) for seed in range(25)} == {"right"}


# Single fences taken out --------------------------------------------------------------------------------------------

# What goes wrong without each; the number counts the fences of a method.
NEEDED_IN = {
    "RingMember.come_in 0": members_are_known_by_their_process,
    "RingMember.leave 0": the_end_comes_behind_the_last_message,
    "RingMember.leave 1": who_leaves_is_not_taken_for_dead,
    "RingMember.is_lost 0": who_fails_says_why_behind_its_last_message,
    "RingMember.has_died 0": who_leaves_is_not_taken_for_dead,
    "RingMember.peer 0": members_are_known_by_their_process,
    "RingWriter._publish 0": messages_arrive,
    "Audience.look 0": a_reader_comes_again_and_again,
    "RingReader._arrived 0": the_end_comes_behind_the_last_message,
    "RingReader._available 0": a_reader_that_comes_back_misses_nothing_from_then_on,
    "RingReader._available 1": messages_arrive,
    "RingReader._acknowledge 0": messages_arrive,
    "SharedFlag.store 0": a_flag_publishes,
    "SharedFlag.load 0": a_flag_publishes,
    "SharedCounter.store 0": a_counter_never_shows_a_mixture_and_publishes,
    "SharedCounter.store 1": a_counter_never_shows_a_mixture_and_publishes,
    "SharedCounter.load 0": a_counter_never_shows_a_mixture_and_publishes,
    "SharedCounter.load 1": a_counter_never_shows_a_mixture_and_publishes,
}


@dataclass(frozen=True)
class Fence:
    module: ModuleType
    owner: str
    method: str
    line: int


@cache
def fences() -> dict[str, Fence]:
    """Each place of a fence in the modules."""
    return {
        f"{owner.name}.{method.name} {number}": Fence(module, owner.name, method.name, line)
        for module in FENCED
        for owner in ast.parse(source_of(module)).body
        if isinstance(owner, ast.ClassDef)
        for method in owner.body
        if isinstance(method, ast.FunctionDef)
        for number, line in enumerate(fence_lines(method))
    }


def fence_lines(node: ast.AST) -> list[int]:
    calls = (
        one for one in ast.walk(node) if isinstance(one, ast.Expr) and ast.unparse(one) == "memory_fence()"
    )
    return sorted(call.lineno for call in calls)


def source_of(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text("utf-8")


def code_without(fence: Fence) -> CodeType:
    """The code of the method with one fence made `pass`."""
    lines = source_of(fence.module).splitlines(keepends=True)
    lines[fence.line - 1] = lines[fence.line - 1].replace("memory_fence()", "pass")
    code = compile("".join(lines), str(fence.module.__file__), "exec")
    for part in (fence.owner, fence.method):
        (code,) = (one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == part)
    return code


def test_every_fence_is_in_the_table() -> None:
    calls = sum(source_of(module).count(" memory_fence()\n") for module in FENCED)
    assert len(fences()) == calls
    assert set(fences()) == set(NEEDED_IN)


@pytest.mark.parametrize("name", NEEDED_IN)
def test_without_any_single_fence_some_seed_goes_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fence = fences()[name]
    method = getattr(getattr(fence.module, fence.owner), fence.method)
    monkeypatch.setattr(method, "__code__", code_without(fence))
    assert any(outcome(NEEDED_IN[name], seed) != "right" for seed in SEEDS)


# What needs no fence --------------------------------------------------------------------------------------------------

# P0 is a reader, P1 the writer.
ACKNOWLEDGED = """
P0            | P1
r1 = slot     | r2 = read
{fence}       | {branch}
read = 1      | slot = 1
exists r1 == 1 and r2 == 1
"""


@pytest.mark.parametrize("model", ["sc", "x86", "arm"])
@pytest.mark.parametrize("lock", ["semaphore", "mutex"])
def test_between_the_look_at_acknowledgements_and_the_next_message_a_branch_is_enough(
    model: str, lock: str
) -> None:
    """A reader never loads the message that the writer stores because this one has been acknowledged."""
    program = ACKNOWLEDGED.format(fence="memory_fence", branch="branch r2")
    assert not litmus(program, model, lock).observable


def test_without_the_branch_or_without_the_readers_fence_arm_would_let_it() -> None:
    assert litmus(ACKNOWLEDGED.format(fence="memory_fence", branch=""), "arm").observable
    assert litmus(ACKNOWLEDGED.format(fence="", branch="branch r2"), "arm").observable

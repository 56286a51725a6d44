"""How functions get to a rank: by name where a fresh import finds them, else by value, else with a clear refusal."""

from __future__ import annotations

import functools
import importlib.util
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rslint_runtime.testing import Fault, RunError, run_ranks
from rslint_runtime.testing.functions import sent


def received(fn: Callable[..., Any]) -> Any:
    """The function as a rank gets it."""
    travelling = sent(fn)
    assert travelling.pickled is not None
    return pickle.loads(travelling.pickled)


def doubled(function: Callable[[int], int]) -> Callable[[int], int]:
    def call(value: int) -> int:
        return 2 * function(value)

    return call


@doubled
def decorated(value: int) -> int:
    return value + 1


def at_module_level(value: int, added: int = 0) -> int:
    return value + added


class Adder:
    def __init__(self, added: int) -> None:
        self.added = added

    def add(self, value: int) -> int:
        return value + self.added

    def __call__(self, value: int) -> int:
        return self.add(value)


def test_a_function_at_module_level_goes_by_name() -> None:
    travelling = sent(at_module_level)
    assert (travelling.qualname, travelling.pickled) == ("at_module_level", None)
    assert (travelling.program, travelling.module_name) == (__file__, __name__)


def test_what_no_import_finds_goes_by_value() -> None:
    assert received(lambda value: value + 1)(2) == 3
    assert received(decorated)(2) == 6
    assert received(functools.partial(at_module_level, added=5))(2) == 7
    assert received(Adder(3).add)(2) == 5
    assert received(Adder(4))(2) == 6


def test_defaults_attributes_and_names_go_along() -> None:
    def nested(value: int, added: int = 4, *, factor: int = 3) -> int:
        return (value + added) * factor

    nested.note = "kept"  # type: ignore[attr-defined]
    there = received(nested)
    assert there(1) == 15
    assert (there.note, there.__name__) == ("kept", "nested")


def test_captured_functions_and_modules_go_along_even_one_that_captures_itself() -> None:
    import math

    def factorial(number: int) -> int:
        return 1 if number < 2 else number * factorial(number - 1)

    def root(number: int) -> float:
        return math.sqrt(factorial(number))

    assert received(root)(4) == 24**0.5


@settings(max_examples=30)
@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists, max_leaves=5))
def test_captured_values_arrive_as_they_were(value: object) -> None:
    assert received(lambda: value)() == value


def test_globals_are_those_of_the_fresh_module_and_not_copies() -> None:
    assert received(lambda: at_module_level)() is at_module_level


def test_a_variable_that_is_not_assigned_yet_stays_so() -> None:
    def early() -> int:
        return later

    there = received(early)
    with pytest.raises(NameError, match="later"):
        there()
    later = 1
    assert received(early)() == later


def test_what_cannot_be_sent_is_named_with_what_to_do() -> None:
    lock = threading.Lock()

    class Local:
        pass

    local = Local()
    refused: list[tuple[Any, str]] = [
        (
            lambda: lock,
            r"it captures 'lock', a lock, .* make it inside the function, or pass plain values by args=",
        ),
        (lambda: local, r"it captures 'local', a Local"),
        (functools.partial(at_module_level, lock), r"it captures 'argument 0', a lock"),
        (print, r"^print cannot be sent to a rank: it comes from no Python file"),
        (eval("lambda: 1", {"__name__": "made"}), r"its module is no file \(.*put the function into a file"),
    ]
    for fn, text in refused:
        with pytest.raises(TypeError, match=text):
            sent(fn)


def test_functions_among_the_arguments_go_along(tmp_path: Path) -> None:
    """Also those of a module that ranks cannot import."""
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text("BASE = 40\ndef made():\n    return lambda value: BASE + value\n")
    spec = importlib.util.spec_from_file_location("made_elsewhere", elsewhere)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = run_ranks(lambda rank, world_size, function: function(rank), 2, args=(module.made(),))
    assert result.results == {0: 40, 1: 41}, result.report()


def test_what_is_no_function_is_said() -> None:
    for wrong in (3, None, "program.py"):
        with pytest.raises(TypeError, match=r"path/to/file\.py:function"):
            run_ranks(wrong, 2)  # type: ignore[arg-type]


def test_a_script_that_runs_ranks_when_it_is_loaded_is_stopped(tmp_path: Path) -> None:
    """Else every rank would load the script, which would start ranks, which would load it."""
    script = tmp_path / "script.py"
    script.write_text(
        "from rslint_runtime.testing import run_ranks\ndef main(rank, world_size): ...\nrun_ranks(main, 2)\n"
    )
    with pytest.raises(RunError, match="run_ranks was called in a rank"):
        run_ranks(f"{script}:main", 1)


def test_no_torch_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RunError, match=r"^run_ranks needs torch: pip install 'rslint-runtime\[torch\]'$"):
        run_ranks(at_module_level, 2)


@pytest.mark.parametrize("world_size", [0, -1, 129])
def test_a_world_size_out_of_range_is_one_line(world_size: int) -> None:
    with pytest.raises(
        ValueError, match=f"^world_size={world_size}: it takes at least 1 rank, and at most 128$"
    ):
        run_ranks(at_module_level, world_size)


@pytest.mark.parametrize("world_size", [True, 2.0, "2", None])
def test_a_world_size_that_is_no_number_is_one_line(world_size: Any) -> None:
    with pytest.raises(TypeError, match=r"^world_size=.*: a number of ranks is needed"):
        run_ranks(at_module_level, world_size)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout": 0}, "^timeout=0: seconds, more than 0"),
        ({"timeout": float("nan")}, "^timeout=nan: seconds, more than 0"),
        ({"timeout": "3"}, "^timeout='3': a number of seconds is needed$"),
        ({"group_timeout": -1}, "^group_timeout=-1: seconds, more than 0"),
        ({"group_timeout": float("inf")}, "^group_timeout=inf: seconds, more than 0 and at most"),
        ({"group_timeout": None}, "^group_timeout=None: a number of seconds is needed$"),
        ({"faults": Fault(0, "f")}, "a list of faults is needed, "),
        ({"faults": ["f"]}, r"^faults=\['f'\]: a list of faults is needed, "),
    ],
)
def test_other_bad_use_is_one_line(options: Any, told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        run_ranks(at_module_level, 2, **options)


def yields(rank: int, world_size: int) -> Iterator[int]:
    yield rank


async def yields_later(rank: int, world_size: int) -> AsyncIterator[int]:
    yield rank


@pytest.mark.parametrize("program", [yields, yields_later, functools.partial(yields)])
def test_a_generator_function_of_which_nothing_would_run_is_refused(program: Callable[..., Any]) -> None:
    with pytest.raises(RunError, match="is a generator function: a call of it runs nothing"):
        run_ranks(program, 1)


SCRIPT = """
import multiprocessing
from rslint_runtime.testing import run_ranks

def answer(queue):
    queue.put(42)

def program(rank, world_size):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=answer, args=(queue,))
    child.start()
    child.join()
    return child.exitcode, queue.get(timeout=1)

if __name__ == "__main__":
    result = run_ranks(program, 1, timeout=60)
    print(result.report(), result.results)
"""


def test_a_rank_of_a_script_can_spawn_processes(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert "{0: (0, 42)}" in ran.stdout, ran.stdout + ran.stderr

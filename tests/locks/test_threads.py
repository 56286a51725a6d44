"""Races of the fixtures under `explore`: every bug has a run that goes wrong, and no run of its repaired form does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rslint_runtime.testing import Scenario, explore, replay

from rslint.proof.demonstrate import load
from tests.ordering.programs import FIXTURES

CODES = ("RS201", "RS202", "RS206", "RS208")
PROGRAMS = sorted(
    path
    for code in CODES
    for path in (FIXTURES / code).glob("*/*.py")
    if "def together(" in path.read_text(encoding="utf-8")
)
# Their waits for the other thread have timeouts, and what they assert holds only if none of these comes early.
COUNTS_ON_ITS_TIMEOUTS = {"rows-that-are-lost", "report-while-entries-are-dropped", "sum-over-a-deque"}


def named(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.parent.name}-{path.stem}"


def together(*tasks: Callable[[], object]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def running(path: Path) -> Callable[[], Scenario]:
    def scenario() -> Scenario:
        program: Any = load(path)
        program.together = together
        return Scenario(threads={"main": lambda: program.main(0, 1)})

    return scenario


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem == "bug"], ids=named)
def test_each_bug_has_a_run_that_goes_wrong_and_replays(path: Path) -> None:
    found = explore(running(path), preemptions=1)
    assert found.violation is not None
    assert replay(running(path), found.violation.seed) == found.violation


@pytest.mark.parametrize("path", [path for path in PROGRAMS if path.stem != "bug"], ids=named)
def test_no_run_of_the_others_goes_wrong(path: Path) -> None:
    found = explore(running(path), preemptions=0)
    assert (found.violation, found.complete) == (None, True), found.report()


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in PROGRAMS
        if path.stem == "fixed"
        or path.parent.name in ("deleted-after-the-release", "deleted-in-the-second-section")
        if path.stem != "bug" and path.parent.name not in COUNTS_ON_ITS_TIMEOUTS
    ],
    ids=named,
)
def test_nor_does_one_with_a_surprise(path: Path) -> None:
    found = explore(running(path), preemptions=1, granularity="line")
    assert (found.violation, found.complete) == (None, True), found.report()


# The same mistakes with nothing that makes them happen: only the order of threads ------------------------------------

SESSION = """
import threading

class Session:
    made = 0
    def __init__(self):
        Session.made += 1

session = None
lock = threading.Lock()

def get_session():
    global session
    if session is None:
        with lock:
            {second_test}session = Session()
    return session
"""

REPORT = """
import threading

class Cache:
    def __init__(self):
        self.entries = {{"a": 1, "b": 2}}
        self.lock = threading.Lock()

    def drop(self):
        with self.lock:
            self.entries.pop("b")

    def report(self):
        found = []
        {lock}
        for name, value in {entries}:
            found.append((name, value))
        return found
"""


def module_of(text: str) -> Any:
    program = ModuleType("program")
    exec(compile(text, "program.py", "exec"), program.__dict__)
    return program


def test_double_checked_locking_needs_its_second_test() -> None:
    def scenario(second_test: str) -> Scenario:
        program = module_of(SESSION.format(second_test=second_test))
        return Scenario(
            threads={"one": program.get_session, "two": program.get_session},
            at_end=lambda: None if program.Session.made == 1 else f"{program.Session.made} sessions",
        )

    found = explore(lambda: scenario("")).violation
    assert found is not None
    assert found.message == "2 sessions"
    whole = explore(lambda: scenario("if session is None: "))
    assert (whole.violation, whole.complete) == (None, True)


def test_a_dictionary_that_is_iterated_wants_a_copy_taken_under_the_lock() -> None:
    def scenario(lock: str, entries: str) -> Scenario:
        cache = module_of(REPORT.format(lock=lock, entries=entries)).Cache()
        return Scenario(threads={"drops": cache.drop, "reports": cache.report})

    found = explore(lambda: scenario("", "self.entries.items()")).violation
    assert found is not None
    assert "dictionary changed size during iteration" in found.message
    copied = explore(lambda: scenario("with self.lock: entries = list(self.entries.items())", "entries"))
    assert (copied.violation, copied.complete) == (None, True)

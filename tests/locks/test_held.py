"""Which locks are certainly held where: contexts, explicit calls, aliases, and what callers hold."""

from __future__ import annotations

from pathlib import Path

from rslint.locks.held import view_of
from tests.locks.building import analysis_of

HEAD = """
import asyncio
import threading
from contextlib import nullcontext

import rslint_runtime

LOCK = threading.Lock()


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.tasks = asyncio.Lock()
        self.both = ReadWriteLock()
        self.name = "store"
"""


def locks_at(folder: Path, body: str, function: str = "m:Store.f") -> dict[str, set[str]]:
    """What is held at each call of `here("label")`."""
    analysis = analysis_of(folder, HEAD + body)
    view = view_of(analysis.knowledge, function)
    found: dict[str, set[str]] = {}
    for node in view.cfg.nodes:
        for access in (str(node.origin),) if node.kind == "statement" else ():
            if "id='here'" in access:
                label = access.split("kind='str', value='")[1].split("'")[0]
                locks = {held.lock for held in view.held[node.index]}
                found[label] = found[label] & locks if label in found else locks
    return found


def test_a_with_holds_its_lock_and_nothing_else_is_one(tmp_path: Path) -> None:
    body = """
    def f(self):
        here("before")
        with self.lock, open(self.name):
            here("inside")
        with nullcontext():
            here("nothing")
        with LOCK:
            here("global")
"""
    assert locks_at(tmp_path, body) == {
        "before": set(),
        "inside": {".lock"},
        "nothing": set(),
        "global": {"LOCK"},
    }


def test_a_condition_is_the_lock_it_is_made_of(tmp_path: Path) -> None:
    body = """
    def f(self):
        with self.changed:
            here("condition")
"""
    assert locks_at(tmp_path, body) == {"condition": {".lock"}}


def test_requests_and_updates_of_an_update_lock_hold_one_lock(tmp_path: Path) -> None:
    body = """
        self.weights = rslint_runtime.AsyncUpdateLock()
        self.index = {}

    async def f(self):
        async with self.weights.request():
            here("request")
        async with self.weights.update() as paused:
            here("update")
        with self.index.update():
            here("dict")
"""
    assert locks_at(tmp_path, body) == {"request": {".weights"}, "update": {".weights"}, "dict": set()}


def test_both_sides_of_a_readers_writer_lock_are_one_lock(tmp_path: Path) -> None:
    body = """
    async def f(self):
        async with self.both.reader_lock:
            here("read")
        async with self.both.write(timeout=1):
            here("write")


class ReadWriteLock:
    pass
"""
    assert locks_at(tmp_path, body) == {"read": {".both"}, "write": {".both"}}


def test_a_lock_that_is_taken_twice_is_held_until_the_first_gives_it_back(tmp_path: Path) -> None:
    body = """
    def f(self):
        with self.lock:
            with self.lock:
                here("twice")
            here("once")
        here("never")
"""
    assert locks_at(tmp_path, body) == {"twice": {".lock"}, "once": {".lock"}, "never": set()}


def test_explicit_calls_hold_from_acquire_to_release_on_every_path(tmp_path: Path) -> None:
    body = """
    def f(self, early):
        self.lock.acquire()
        try:
            here("inside")
            if early:
                self.lock.release()
                here("released")
                return
            here("still")
        finally:
            here("finally")
        self.lock.release()
        here("after")
"""
    assert locks_at(tmp_path, body) == {
        "inside": {".lock"},
        "released": set(),
        "still": {".lock"},
        "finally": set(),
        "after": set(),
    }


def test_a_lock_taken_on_one_arm_alone_is_not_held_behind(tmp_path: Path) -> None:
    body = """
    def f(self, shared):
        if shared:
            self.lock.acquire()
        here("maybe")
"""
    assert locks_at(tmp_path, body) == {"maybe": set()}


def test_a_private_method_holds_what_all_of_its_callers_hold(tmp_path: Path) -> None:
    body = """
    def one(self):
        with self.lock:
            self._f()

    def other(self):
        with LOCK, self.changed:
            self._f()

    def _f(self):
        here("helper")
"""
    assert locks_at(tmp_path, body, "m:Store._f") == {"helper": {".lock"}}


def test_a_private_method_that_a_thread_runs_holds_nothing(tmp_path: Path) -> None:
    body = """
    def one(self):
        with self.lock:
            self._f()

    def start(self):
        threading.Thread(target=self._f).start()

    def _f(self):
        here("helper")
"""
    assert locks_at(tmp_path, body, "m:Store._f") == {"helper": set()}


def test_a_public_method_may_be_called_by_anybody(tmp_path: Path) -> None:
    body = """
    def one(self):
        with self.lock:
            self.f()

    def f(self):
        here("public")
"""
    assert locks_at(tmp_path, body) == {"public": set()}


def test_a_decorator_or_a_name_that_speaks_of_a_lock_holds_one_that_is_not_known(tmp_path: Path) -> None:
    body = """
    @synchronized
    def f(self):
        here("decorated")

    def drop_locked(self):
        here("named")
"""
    assert locks_at(tmp_path, body) == {"decorated": {"*"}}
    assert locks_at(tmp_path, body, "m:Store.drop_locked") == {"named": {"*"}}

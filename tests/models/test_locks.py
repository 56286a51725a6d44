"""What the built-in models say of locks, and that a project's own words count."""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint.models import load_models
from rslint.models.lock_queries import (
    gives_back,
    is_no_lock,
    lock_constructors,
    lock_kind,
    lock_name,
    made_once,
    owned_key,
    runs_once,
)

MODELS = load_models()


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (("threading.RLock",), "thread"),
        (("asyncio.Condition",), "task"),
        (("rslint_runtime.AsyncUpdateLock",), "task"),
        (("rslint_runtime.UpdateLock",), "thread"),
        (("builtins.dict", "multiprocessing.Lock"), "thread"),
        (("package.locks:_WriterLock",), "own"),
        (("package.blocks:Block",), None),
        (("builtins.dict",), None),
    ],
)
def test_a_type_is_a_kind_of_lock_or_none(types: tuple[str, ...], kind: str | None) -> None:
    assert lock_kind(MODELS, types) == kind


@pytest.mark.parametrize("name", ["lock", "_lock", "self._disk_lock", "is_pause_cond", "mutex"])
def test_names_that_are_locks_by_convention(name: str) -> None:
    assert lock_name(MODELS, name)


@pytest.mark.parametrize("name", ["clock", "block", "unlock", "second", "lock_path", "locked"])
def test_names_that_only_look_like_locks(name: str) -> None:
    assert not lock_name(MODELS, name)


def test_what_is_made_once_and_given_back() -> None:
    assert made_once(MODELS, "aioredis.create_pool")
    assert made_once(MODELS, "self._open_connection")
    assert not made_once(MODELS, "self._probe")
    assert gives_back(MODELS, "close")
    assert gives_back(MODELS, "_do_close")
    assert not gives_back(MODELS, "disclose")


def test_what_runs_once_and_what_belongs_to_one_caller() -> None:
    assert runs_once(MODELS, "start")
    assert runs_once(MODELS, "__aenter__")
    assert not runs_once(MODELS, "get_pool")
    assert owned_key(MODELS, "request_id")
    assert not owned_key(MODELS, "lora_name")


def test_contexts_that_hold_nothing() -> None:
    assert is_no_lock(MODELS, "contextlib.nullcontext")
    assert not is_no_lock(MODELS, "contextlib.suppress")
    assert not is_no_lock(MODELS, None)


def test_a_project_adds_its_own_lock(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('[[lock]]\nkind = "task"\nnames = ["ours.sync.Gate"]\n', encoding="utf-8")
    models = load_models((path,))
    assert lock_kind(models, ("ours.sync.Gate",)) == "task"
    assert "Gate" in lock_constructors(models)
    assert lock_kind(models, ("threading.Lock",)) == "thread"

"""Weight updates that know of pauses: each method of the bug has a run in which weights change under requests, none of
the repaired program has, whatever is cancelled."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rslint_runtime.testing import Scenario, explore, replay

from rslint.proof.demonstrate import function_at, load

CASE = Path(__file__).parents[2] / "fixtures" / "RS204" / "pause_aware"
METHODS = (
    "update_weights_from_distributed",
    "update_weights_from_tensor",
    "update_weights_from_ipc",
    "update_weights_from_disk",
)
METHOD = re.compile(r"    async def (update_weights_from_\w+)\(.*?(?=\n    async def |\Z)", re.DOTALL)


def text_of(name: str) -> str:
    return (CASE / name).read_text(encoding="utf-8")


def while_generating(text: str, method: str, *, cancelled: bool = False) -> Callable[[], Scenario]:
    """The scenario of the fixture: an update, somebody who pauses and continues, and a request."""
    program = load(CASE / "bug.py", text)
    scenario = function_at("scenarios.py:while_generating", CASE)
    return partial(scenario, program, method, ("update", "request") if cancelled else ())


@pytest.mark.parametrize("method", METHODS)
def test_each_method_of_the_bug_has_a_run_that_violates_and_replays(method: str) -> None:
    scenario = while_generating(text_of("bug.py"), method)
    found = explore(scenario)
    assert found.violation is not None
    assert found.violation.kind == "invariant"
    assert method in found.report()
    assert replay(scenario, found.violation) == found.violation


@pytest.mark.parametrize("method", METHODS)
def test_no_cancellation_leaves_a_lock_behind_or_anybody_waiting(method: str) -> None:
    found = explore(while_generating(text_of("fixed.py"), method, cancelled=True))
    assert found.complete
    assert found.violation is None, found.report()


@pytest.mark.parametrize("method", METHODS)
def test_putting_back_one_method_of_the_bug_is_found(method: str) -> None:
    buggy = {found[1]: found[0] for found in METHOD.finditer(text_of("bug.py"))}
    mixed = METHOD.sub(lambda found: buggy[method] if found[1] == method else found[0], text_of("fixed.py"))
    mixed = mixed.replace("import asynccontextmanager", "import asynccontextmanager, nullcontext")
    assert mixed != text_of("fixed.py")
    found = explore(while_generating(mixed, method))
    assert found.violation is not None
    assert found.violation.kind == "invariant"

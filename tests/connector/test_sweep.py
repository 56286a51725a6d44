"""sweep over the connector, with a real manager: it finds what RS101 reports there, and nothing after the repair."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rslint_runtime.testing import SweepResult, sweep

CONNECTOR = Path(__file__).parents[2] / "fixtures" / "RS101" / "connector"
PROGRAM = f"{Path(__file__).with_name('swept.py')}:main"


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Endpoint and storage of a manager that runs."""
    specification = importlib.util.spec_from_file_location("connector_manager", CONNECTOR / "manager.py")
    assert specification is not None
    assert specification.loader is not None
    manager = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(manager)
    storage = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        with manager.running(storage) as endpoint:
            yield endpoint, str(storage)


def swept(variant: str, arguments: tuple[str, str]) -> SweepResult:
    """Only the connector's own calls fail, not those of its clients, which are other libraries to it."""
    return sweep(PROGRAM, 2, args=(variant, *arguments), within=[CONNECTOR / f"{variant}.py"], timeout=60)


def lines_in(program: Path, chain: tuple[str, ...]) -> set[int]:
    return {int(place.rpartition(":")[2]) for place in chain if place.startswith(f"{program}:")}


def test_what_the_rule_reports_in_the_connector_the_sweep_finds(arguments: tuple[str, str]) -> None:
    program = CONNECTOR / "bug.py"
    text = program.read_text(encoding="utf-8").splitlines()
    reported = {number for number, line in enumerate(text, 1) if re.search(r"# expect: .*\bRS101\b", line)}
    result = swept("bug", arguments)
    going_on = [row for row in result.parted if not row.left]
    found = set().union(*(lines_in(program, row.chain) for row in going_on))
    assert reported <= found, result.report()
    for row in going_on:
        assert reported & lines_in(program, row.chain), result.report()


@pytest.mark.campaign
def test_no_failure_parts_the_ranks_of_the_repaired_connector(arguments: tuple[str, str]) -> None:
    result = swept("fixed", arguments)
    assert [row for row in result.rows if row.outcome == "completed"]
    assert [row for row in result.parted if not row.left] == [], result.report()

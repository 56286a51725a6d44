"""A missing torch must not turn the proofs into skips unnoticed: Python 3.11 has it, or nothing runs."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import pytest_configure


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.usefixtures("no_torch")
def test_on_3_11_nothing_runs_without_it(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 9, "final", 0))
    with pytest.raises(pytest.UsageError, match="need torch"):
        pytest_configure(pytestconfig)


@pytest.mark.usefixtures("no_torch")
def test_elsewhere_the_analyzer_is_tested_without_it(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 0, "final", 0))
    pytest_configure(pytestconfig)

"""Python 3.11 is where everything is tested: without torch, the suite does not start there."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest
from hypothesis import settings

# How long one example takes says more of the machine, and of who else uses it, than of the code.
# CI repeats the same examples, so that a red run is about the change; by hand every run tries new ones.
settings.register_profile("rslint", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("rslint")


def pytest_configure(config: pytest.Config) -> None:
    if sys.version_info[:2] == (3, 11) and importlib.util.find_spec("torch") is None:
        raise pytest.UsageError("under Python 3.11 the tests need torch: pip install '.[test]'")

"""The proofs run on gloo ranks. Python 3.11 must have torch; elsewhere they are left out without it."""

from __future__ import annotations

import importlib.util
import sys

collect_ignore = (
    []
    if sys.version_info[:2] == (3, 11) or importlib.util.find_spec("torch")
    else ["test_fixtures_are_proven.py", "test_own_cases.py"]
)

"""Running the fixtures needs torch. Python 3.11 must have it; elsewhere that is left out without it."""

from __future__ import annotations

import importlib.util
import sys

collect_ignore = (
    [] if sys.version_info[:2] == (3, 11) or importlib.util.find_spec("torch") else ["test_cases.py"]
)

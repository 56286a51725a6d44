"""The campaign needs torch. Its figures are shown at the end of the run."""

from __future__ import annotations

import importlib.util
from collections import Counter
from typing import Any

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up what the tests of the campaign have recorded, in whichever process each of them ran."""
    outcomes: Counter[str] = Counter()
    flaky = 0
    for reports in terminalreporter.stats.values():
        for report in reports:
            recorded = dict(getattr(report, "user_properties", ()))
            if getattr(report, "when", "") == "call" and "campaign" in recorded:
                outcomes.update(recorded["campaign"])
                flaky += recorded.get("flaky", 0)
    if outcomes:
        ended = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        terminalreporter.write_line(f"campaign: {outcomes.total()} runs, {flaky} of them flaky: {ended}")

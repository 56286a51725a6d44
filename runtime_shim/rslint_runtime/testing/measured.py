"""Coverage inside ranks: where coverage.py measures the caller, or is told to by the environment, it measures ranks.

Ranks are killed when a run is over, so their data is written while they still live, by the thread that answers the
caller: the program's own may hang. Each rank writes a file beside the caller's, as `parallel = true` does.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_VARIABLES = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
# Coverage starts late in a rank, when the program's own imports are already there.
_WARNINGS = ["no-data-collected", "module-not-imported", "module-not-measured", "already-imported"]


def configuration() -> str | None:
    """In the caller: what coverage.py measures here, as text; None if it does not (or is older than 7.10)."""
    coverage: Any = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    if current is None or not hasattr(current.config, "serialize"):
        return None
    text: str = current.config.serialize()
    return text


def wanted(configured: str | None, environment: dict[str, str]) -> bool:
    """Whether ranks with that configuration and environment measure."""
    return configured is not None or any(name in environment for name in _VARIABLES)


def without_coverage(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a process that measures nothing itself."""
    return {name: value for name, value in environment.items() if name not in _VARIABLES}


def start(configured: str | None) -> list[Any]:
    """In a rank, before the program is loaded: begin to measure; the measurement, if there is one."""
    if not wanted(configured, dict(os.environ)):
        return []
    import coverage

    if configured is None:
        started = coverage.process_startup()
        return [] if started is None else [started]
    measurement = coverage.Coverage(config_file=f":data:{configured}", data_suffix=True)
    measurement.set_option("run:disable_warnings", _WARNINGS)
    measurement.start()
    return [measurement]

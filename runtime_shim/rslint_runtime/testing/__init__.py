"""Run a function on gloo ranks and learn how it went: completed, failed, or hung, and then who waits for
whom. Run asyncio tasks in every order that matters, and replay the one that goes wrong.

Importing this module imports neither torch nor anything else that is slow.
"""

from rslint_runtime.testing.explore import Exploration, Scenario, Violation, explore, replay
from rslint_runtime.testing.faults import Fault
from rslint_runtime.testing.records import Collective, Group, RankError, RunResult, Unreadable, Wait
from rslint_runtime.testing.runner import RunError, run_ranks

__all__ = [
    "Collective",
    "Exploration",
    "Fault",
    "Group",
    "RankError",
    "RunError",
    "RunResult",
    "Scenario",
    "Unreadable",
    "Violation",
    "Wait",
    "explore",
    "replay",
    "run_ranks",
]

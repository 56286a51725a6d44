"""Run a function on gloo ranks and learn how it went: completed, failed, or hung, and then who waits for whom
(`run_ranks`). Make its calls go wrong, one by one as told (`Fault`, `switch`) or each of them in turn (`sweep`). Run
threads or asyncio tasks in every order that matters (`explore`), one of these orders again (`replay`), functions as the
cores of a CPU with a weak memory model (`weak_memory`), and ask what every CPU of a kind may do (`litmus`).

Importing this module imports neither torch nor anything else that is slow.
"""

from rslint_runtime.testing.connection import preload
from rslint_runtime.testing.explore import Exploration, Scenario, Violation, explore, replay
from rslint_runtime.testing.faults import Fault, FaultTargetError, Injection, Setting
from rslint_runtime.testing.litmus import LitmusError, Verdict, litmus
from rslint_runtime.testing.records import (
    Collective,
    DeadThread,
    Group,
    RankError,
    RunResult,
    Unreadable,
    Wait,
)
from rslint_runtime.testing.runner import RunError, run_ranks
from rslint_runtime.testing.sweep_result import SweepResult, SweepRow
from rslint_runtime.testing.sweeping import sweep
from rslint_runtime.testing.switches import switch
from rslint_runtime.testing.weak_memory import weak_memory
from rslint_runtime.testing.weak_model import WeakMemory
from rslint_runtime.testing.weak_state import Overtaken, Stuck, UnsupportedView

__all__ = [
    "Collective",
    "DeadThread",
    "Exploration",
    "Fault",
    "FaultTargetError",
    "Group",
    "Injection",
    "LitmusError",
    "Overtaken",
    "RankError",
    "RunError",
    "RunResult",
    "Scenario",
    "Setting",
    "Stuck",
    "SweepResult",
    "SweepRow",
    "Unreadable",
    "UnsupportedView",
    "Verdict",
    "Violation",
    "Wait",
    "WeakMemory",
    "explore",
    "litmus",
    "preload",
    "replay",
    "run_ranks",
    "sweep",
    "switch",
    "weak_memory",
]

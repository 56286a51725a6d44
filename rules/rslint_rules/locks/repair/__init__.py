"""The repairs of RS2: decide and act in one critical section (RS204), test again under the lock (RS206), iterate over
a copy (RS208). Each is offered only where its preconditions are clear: a wrong repair is worse than none."""

from __future__ import annotations

from rslint_rules.locks.repair.copied import copied
from rslint_rules.locks.repair.decided import decide_and_act
from rslint_rules.locks.repair.tested_again import tested_again

__all__ = ["copied", "decide_and_act", "tested_again"]

"""All suspects of RS2 in one project, computed once, when the first rule of the family asks."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.analysis import Analysis
from rslint.flow.knowledge import Knowledge
from rslint.flow.parallel import asked_of_each
from rslint.locks.conditional import conditional_locks
from rslint.locks.domains import locking_functions
from rslint.locks.double_checked import broken_double_checks
from rslint.locks.eviction import evictions
from rslint.locks.suspects import LockSuspect


def lock_suspects(analysis: Analysis) -> tuple[LockSuspect, ...]:
    """The suspects, in order of function and place."""
    return analysis.once("locks", lambda: _suspects(analysis))


def _suspects(analysis: Analysis) -> tuple[LockSuspect, ...]:
    k = analysis.knowledge
    found = [*conditional_locks(k), *evictions(k)]
    found += asked_of_each(k, locking_functions(k), _under_locks, analysis.jobs)
    return tuple(sorted(found, key=lambda s: (s.site, s.kind, s.text)))


def _under_locks(k: Knowledge, identity: str) -> Iterator[LockSuspect]:
    yield from broken_double_checks(k, identity)

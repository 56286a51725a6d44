"""All suspects of RS2 in one project, computed once, when the first rule of the family asks."""

from __future__ import annotations

import msgspec

from rslint.flow.analysis import Analysis
from rslint.flow.knowledge import Knowledge
from rslint.flow.parallel import asked_of_each
from rslint.flow.record import Step
from rslint.locks.awaiting import stale_after_await
from rslint.locks.conditional import conditional_locks
from rslint.locks.domains import coroutines, locking_functions, sharing_functions
from rslint.locks.double_checked import broken_double_checks
from rslint.locks.eviction import evictions
from rslint.locks.iteration import unsafe_iterations
from rslint.locks.lost_update import lost_updates
from rslint.locks.stale import stale_uses
from rslint.locks.state import family, names_of
from rslint.locks.suspects import ALSO, LockSuspect
from rslint.locks.vanished import vanished_attributes


def lock_suspects(analysis: Analysis) -> tuple[LockSuspect, ...]:
    """The suspects, in order of function and place."""
    return analysis.once("locks", lambda: _suspects(analysis))


def _suspects(analysis: Analysis) -> tuple[LockSuspect, ...]:
    k = analysis.knowledge
    found = [*conditional_locks(k), *evictions(k)]
    found += asked_of_each(k, locking_functions(k), broken_double_checks, analysis.jobs)
    found += asked_of_each(k, locking_functions(k), stale_uses, analysis.jobs)
    found += asked_of_each(k, coroutines(k), stale_after_await, analysis.jobs)
    found += asked_of_each(k, coroutines(k), vanished_attributes, analysis.jobs)
    found += asked_of_each(k, sorted({*locking_functions(k), *coroutines(k)}), lost_updates, analysis.jobs)
    found += asked_of_each(k, sharing_functions(k), unsafe_iterations, analysis.jobs)
    found.sort(key=lambda s: (s.tier, s.site, s.kind, s.text))
    return tuple(sorted(_roots(k, found), key=lambda s: (s.site, s.kind, s.text)))


def _roots(k: Knowledge, found: list[LockSuspect]) -> list[LockSuspect]:
    """One suspect for one state and lock; the other places become steps of it. A lock that is chosen, and a second test
    that is missing, stay where they are: each place is repaired by itself."""
    roots: dict[tuple[str, str, str, str], LockSuspect] = {}
    kept: list[LockSuspect] = []
    for suspect in found:
        if suspect.kind in ("conditional-lock", "double-checked"):
            kept.append(suspect)
            continue
        names = names_of(k, k.links.ir(suspect.function))
        owner = family(k, names.owner)[0] if names.owner else names.module
        key = (suspect.kind, owner, suspect.state, suspect.tier)
        first = roots.setdefault(key, suspect)
        if first is not suspect:
            also = Step(f"{ALSO}: `{suspect.text}`", suspect.site)
            roots[key] = msgspec.structs.replace(first, steps=(*first.steps, also))
    return [*kept, *roots.values()]

"""Suspects of many functions, shared among processes where that pays and is safe."""

from __future__ import annotations

import multiprocessing

from rslint.flow.compare import suspects_of
from rslint.flow.knowledge import Knowledge
from rslint.flow.override import overrides_of
from rslint.flow.suspects import Suspect
from rslint.project.index import start_method, usable_cpus

_WORTH_A_PROCESS = 400
_SHARE = 64
_inherited: list[Knowledge] = []


def find_suspects(knowledge: Knowledge, jobs: int | None) -> list[Suspect]:
    """The suspects of every function that reaches a collective, in order of function and place.

    Workers inherit the knowledge by forking; where that is not safe (another thread runs, another platform, a daemonic
    process) one process does it all. Answers do not depend on what was asked before, so both give the same.
    """
    identities = sorted(knowledge.walks)
    processes = min(jobs or usable_cpus(), len(identities) // _WORTH_A_PROCESS + 1)
    context = start_method()
    if processes <= 1 or multiprocessing.current_process().daemon or context.get_start_method() != "fork":
        return _suspects(knowledge, identities)
    shares = [identities[start : start + _SHARE] for start in range(0, len(identities), _SHARE)]
    _inherited.append(knowledge)
    try:
        with context.Pool(processes) as pool:
            return [suspect for share in pool.map(_work, shares, chunksize=1) for suspect in share]
    finally:
        _inherited.pop()


def _work(identities: list[str]) -> list[Suspect]:
    return _suspects(_inherited[-1], identities)


def _suspects(knowledge: Knowledge, identities: list[str]) -> list[Suspect]:
    found: list[Suspect] = []
    for identity in identities:
        found += suspects_of(knowledge, identity)
        found += overrides_of(knowledge, identity)
    return found

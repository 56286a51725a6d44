"""Questions about many functions, shared among processes where that pays and is safe."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from rslint.flow.knowledge import Knowledge
from rslint.project.index import start_method, usable_cpus

T = TypeVar("T")

_WORTH_A_PROCESS = 400
_SHARE = 64
_inherited: list[tuple[Knowledge, Callable[[Knowledge, str], Iterable[Any]]]] = []


def asked_of_each(
    knowledge: Knowledge,
    identities: Sequence[str],
    question: Callable[[Knowledge, str], Iterable[T]],
    jobs: int | None,
) -> list[T]:
    """What the question yields for each function, in order.

    Workers inherit the knowledge by forking; where that is not safe (another thread runs, another platform, a daemonic
    process) one process does it all. Answers do not depend on what was asked before, so both give the same.
    """
    processes = min(jobs or usable_cpus(), len(identities) // _WORTH_A_PROCESS + 1)
    context = start_method()
    if processes <= 1 or multiprocessing.current_process().daemon or context.get_start_method() != "fork":
        return _asked(knowledge, identities, question)
    shares = [identities[start : start + _SHARE] for start in range(0, len(identities), _SHARE)]
    _inherited.append((knowledge, question))
    try:
        with context.Pool(processes) as pool:
            answered = pool.map(_work, shares, chunksize=1)
    finally:
        _inherited.pop()
    return [answer for share in answered for answer in cast("list[T]", share)]


def _work(identities: Sequence[str]) -> list[Any]:
    knowledge, question = _inherited[-1]
    return _asked(knowledge, identities, question)


def _asked(
    knowledge: Knowledge, identities: Sequence[str], question: Callable[[Knowledge, str], Iterable[T]]
) -> list[T]:
    return [answer for identity in identities for answer in question(knowledge, identity)]

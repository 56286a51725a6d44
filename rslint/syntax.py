"""Checks the syntax of files that nothing else has a reason to parse, on several processes if many."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence

from rslint.project.source import Source, SourceFile, Unreadable, read_source

_WORTH_A_PROCESS_BYTES = 3_000_000
_CHUNK_FILES = 40

Work = tuple[SourceFile, "bytes | None"]


def syntax_problems(files: Sequence[Work], jobs: int | None) -> list[Unreadable]:
    """Why some of the files cannot be read or parsed, in their order. `jobs` None uses every usable CPU."""
    from rslint.project.index import start_method, usable_cpus

    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    size = sum(len(data) for _, data in files if data is not None)
    processes = min(jobs or usable_cpus(), len(chunks))
    daemon = multiprocessing.current_process().daemon
    if processes <= 1 or size < _WORTH_A_PROCESS_BYTES or daemon:
        return [problem for chunk in chunks for problem in _problems(chunk)]
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(processes, mp_context=start_method()) as pool:
        return [problem for found in pool.map(_problems, chunks) for problem in found]


def _problems(files: Iterable[Work]) -> list[Unreadable]:
    from rslint.project.index import check_syntax

    found = []
    for file, data in files:
        source = read_source(file, data)
        problem = check_syntax(source) if isinstance(source, Source) else source
        if problem:
            found.append(problem)
    return found

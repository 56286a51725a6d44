"""One module of source as an analysed project, for the tests of publication order."""

from __future__ import annotations

import textwrap
from pathlib import Path

from rslint.flow.analysis import Analysis, analyse
from rslint.ordering.rings import Ordering, ordering_of
from rslint.project.discover import Request, discover
from rslint.project.index import build_index

HEAD = """\
import fcntl, mmap, struct, threading, time
from contextlib import contextmanager
from multiprocessing.shared_memory import SharedMemory
import numpy as np
import torch
from rslint_runtime import memory_fence

"""


def analysis_of(folder: Path, *sources: str) -> Analysis:
    """The analysis of modules m0, m1 …, each with the imports above."""
    (folder / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    for number, source in enumerate(sources):
        (folder / f"m{number}.py").write_text(HEAD + textwrap.dedent(source), encoding="utf-8")
    (project,) = discover(Request((folder,))).projects
    return analyse(project, build_index(project, jobs=1), jobs=1)


def ordering(folder: Path, *sources: str) -> Ordering:
    return ordering_of(analysis_of(folder, *sources))


def orders(folder: Path, *sources: str) -> list[tuple[str, str]]:
    """The orders that are missing: what is missing, and the source line before which the fence belongs."""
    analysis = analysis_of(folder, *sources)
    found = []
    for ring in ordering_of(analysis).rings:
        for order in ring.orders:
            lines = analysis.links.source(order.late.site.function).text.splitlines()
            found.append((order.kind, lines[order.late.site.row - 1].strip()))
    return found

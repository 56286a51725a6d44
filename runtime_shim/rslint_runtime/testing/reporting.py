"""A run as text: who waits for whom, the sequences side by side, where they part, who left and how."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Mapping
from typing import TypeVar

from rslint_runtime.testing.records import RunResult, ranks_as_text, waits_as_text
from rslint_runtime.testing.table import tables

_Value = TypeVar("_Value", bound=Hashable)
_KEPT_LINES = 60
_NARROWEST = 60
_WIDEST = 160
# What an error of torch's says about how the run was asked for, and what to do.
_REMEDIES = (
    (
        "initialize the default process group twice",
        "ranks have joined a group before the function is called; with init_group=False it may do so itself",
    ),
    (
        "EADDRINUSE",
        "a port is taken; with init_group=False every run has a free one in MASTER_ADDR and MASTER_PORT",
    ),
)


def report(result: RunResult, width: int | None = None) -> str:
    """What a person needs to see why the run went as it did; ends without a newline.

    Args:
        result: of `run_ranks`.
        width: of the table, in characters; that of the terminal (or of $COLUMNS) if None; at least 60.
    """
    width = max(_NARROWEST, min(width or shutil.get_terminal_size((100, 24)).columns, _WIDEST))
    lines = [f"{result.outcome} after {result.seconds:.2f} s on {result.world_size} ranks"]
    if result.outcome == "mismatch":
        lines.append(f"  {result.detail}")
    lines += [f"  {line}" for line in waits_as_text(result.waiting)]
    lines += [
        f"  rank {rank} {ending}"
        for rank, ending in sorted(result.endings.items())
        if not ending.startswith("waits") and (ending != "ended" or result.outcome != "completed")
    ]
    lines += _dead_threads(result)
    lines += _faults(result)
    lines += ["", "collectives in the order each rank entered them:", *tables(result, width)]
    lines += _forgotten(result)
    for error, ranks in _joined(result.errors).items():
        lines += ["", f"{ranks_as_text(ranks)} raised {error}", _indented(error.traceback)]
        lines += [f"    help: {remedy}" for sign, remedy in _REMEDIES if sign in error.text]
    for stack, ranks in _joined(result.stacks).items():
        lines += ["", f"{ranks_as_text(ranks)} {'were' if len(ranks) > 1 else 'was'} here:", _indented(stack)]
    for text, ranks in _joined(result.output).items():
        if text.strip():
            lines += ["", f"output of {ranks_as_text(ranks)}:", _indented(text)]
    return "\n".join(lines)


def _forgotten(result: RunResult) -> list[str]:
    forgotten: dict[str, list[int]] = {}
    for rank, collectives in result.unclaimed.items():
        for entry in collectives:
            forgotten.setdefault(f"{entry} at {entry.place}", []).append(rank)
    return [f"never waited for on {ranks_as_text(set(ranks))}: {text}" for text, ranks in forgotten.items()]


def _dead_threads(result: RunResult) -> list[str]:
    died: dict[str, list[int]] = {}
    for rank, threads in result.dead_threads.items():
        for dead in threads:
            died.setdefault(f"thread {dead.thread} died of {dead.error}", []).append(rank)
    return [f"  {ranks_as_text(set(ranks))}: {text}" for text, ranks in died.items()]


def _faults(result: RunResult) -> list[str]:
    lines: list[str] = []
    for position in result.unfired:
        uncalled = position in result.uncalled
        why = "its call was never made" if uncalled else "its call was made, but not that one"
        lines.append(f"  fault {position} never fired, {why}: {result.faults[position]}")
    return lines


def _joined(by_rank: Mapping[int, _Value]) -> dict[_Value, list[int]]:
    """What several ranks have in common stands once."""
    joined: dict[_Value, list[int]] = {}
    for rank, value in sorted(by_rank.items(), key=lambda item: item[0]):
        joined.setdefault(value, []).append(rank)
    return joined


def _indented(text: str) -> str:
    kept = text.rstrip().splitlines()
    if len(kept) > _KEPT_LINES:
        kept = [f"… {len(kept) - _KEPT_LINES} lines left out", *kept[-_KEPT_LINES:]]
    return "\n".join(f"    {line}" for line in kept)

"""A run as text: sequences side by side, where they part, who waits for whom, who left and how."""

from __future__ import annotations

from rslint_runtime.testing.records import Collective, RunResult

_KEPT_LINES = 60


def report(result: RunResult) -> str:
    """What a person needs to see why the run went as it did; ends without a newline."""
    lines = [f"{result.outcome} after {result.seconds:.2f} s on {result.world_size} ranks"]
    if result.detail:
        lines += [f"  {part}" for part in result.detail.split("; ")]
    lines += ["", "collectives in the order each rank entered them:"]
    lines += _sequences(result)
    for wait in result.waiting:
        lines.append(f"waiting: {wait}")
    for rank, error in sorted(result.errors.items()):
        lines += ["", f"rank {rank} raised {error}", _indented(error.traceback)]
    lines += _unfired(result)
    for rank, text in sorted(result.output.items()):
        if text.strip():
            lines += ["", f"output of rank {rank}:", _indented(text)]
    return "\n".join(lines)


def _unfired(result: RunResult) -> list[str]:
    lines: list[str] = []
    for position in result.unfired:
        why = (
            "its call was never made"
            if position in result.uncalled
            else "its call was made, but not that one"
        )
        lines.append(f"fault {position} never fired, {why}: {result.faults[position]}")
    return lines


def _sequences(result: RunResult) -> list[str]:
    """One block per group and channel, one row per index, ranks that run the same joined in one cell."""
    lines: list[str] = []
    keys = dict.fromkeys(
        (entry.group, entry.channel) for sequence in result.sequences.values() for entry in sequence
    )
    if not keys:
        return ["  none"]
    for group, channel in keys:
        lines.append(f"  {group}{f', {channel}' if channel else ''}")
        members = [rank for rank in group.ranks if rank in result.sequences]
        columns = {
            rank: {
                entry.index: entry
                for entry in result.sequences[rank]
                if (entry.group, entry.channel) == (group, channel)
            }
            for rank in members
        }
        last = max((max(column, default=0) for column in columns.values()), default=0)
        parted = False
        for index in range(1, last + 1):
            cells: dict[str, list[int]] = {}
            for rank in members:
                cells.setdefault(_cell(columns[rank].get(index)), []).append(rank)
            if len(cells) == 1:
                lines.append(f"    {index:>3}  all ranks: {next(iter(cells))}")
                continue
            if not parted and not channel:
                lines.append("         --- here the ranks part ---")
                parted = True
            lines += [f"    {index:>3}  ranks {ranks}: {cell}" for cell, ranks in cells.items()]
    return lines


def _cell(entry: Collective | None) -> str:
    if entry is None:
        return "-"
    via = "" if entry.call in ("", entry.operation) else f" ({entry.call})"
    return f"{' '.join((entry.operation, *entry.signature))}{via} at {entry.place}"


def _indented(text: str) -> str:
    kept = text.rstrip().splitlines()
    if len(kept) > _KEPT_LINES:
        kept = [f"… {len(kept) - _KEPT_LINES} lines left out", *kept[-_KEPT_LINES:]]
    return "\n".join(f"    {line}" for line in kept)

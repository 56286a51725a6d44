"""The collectives of a run as a table: one column for ranks that went the same way, one row for each position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rslint_runtime.testing.records import CREATION, Collective, Group, RunResult, ranks_as_text

# Rows that all ranks have in common and that stay at the beginning and before the parting; rows kept behind it.
_FIRST_ROWS = 2
_ROWS_BEFORE = 4
_ROWS_BEHIND = 6
_NARROWEST = 26
_MARGIN = 7
_WAITS = "[waits] "


def tables(result: RunResult, width: int) -> list[str]:
    """One table for each group and channel, in the order in which they were first used."""
    keys = dict.fromkeys(
        (entry.group, entry.channel) for sequence in result.sequences.values() for entry in sequence
    )
    lines: list[str] = []
    for group, channel in keys:
        lines.append(f"  {group}{f', {channel}' if channel else ''}")
        lines += _table(result, group, channel, width)
    return lines or ["  none"]


def _table(result: RunResult, group: Group, channel: str, width: int) -> list[str]:
    columns = _columns(result, group, channel)
    rows = _rows(columns)
    parting = next((at for at, cells in enumerate(rows) if len(set(cells)) > 1), len(rows))
    if channel:
        # What a rank enters on these is compared with nobody; only the group's own sequence has to be the same.
        parting = len(rows)
    heads = [ranks_as_text(ranks) for ranks in columns.values()]
    column_width = (width - _MARGIN) // len(columns) - 2
    side_by_side = column_width >= _NARROWEST
    if not side_by_side:
        column_width = width - _MARGIN - max(map(len, heads)) - 2
    lines = [f"{'':{_MARGIN}}{_cells(heads, column_width)}"] if side_by_side and len(heads) > 1 else []
    for at in _shown(len(rows), parting):
        if at is None:
            skipped = parting - _FIRST_ROWS - _ROWS_BEFORE
            lines.append(f"{'…':>5}  {skipped} more that all of them entered")
            continue
        if at == parting:
            lines.append(f"  {' here the ranks part ':-^{max(width - 4, 30)}}")
        lines += _row(at + 1, rows[at], heads, column_width, side_by_side)
    left_out = len(rows) - parting - _ROWS_BEHIND
    if left_out > 0:
        lines.append(f"{'…':>5}  {left_out} more")
    return lines


def _columns(result: RunResult, group: Group, channel: str) -> Mapping[tuple[str, ...], list[int]]:
    """The cells of each rank, and all ranks that have these."""
    columns: dict[tuple[str, ...], list[int]] = {}
    waits = {(wait.rank, wait.collective) for wait in result.waiting}
    for rank in group.ranks:
        entries = [
            entry
            for entry in result.sequences.get(rank, ())
            if (entry.group, entry.channel) == (group, channel)
        ]
        if not entries and channel not in ("", CREATION):
            continue  # a message between two others
        cells = [_cell(entry, (rank, entry) in waits) for entry in entries]
        if result.outcome != "completed" and not channel and not (cells and cells[-1].startswith(_WAITS)):
            cells.append(f"[{_short(result.endings.get(rank, 'running'))}]")
        columns.setdefault(tuple(cells), []).append(rank)
    return columns


def _short(ending: str) -> str:
    """The exception's type or the operation that is waited in; the rest stands below the table."""
    return ending.partition(": ")[0].partition(" on ")[0]


def _cell(entry: Collective, waits: bool) -> str:
    via = "" if entry.call in ("", entry.operation) else f" ({entry.call})"
    # The place's end tells more than its beginning, which stands in full beside the one that waits.
    return f"{_WAITS if waits else ''}{entry.form}{via}  {entry.place.rpartition('/')[2]}"


def _rows(columns: Mapping[tuple[str, ...], list[int]]) -> list[tuple[str, ...]]:
    length = max(map(len, columns))
    return [tuple(cells[at] if at < len(cells) else "" for cells in columns) for at in range(length)]


def _shown(length: int, parting: int) -> list[int | None]:
    """Positions of the rows that are shown; None stands for those left out before the parting."""
    shown: list[int | None] = list(range(parting))
    if parting > _FIRST_ROWS + _ROWS_BEFORE + 1:
        shown = [*range(_FIRST_ROWS), None, *range(parting - _ROWS_BEFORE, parting)]
    return [*shown, *range(parting, min(length, parting + _ROWS_BEHIND))]


def _row(
    number: int, cells: Sequence[str], heads: Sequence[str], column_width: int, side_by_side: bool
) -> list[str]:
    if len(set(cells)) == 1 and not side_by_side:
        return [f"{number:>5}  {_cut(cells[0], column_width)}"]
    if side_by_side and len(set(cells)) == 1:
        return [f"{number:>5}  {_cells([cells[0], *('=' for _ in cells[1:])], column_width)}"]
    if side_by_side:
        return [f"{number:>5}  {_cells(cells, column_width)}"]
    widest = max(map(len, heads))
    return [
        f"{number:>5}  {head:{widest}}  {_cut(cell, column_width)}"
        for head, cell in zip(heads, cells, strict=True)
        if cell
    ]


def _cells(cells: Sequence[str], column_width: int) -> str:
    return "  ".join(f"{_cut(cell, column_width):{column_width}}" for cell in cells).rstrip()


def _cut(text: str, width: int) -> str:
    """The text within `width`; what is left out is in its middle, since the place stands at its end."""
    if len(text) <= width:
        return text
    tail = min(width // 2, 24)
    return f"{text[: width - tail - 1]}…{text[-tail:]}"

"""The table in the connector's README, which is what its tests run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIANTS = ("bug", "fixed", "hardened")


@dataclass(frozen=True)
class Row:
    """One row: what is done, and by variant what each rank answers and how the write sessions end."""

    number: str
    world_sizes: tuple[int, ...]
    steps: tuple[str, ...]
    answers: dict[str, str]
    sessions: dict[str, str]


def rows(readme: Path) -> Iterator[Row]:
    """The rows of the table with the columns `#`, ranks, fault, calls, one per variant, and sessions."""
    lines = iter(readme.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith("| # |"):
            break
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return
        number, ranks, _, calls, bug, fixed, hardened, sessions = (
            cell.strip() for cell in line.strip("|").split("|")
        )
        states = [each.strip() for each in sessions.split(" / ")]
        yield Row(
            number,
            tuple(int(each) for each in ranks.split(",")),
            tuple(step.strip() for step in calls.strip("`").split(";")),
            dict(zip(VARIANTS, (bug, fixed, hardened), strict=True)),
            dict(zip(VARIANTS, states if len(states) > 1 else states * 3, strict=True)),
        )

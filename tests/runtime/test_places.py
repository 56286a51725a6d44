"""The place of a collective is where the program calls it, whatever torch has put around the function."""

from __future__ import annotations

import torch
import torch.distributed as dist
from rslint_runtime.testing import run_ranks


def gathers(rank: int, world_size: int) -> int:
    """torch marks these two as deprecated in some releases, by a decorator of another package."""
    gathered = torch.zeros(world_size, dtype=torch.int64)
    dist.all_gather_into_tensor(gathered, torch.tensor([rank]))
    mine = torch.zeros(1, dtype=torch.int64)
    dist.reduce_scatter_tensor(mine, gathered)
    return int(mine)


def test_a_deprecated_function_is_called_where_the_program_calls_it() -> None:
    result = run_ranks(gathers, 2)
    assert result.outcome == "completed", result.report()
    first = gathers.__code__.co_firstlineno
    places = [f"{__file__}:{first + 3}", f"{__file__}:{first + 5}"]
    assert [entered.place for entered in result.sequences[0]] == places
    assert [entered.call for entered in result.sequences[0]] == [
        "all_gather_into_tensor",
        "reduce_scatter_tensor",
    ]

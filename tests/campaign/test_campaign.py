"""The campaign: every place at which something can fail once, then a sample of them again and again; nothing flakes.

`python -m pytest -m campaign` runs all of it, which takes long. RSLINT_CAMPAIGN_REPEATS is how often the sample is
repeated (100), RSLINT_CAMPAIGN_SEED which sample that is.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.campaign.places import Unit, attempt, counted, units

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]

UNITS = units()
REPEATS = int(os.environ.get("RSLINT_CAMPAIGN_REPEATS", "100"))
SEED = int(os.environ.get("RSLINT_CAMPAIGN_SEED", "4"))
SAMPLED = 16

# What the first repetition in this process has seen.
_first: dict[str, str] = {}


def sample() -> list[Unit]:
    """The units that are repeated: of those whose outcomes are stated, drawn by the seed."""
    return random.Random(SEED).sample([unit for unit in UNITS if unit.stated], SAMPLED)


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_every_place_once(unit: Unit, record_property: Callable[[str, object], None]) -> None:
    record_property("campaign", counted(attempt(unit)))


@pytest.mark.parametrize("repetition", range(REPEATS))
def test_the_sample_again(repetition: int, record_property: Callable[[str, object], None]) -> None:
    outcomes: dict[str, str] = {}
    for unit in sample():
        outcomes.update(attempt(unit))
    if not _first:
        _first.update(outcomes)
    other = {place: outcome for place, outcome in outcomes.items() if _first.get(place) != outcome}
    record_property("campaign", counted(outcomes))
    record_property("flaky", len(other))
    assert other == {}
    assert outcomes.keys() == _first.keys()

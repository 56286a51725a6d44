"""The suspects of the segment family, found once for a project: from the calls that open segments outwards."""

from __future__ import annotations

from dataclasses import dataclass

from rslint.flow.analysis import Analysis
from rslint.flow.knowledge import Knowledge
from rslint.project.modules import outside_production
from rslint.segments.agreement import EarlyUnlink, early_unlinks
from rslint.segments.forgotten import Forgotten, forgotten_of
from rslint.segments.handles import Removal
from rslint.segments.leaks import Leak, leaks_of
from rslint.segments.openings import Openings, all_openings, left_behind
from rslint.segments.owners import removals_of
from rslint.segments.races import EarlyAttach, early_attaches
from rslint.segments.rows import LostRow, lost_rows
from rslint.segments.tracking import TrackedAttach, tracked_attaches
from rslint.segments.unpickling import UnpicklingOpen, unpickling_opens


@dataclass(frozen=True)
class SegmentSuspects:
    """What the rules of RS3 report, each in order of function and place."""

    early: tuple[EarlyUnlink, ...]
    tracked: tuple[TrackedAttach, ...]
    leaks: tuple[Leak, ...]
    rows: tuple[LostRow, ...]
    forgotten: tuple[Forgotten, ...]
    removals: tuple[Removal, ...]
    races: tuple[EarlyAttach, ...]
    unpickled: tuple[UnpicklingOpen, ...]


def segment_suspects(analysis: Analysis) -> SegmentSuspects:
    """The suspects of a project, computed when the first rule of the family asks."""
    return analysis.once("segments", lambda: _suspects(analysis.knowledge))


def _suspects(k: Knowledge) -> SegmentSuspects:
    openings = all_openings(k)
    concerned = concerned_functions(k, openings)
    left = left_behind(openings)
    return SegmentSuspects(
        early=tuple(early_unlinks(k, openings, concerned)),
        tracked=tuple(tracked_attaches(k, openings, concerned)),
        leaks=tuple(leak for identity in concerned for leak in leaks_of(k, identity, left)),
        rows=tuple(row for identity in concerned for row in lost_rows(k, identity, left)),
        forgotten=tuple(forgotten_of(k, left, concerned)),
        removals=tuple(removals_of(k, openings, concerned)),
        races=tuple(early_attaches(k, openings, concerned)),
        unpickled=tuple(unpickling_opens(k, openings)),
    )


def concerned_functions(k: Knowledge, openings: Openings) -> tuple[str, ...]:
    """The functions that open segments, and the other methods of their classes. What tests, examples and tools leave
    behind harms nobody."""
    found = set(openings)
    for identity in openings:
        owner = k.links.owner_of(identity)
        if owner is not None:
            found.update(method for _, method in k.links.class_facts(owner).methods)
    return tuple(sorted(f for f in found if not outside_production(f.partition(":")[0])))

"""What the analyses of segments answer, by row: for tests in which the answer stands behind `# =>`."""

from __future__ import annotations

from rslint.flow.knowledge import Knowledge
from rslint.project.text import render
from rslint.segments.agreement import early_unlinks
from rslint.segments.analysis import concerned_functions
from rslint.segments.forgotten import forgotten_of
from rslint.segments.leaks import leaks_of
from rslint.segments.openings import all_openings
from rslint.segments.owners import removals_of
from rslint.segments.races import early_attaches
from rslint.segments.rows import lost_rows
from rslint.segments.tracking import tracked_attaches
from rslint.segments.unpickling import unpickling_opens


def opened(k: Knowledge, identity: str) -> dict[int, str]:
    """Kind, name and holders of every opening of a function."""
    return {
        o.call.span.row: " ".join(
            [o.kind, render(o.name) or "-", *o.holders, *([] if o.tracked else ["untracked"])]
        )
        for o in all_openings(k).get(identity, ())
    }


def leaked(k: Knowledge, identity: str) -> dict[int, str]:
    """Why something may raise, and how many rows further down, by the row of the segment that stays."""
    return {
        leak.site.row: " ".join(f"{raiser.kind}+{site.row - leak.site.row}" for raiser, site in leak.raisers)
        for leak in leaks_of(k, identity, all_openings(k))
    }


def lost(k: Knowledge, identity: str) -> dict[int, str]:
    return {row.site.row: row.container or "nothing" for row in lost_rows(k, identity, all_openings(k))}


def forgotten(k: Knowledge, identity: str) -> dict[int, str]:
    """What keeps the handle of a segment that nothing removes."""
    openings = all_openings(k)
    found = forgotten_of(k, openings, concerned_functions(k, openings))
    return {one.site.row: one.holder or "a container" for one in found if one.function == identity}


def removed(k: Knowledge, identity: str) -> dict[int, str]:
    """The kind of every wrong removal in a function."""
    openings = all_openings(k)
    found = removals_of(k, openings, concerned_functions(k, openings))
    return {removal.site.row: removal.kind for removal in found if removal.function == identity}


def tracked(k: Knowledge, identity: str) -> dict[int, str]:
    openings = all_openings(k)
    found = tracked_attaches(k, openings, concerned_functions(k, openings))
    return {one.site.row: one.relation or "none shown" for one in found if one.function == identity}


def unpickled(k: Knowledge, identity: str) -> dict[int, str]:
    found = unpickling_opens(k, all_openings(k))
    return {
        one.site.row: one.rebuilding.via.rpartition(":")[2]
        for one in found
        if one.rebuilding.function == identity
    }


def early(k: Knowledge, identity: str) -> dict[int, str]:
    """How many rows away the publications stand that nobody waits for, and the test that leaves the agreement out."""
    openings = all_openings(k)
    found = early_unlinks(k, openings, concerned_functions(k, openings))
    return {
        one.site.row: " ".join(
            [
                *(f"{site.row - one.site.row:+d}" for site in one.published),
                *(str(part) for part in one.test or ()),
            ]
        )
        for one in found
        if one.function == identity
    }


def raced(k: Knowledge, identity: str) -> dict[int, str]:
    openings = all_openings(k)
    found = early_attaches(k, openings, concerned_functions(k, openings))
    return {one.site.row: one.kind for one in found if one.function == identity}

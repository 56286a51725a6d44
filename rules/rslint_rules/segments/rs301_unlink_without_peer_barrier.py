"""# unlink-without-peer-barrier (RS301)

## What it does
Reports a shared-memory segment whose name travels to other processes, and that is unlinked before they have agreed
that they have opened it.

## Why is this bad?
The source of a broadcast comes back as soon as it has sent. Its peers receive, unpickle and open the segment
afterwards; where the name is gone by then, `SharedMemory(name=…)` raises FileNotFoundError on that rank alone, and the
others wait for it in the next collective. It depends on timing, so tests on one machine pass.

## Example
```python
dist.broadcast_object_list(requests, src=0, group=group)  # peers open the segments in here
for request in requests:
    request.pixels.copy_and_unlink()  # the source is here already
```

## Use instead
```python
dist.broadcast_object_list(requests, src=0, group=group)
if has_segments(requests):  # the same on all ranks: all have the same requests
    dist.barrier(group=group)
for request in requests:
    request.pixels.copy_and_unlink()
```

## Fix and its safety
Unsafe, for it adds a collective: a barrier on the group that the segments were broadcast on, under the project's own
test whether there are any, asked of what the broadcast has made the same on all ranks. Without such a test nothing is
offered: a barrier for every message would be paid by those that carry no segment.

## Known limits
What counts as an agreement: barriers, reductions, gatherings and exchanges with all, on the same group or a larger
one; for a name that is sent to one process also its answer or its end. A broadcast is none. A condition around the
agreement that was not asked before the publication is taken for the author's word that nothing was published
otherwise. A test of the number of ranks is taken for true.

Whether what is broadcast holds a segment is told by its class alone: one whose instances open a segment when they are
unpickled. Publication and removal may lie four calls below the function that does both.

## References
POSIX.1-2024, shm_unlink(): the name goes, open descriptors stay; sgl-project/sglang pull requests 21655 and 29543.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Fix, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import FixRequest, Rule
from rslint.segments.agreement import EarlyUnlink
from rslint.segments.analysis import segment_suspects
from rslint_rules.places import line_text, place, qualified_name
from rslint_rules.segments.barrier import barrier_before

CODE, NAME = "RS301", "unlink-without-peer-barrier"
SHOWN = 3


def check(analysis: Analysis) -> Iterable[Finding]:
    for early in segment_suspects(analysis).early:
        yield _finding(analysis, early)


def _finding(analysis: Analysis, early: EarlyUnlink) -> Finding:
    first, here = place(analysis, early.published[0]), place(analysis, early.site)
    when = "" if early.test is None else f" where `{early.test[0]}` is {early.test[1]}"
    message = (
        f"a segment is unlinked here{when} while peers may still have to open it: nothing between the hand-over on "
        f"{line_text(first, here)} and the removal waits for them"
    )
    if early.test is not None:
        message += "; the agreement before it is left out on that path"
    related = [
        Related(place(analysis, site), "what is handed over here may hold the segment")
        for site in early.published[:SHOWN]
    ]
    if early.unlink != early.site:
        related.append(Related(place(analysis, early.unlink), "the removal"))
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH
        if early.test is not None or early.unlink == early.site
        else Confidence.MEDIUM,
        message=message,
        place=here,
        function=qualified_name(early.function),
        noqa_rows=(early.site.row, early.site.end_row),
        related=tuple(related),
        suggestion="let all peers meet in a barrier of their group after the hand-over, wherever there is a segment",
    )


def fix(request: FixRequest) -> Fix | None:
    for early in segment_suspects(request.analysis).early:
        if place(request.analysis, early.site) == request.finding.place:
            return barrier_before(request.analysis, request.source, early)
    return None


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a segment is unlinked before every peer it was sent to has opened it",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="barrier under a uniform condition (unsafe)",
)

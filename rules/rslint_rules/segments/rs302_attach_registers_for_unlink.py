"""# attach-registers-for-unlink (RS302)

## What it does
Reports an attach to a shared-memory segment by a process whose resource tracker is not the maker's.

## Why is this bad?
`SharedMemory(name=…)` registers the segment with the resource tracker of its process, be it the maker's or not. The
tracker unlinks what is registered when its processes have ended: the first rank that exits takes the segment away from
all others, and says "leaked shared_memory objects" for a segment that was none.

## Example
```python
try:
    shm = SharedMemory(name, create=True, size=size)
except FileExistsError:
    shm = SharedMemory(name)  # another rank's segment, on this rank's list now
```

## Use instead
```python
try:
    shm = SharedMemory(name, create=True, size=size)
except FileExistsError:
    shm = SharedMemory(name, track=False)  # Python 3.13
```
Before Python 3.13, attach by what does not register, as `rslint_runtime.attach` does on every Python:
```python
except FileExistsError:
    shm = attach(name)
```

## Fix and its safety
Safe where `target-version` (or `requires-python`) is 3.13 or newer: `track=False`. For an older one there is no such
argument. With `fix-style = "runtime"` the call becomes `attach(name)` of the runtime library then: unsafe, for what it
returns is used like a `SharedMemory` and is none, and outside of Linux it raises OSError. It is not offered in a module
that derives from `SharedMemory`, tests for it, uses private attributes of it, or has another `attach`. Without that
style `track=False` is shown and not applied.

## Known limits
Children of one `multiprocessing` parent are handed its tracker, and attaching is harmless there. So a relation between
the processes has to be shown. Three are known: ranks that a launcher has started (code in which whoever comes first
makes the segment, in a project that reads its rank from the environment and starts no processes), a child that is
forked by a constructor before there was a tracker, and a function whose own texts say that the segment is a daemon's.
Without one of them the attach is reported with `--preview`. Modules that speak of `resource_tracker`, functions that
call into one, and those that unlink what they attached are not reported.

To `unregister` after attaching is not the same: where the tracker is shared, it takes the maker's entry off the list.

## References
CPython issue 82300 (python/cpython#82300) and the `track` parameter of Python 3.13; mosaicml/streaming 0.4.0,
intelligent-machine-learning/dlrover pull request 856.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Fix, Related, Severity
from rslint.flow.analysis import Analysis
from rslint.rule import FixRequest, Rule
from rslint.segments.analysis import segment_suspects
from rslint.segments.tracking import TrackedAttach
from rslint_rules.places import place, qualified_name

CODE, NAME = "RS302", "attach-registers-for-unlink"


def check(analysis: Analysis) -> Iterable[Finding]:
    for attach in segment_suspects(analysis).tracked:
        yield _finding(analysis, attach)


def _finding(analysis: Analysis, attach: TrackedAttach) -> Finding:
    why = {
        "ranks": "each rank has a tracker of its own, and the first that exits unlinks the segment under the others",
        "forked": "the process was forked before there was a tracker, starts one of its own, and that unlinks the "
        "segment when it ends",
        "daemon": "the daemon that made it does not know, and loses the segment when this process ends",
        "": "if its tracker is not the maker's, it unlinks the segment when it ends",
    }[attach.relation]
    related = []
    if attach.evidence is not None:
        what = {"ranks": "the segment is made here", "forked": "the process is started here"}.get(
            attach.relation, "it belongs to a daemon"
        )
        related.append(Related(place(analysis, attach.evidence), what))
    return Finding(
        code=CODE,
        name=NAME,
        severity=Severity.WARNING,
        confidence=Confidence.MEDIUM if attach.relation else Confidence.LOW,
        message=f"attaching registers the segment with this process's resource tracker: {why}",
        place=place(analysis, attach.site),
        function=qualified_name(attach.function),
        noqa_rows=(attach.statement.row, attach.statement.end_row),
        related=tuple(related),
        suggestion="attach with `track=False` (Python 3.13), or by what does not register: `rslint_runtime.attach`",
        preview=not attach.relation,
    )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.segments.untracked import untracked

    return untracked(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="an attached segment is unlinked by the resource tracker of a process that did not make it",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="`track=False` (safe from Python 3.13 on, else shown), or `attach` of the runtime (unsafe)",
)

"""# unfenced-flag-write (RS401)

## What it does
Reports a flag in shared memory that is stored after a payload with no fence between the two, where another function
reads the payload because it has seen the flag. Shared memory is what `SharedMemory.buf` and `mmap` give, and views of
it: slices, `memoryview`, `np.ndarray(buffer=…)`, `np.frombuffer`, `torch.frombuffer`, what accessors return and context
managers yield.

One finding is reported per ring and file: the first order that is missing. The others, RS402 and RS404 among them, are
its related places, and one fix repairs them all, since a fence on one side alone orders nothing.

With `--preview` also: a flag that the writer takes back (a read flag set to 0 again) with no fence between it and the
payload, or the written flag. A reader that looks at both may be let in by the one while it sees the other of the round
before, and in the first round its acknowledgement may be undone. Where a ring is reported anyway, the fix repairs
these.

## Why is this bad?
A CPU with a weak memory model may make two stores to different addresses visible in either order. A reader on another
core then sees the flag and still reads the old payload: a torn or stale message, without any error.

- **Arm (Grace, Graviton, Ampere, Apple):** stores may be reordered; this bug can show. So may they on POWER and RISC-V.
- **x86-64 (TSO):** stores become visible in program order, so this bug does not show there, and no test on x86 can find
  it. What x86 does reorder is a store with a *later load*.

A reader that merely polls needs no fence for its loop to end: caches are coherent, a store becomes visible to everybody
in the end. No store "stays in a store buffer" for ever.

## Example
```python
with ring.slot(index) as (flag, data):
    data[: len(message)] = message
    flag[0] = 1  # a reader on an Arm CPU may see this first
```

## Use instead
```python
with ring.slot(index) as (flag, data):
    data[: len(message)] = message
    memory_fence()
    flag[0] = 1
```
`memory_fence()` comes with rslint-runtime, or is a lock that is taken and released:
```python
with _fence_lock:
    pass
```
A lock's acquire and release are two atomic operations. By Arm's published model an earlier and a later store may still
pass a single pair of CPython's `threading.Lock` up to 3.13.0 (a semaphore: a compare-and-swap with acquire, then one
with release); two pairs in a row, or one pair of the lock of CPython 3.13.1 and later, keep them apart. On x86-64 one
pair is a full fence. The rule accepts a single pair; `memory_fence()` takes two where they are needed.

## Fix and its safety
Unsafe, since each fence takes a lock, if only for itself: a fence before each access that needs one, and the definition
of the fence where the file has none. With `fix-style = "runtime"` it is `memory_fence` of rslint-runtime (or of
`runtime-module`), else a lock in the file itself. A function `memory_fence` that the file has is used.

## Known limits
Fences are `memory_fence()`, locks, `flock`, what multiprocessing offers, collectives, and sending to or receiving from
pipes, queues and sockets. Sleeping and `sched_yield` are none. Both sides must be in the project: the store of the
flag and a test of it that decides whether the payload is read. Regions that keep other processes out (`flock`,
multiprocessing locks) need no fences. A store of 0 takes a flag back and publishes nothing. Code in tests, examples,
benchmarks and tools is not looked at. Device memory is another matter (streams and events), and not looked at.

## References
vllm-project/vllm pull requests 30407 and 32022; Arm Architecture Reference Manual, B2.3; Sewell et al., "x86-TSO",
CACM 53(7), 2010.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Finding, Fix
from rslint.flow.analysis import Analysis
from rslint.ordering.rings import ordering_of
from rslint.rule import FixRequest, Rule
from rslint_rules.ordering import describe

CODE, NAME = "RS401", "unfenced-flag-write"


def check(analysis: Analysis) -> Iterable[Finding]:
    for ring in ordering_of(analysis).rings:
        order = ring.main
        if order.kind not in ("publish", "rearm"):
            continue
        flag = describe.text(analysis, order.late.site)
        yield describe.finding(
            analysis,
            ring,
            name=NAME,
            message=(
                f"`{flag}` tells readers that {describe.quoted(analysis, order.early)} is done, with no fence between "
                "the two: a CPU that reorders stores (Arm) can show them the flag before the payload; x86 does not"
            ),
            suggestion="put a fence (`memory_fence()`, or a lock taken and released) before the flag is stored",
            early="writes the payload",
            late="stores the flag",
        )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.ordering.repair import repair

    return repair(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a flag in shared memory is stored after its payload with no fence between them",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="where a statement of its own can be put there (unsafe: it takes a lock)",
)

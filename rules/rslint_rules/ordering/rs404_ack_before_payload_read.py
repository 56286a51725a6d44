"""# ack-before-payload-read (RS404)

## What it does
Reports a reader that stores "I have read it" to shared memory after reading the payload, with no fence between the two,
where the writer waits for that flag before it overwrites the payload. RS401's page says what counts as shared memory
and as a fence.

## Why is this bad?
A CPU with a weak memory model may make the store visible before the earlier loads are executed. The writer then
overwrites what the reader is about to read: the reader gets half of the next message.

- **Arm (Grace, Graviton, Ampere, Apple), POWER, RISC-V:** a store may overtake earlier loads on whose value it does not
  depend; this bug can show.
- **x86-64 (TSO):** a store never overtakes an earlier load; this bug does not show there.

## Example
```python
message = bytes(data)
flag[1 + rank] = 1  # the writer may go on before the bytes are read
```

## Use instead
```python
try:
    message = bytes(data)
finally:
    memory_fence()
    flag[1 + rank] = 1  # also when reading failed: the writer waits for it
```

## Fix and its safety
As RS401: unsafe, a fence before the flag is stored. That the flag is stored in `finally` as well is a decision about
what a failed reader owes its writer, and is not made.

## Known limits
As RS401.

## References
vllm-project/vllm pull request 30407; Arm Architecture Reference Manual, B2.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Finding, Fix
from rslint.flow.analysis import Analysis
from rslint.ordering.rings import ordering_of
from rslint.rule import FixRequest, Rule
from rslint_rules.ordering import describe

CODE, NAME = "RS404", "ack-before-payload-read"


def check(analysis: Analysis) -> Iterable[Finding]:
    for ring in ordering_of(analysis).rings:
        if ring.main.kind != "acknowledge":
            continue
        order = ring.main
        flag = describe.text(analysis, order.late.site)
        yield describe.finding(
            analysis,
            ring,
            name=NAME,
            message=(
                f"`{flag}` lets the writer overwrite what {describe.quoted(analysis, order.early)} reads, with no "
                "fence between the two: a CPU that lets stores overtake loads (Arm) may tell the writer "
                "first; x86 does not"
            ),
            suggestion="put a fence before the flag is stored, and store it in `finally`",
            early="reads the payload",
            late="tells the writer",
        )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.ordering.repair import repair

    return repair(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a reader tells the writer that it has read, with no fence after the read",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="where a statement of its own can be put there (unsafe: it takes a lock)",
)

"""# unfenced-flag-read (RS402)

## What it does
Reports a payload in shared memory that is read because a flag allowed it, with no fence between the load of the flag
that succeeded and the load of the payload. RS401's page says what counts as shared memory and as a fence.

## Why is this bad?
A CPU with a weak memory model may execute the later load first. That a branch on the flag stands between does not help:
the CPU predicts the branch and loads the payload ahead of time. The reader then has the flag of the new message and the
bytes of the old one.

- **Arm (Grace, Graviton, Ampere, Apple), POWER, RISC-V:** loads may be reordered; this bug can show.
- **x86-64 (TSO):** loads are executed as if in program order; this bug does not show there, and no test on x86 finds
  it.

The fence belongs *behind* the load that succeeds. One at the top of a polling loop orders the round before, not the
payload; and a loop that merely polls ends without any fence.

## Example
```python
while not flag[0]:
    time.sleep(0)
message = bytes(data)  # may have been loaded before the flag
```

## Use instead
```python
while not flag[0]:
    time.sleep(0)
memory_fence()
message = bytes(data)
```

## Fix and its safety
As RS401: unsafe, a fence before the payload is read.

## Known limits
As RS401. A flag that lies inside what another flag protects (a byte in the message itself) needs no fence of its own.

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

CODE, NAME = "RS402", "unfenced-flag-read"


def check(analysis: Analysis) -> Iterable[Finding]:
    for ring in ordering_of(analysis).rings:
        if ring.main.kind != "consume":
            continue
        order = ring.main
        payload = describe.text(analysis, order.late.site)
        yield describe.finding(
            analysis,
            ring,
            name=NAME,
            message=(
                f"`{payload}` reads what {describe.quoted(analysis, order.early)} allows, with no fence between the "
                "two: a CPU that reorders loads (Arm) may have read the payload before the flag; x86 does not"
            ),
            suggestion="put a fence (`memory_fence()`, or a lock taken and released) after the load that succeeds",
            early="loads the flag",
            late="reads the payload",
        )


def fix(request: FixRequest) -> Fix | None:
    from rslint_rules.ordering.repair import repair

    return repair(request)


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a payload in shared memory is read after its flag with no fence between them",
    documentation=__doc__ or "",
    check=check,
    fix=fix,
    fix_summary="where a statement of its own can be put there (unsafe: it takes a lock)",
)

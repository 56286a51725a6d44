"""# flag-before-payload (RS403)

## What it does
Reports a flag or length in shared memory that is stored *before* the payload that readers take once they have seen it,
by a writer that neither waits for its readers nor tells them that a write is under way.

## Why is this bad?
A reader that looks between the two stores finds the new flag and the old payload, or half of the new one. This is wrong
on every CPU, x86 included: the program itself says so.

## Example
```python
length[0] = len(message)
data[: len(message)] = message  # a reader already takes `length[0]` bytes
```

## Use instead
```python
data[: len(message)] = message
memory_fence()
length[0] = len(message)
```
Where the payload is overwritten while readers may still read it, order alone is not enough: count a sequence number up
before and after (a seqlock), or wait until the readers have acknowledged.

## Fix and its safety
None: moving the store is right for the first message only.

## Known limits
A writer that has looked at a flag of the same memory before, has set one to 0 or has counted a sequence up is taken to
have a protocol with its readers.

## References
dimensionalOS/dimos 0.0.14, `write_lidar`, repaired in 0.0.15 by a seqlock.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Severity, Step
from rslint.flow.analysis import Analysis
from rslint.ordering.rings import ordering_of
from rslint.rule import Rule
from rslint_rules.ordering import describe
from rslint_rules.places import place, qualified_name

CODE, NAME = "RS403", "flag-before-payload"


def check(analysis: Analysis) -> Iterable[Finding]:
    for early in ordering_of(analysis).early:
        where = place(analysis, early.flag.site)
        yield Finding(
            code=CODE,
            name=NAME,
            severity=Severity.ERROR,
            confidence=Confidence.HIGH,
            message=(
                f"`{describe.text(analysis, early.flag.site)}` is stored before its payload, "
                f"{describe.quoted(analysis, early.payload)}: a reader that looks in between takes the old bytes for "
                "the new ones, on any CPU"
            ),
            place=where,
            function=qualified_name(early.flag.site.function),
            noqa_rows=(early.flag.statement.row, early.flag.site.end_row),
            trace=(
                Step("some ranks", where, "stores the flag"),
                Step("some ranks", place(analysis, early.payload.site), "writes the payload"),
                Step("others", place(analysis, early.reader.site), "takes it once the flag is seen"),
            ),
            suggestion="write the payload first, then a fence, then the flag; or mark the write with a sequence number",
        )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a flag in shared memory is stored before the payload it announces",
    documentation=__doc__ or "",
    check=check,
)

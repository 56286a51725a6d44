"""# sequence-not-rechecked (RS405)

## What it does
Reports a reader that looks at a sequence counter in shared memory, copies the payload the counter announces, and does
not look at the counter again, while the writer overwrites the payload without waiting for anybody.

## Why is this bad?
The writer may store the next message while the reader copies: the copy is a mix of two messages, and nothing shows it.
This is wrong on every CPU.

## Example
```python
if sequence[0] > self.last:
    self.last = sequence[0]
    return bytes(data)  # half of it may be the next message already
```

## Use instead
```python
while True:
    before = sequence[0]
    if before % 2:  # odd: a write is under way
        continue
    memory_fence()
    copy = bytes(data)
    memory_fence()
    if sequence[0] == before:
        return copy
```
with a writer that counts once before it writes and once after.

## Fix and its safety
None: the writer has to take part.

## Known limits
Only counters that the project counts up (`+= 1`), and payloads of more than one element. One finding per counter: its
other readers are related places.

## References
Lameter, "Effective Synchronization on Linux/NUMA Systems", 2005 (seqlocks); dimensionalOS/dimos 0.0.14, repaired in
0.0.15.
"""

from __future__ import annotations

from collections.abc import Iterable

from rslint.finding import Confidence, Finding, Related, Severity, Step
from rslint.flow.analysis import Analysis
from rslint.ordering.rings import ordering_of
from rslint.rule import Rule
from rslint_rules.ordering import describe
from rslint_rules.places import place, qualified_name

CODE, NAME = "RS405", "sequence-not-rechecked"


def check(analysis: Analysis) -> Iterable[Finding]:
    for readers in ordering_of(analysis).unchecked:
        copy = readers[0]
        where = place(analysis, copy.payload.site)
        yield Finding(
            code=CODE,
            name=NAME,
            severity=Severity.ERROR,
            confidence=Confidence.HIGH,
            message=(
                f"`{describe.text(analysis, copy.payload.site)}` is read after one look at "
                f"{describe.quoted(analysis, copy.flag)}, and the writer waits for nobody: the copy may be a mix of "
                "two messages; look at the counter again behind it"
            ),
            place=where,
            function=qualified_name(copy.payload.site.function),
            noqa_rows=(copy.payload.statement.row, copy.payload.site.end_row),
            related=tuple(
                Related(place(analysis, other.payload.site), "so does this reader") for other in readers[1:]
            ),
            trace=(
                Step("others", place(analysis, copy.flag.site), "looks at the counter"),
                Step("others", where, "copies the payload"),
                Step("some ranks", place(analysis, copy.writer.site), "overwrites it meanwhile"),
            ),
            suggestion="load the counter before and after the copy, and copy again when it has changed or is odd",
        )


RULE = Rule(
    code=CODE,
    name=NAME,
    summary="a payload that a sequence counter announces is copied without looking at the counter again",
    documentation=__doc__ or "",
    check=check,
)

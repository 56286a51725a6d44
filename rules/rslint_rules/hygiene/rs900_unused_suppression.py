"""# unused-suppression (RS900)

## What it does
Reports `# rslint: ignore[...]` and `# noqa: RS...` comments that suppress nothing.

## Why is this bad?
A comment that hides nothing today hides the next real finding on its statement, and it tells readers of a
danger that is not there.

## Example
```python
dist.barrier()  # rslint: ignore[RS102] -- only rank 0 gets here
```
when every rank reaches this barrier.

## Use instead
```python
dist.barrier()
```

## Fix and its safety
Safe: the fix removes one code out of several, or the whole comment with its reason. Other comments on the row
stay.

## Known limits
Only codes whose rule ran on the file are judged: never one that is not selected, is ignored for the file, is
in preview without `--preview`, or whose rule failed. Codes of other tools and a bare `# noqa` are left alone.
In `# rslint: ignore[...]`, a code that no installed rule has is reported as well. `# noqa: RS900` keeps a
comment.

## References
- ruff's RUF100 (unused-noqa), whose manners this rule follows
"""

from rslint.rule import Rule

RULE = Rule(
    code="RS900",
    name="unused-suppression",
    summary="a suppression comment that suppresses nothing",
    documentation=__doc__ or "",
    check=None,
    fix_summary="remove it (safe)",
)

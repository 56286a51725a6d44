"""# unreadable-file (RS901)

## What it does
Reports a file that cannot be read, decoded or parsed, with the first place that is wrong.

## Why is this bad?
Nothing is known of such a file: calls into it lead nowhere, and a missing finding means nothing.

## Example
```python
def broadcast(value:
    return value
```

## Use instead
```python
def broadcast(value):
    return value
```

## Fix and its safety
None.

## Known limits
rslint parses with the Python it runs on: a file in newer syntax needs rslint under that Python, and the
message says so where the parser does. Expressions nested beyond the parser's limits (thousands of levels) are
reported too. Under flake8 these files appear as E902 or E999 instead, for flake8 hands no plugin a file that
it cannot parse.

## References
- [PEP 263](https://peps.python.org/pep-0263/): how the encoding of a source file is declared
- ruff's `invalid-syntax`
"""

from rslint.rule import Rule

RULE = Rule(
    code="RS901",
    name="unreadable-file",
    summary="a file that cannot be read, decoded or parsed",
    documentation=__doc__ or "",
    check=None,
)

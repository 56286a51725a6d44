"""`python -m rslint` is `rslint`."""

from rslint.cli import run

run()

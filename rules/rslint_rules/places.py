"""Where something stands, as findings say it: the same for the rules of all families."""

from __future__ import annotations

import re
from pathlib import PurePath

from rslint.finding import Place
from rslint.flow.analysis import Analysis
from rslint.flow.forest import Site
from rslint.project.ir import Span
from rslint.project.source import place_of


def place(analysis: Analysis, site: Site) -> Place:
    """A site as faces show it: absolute file name, columns in characters from 1."""
    source = analysis.links.source(site.function)
    return place_of(source, Span(site.row, site.column, site.end_row, site.end_column))


def line_text(there: Place, here: Place) -> str:
    """`line 3`, as a message at `here` says it: with the file where it is another one."""
    return (
        f"line {there.row}"
        if there.filename == here.filename
        else f"line {there.row} of {PurePath(there.filename).name}"
    )


def qualified_name(identity: str) -> str:
    """`Class.method` of a function's identity, empty at a module's top level; without the number that tells a second
    definition of the same name apart."""
    return re.sub(r"@\d+", "", identity.partition(":")[2])

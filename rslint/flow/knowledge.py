"""The store that the analyses of one project share: links, models, the forest of effects, and what is known so far.

Every answer is a pure function of the project: a depth is part of each question about callees, so what is computed
first never changes what is answered later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rslint.flow.forest import Forest, Site
from rslint.flow.sequences import Comparison, Sequences, everything
from rslint.project import ir

if TYPE_CHECKING:
    from rslint.flow.cfg import Cfg
    from rslint.flow.divergence import FunctionDivergence
    from rslint.flow.exceptions import Answer
    from rslint.flow.marks import Choice, Sources
    from rslint.flow.meaning import Meaning
    from rslint.flow.reasons import GuardedCall
    from rslint.flow.record import CallSite, Reason
    from rslint.flow.slicing import Reading
    from rslint.flow.walked import Walk
    from rslint.models import Models
    from rslint.project.links import Links


@dataclass
class Knowledge:
    """`effects` and `walks` hold the functions that reach a collective; the other tables fill on demand."""

    links: Links
    models: Models
    forest: Forest = field(default_factory=Forest)
    effects: dict[str, int] = field(default_factory=dict)
    walks: dict[str, Walk] = field(default_factory=dict)
    loops: dict[str, tuple[int, int]] = field(default_factory=dict)
    meanings: dict[str, dict[int, Meaning]] = field(default_factory=dict)
    reasons: dict[tuple[str, int], tuple[Reason, ...]] = field(default_factory=dict)
    silences: dict[tuple[str, int], bool] = field(default_factory=dict)
    divergences: dict[tuple[str, int], FunctionDivergence] = field(default_factory=dict)
    attributes: dict[tuple[str, str, int], Sources] = field(default_factory=dict)
    returned: dict[tuple[str, int], Sources] = field(default_factory=dict)
    sites: dict[str, tuple[CallSite, ...]] = field(default_factory=dict)
    decisions: dict[str, FunctionDivergence] = field(default_factory=dict)
    declared: dict[str, bool] = field(default_factory=dict)
    methods: dict[tuple[str, str], str | None] = field(default_factory=dict)
    uses: dict[tuple[str, str], tuple[CallSite, ...]] = field(default_factory=dict)
    calls: dict[str, tuple[GuardedCall, ...]] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    writers: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    graphs: dict[str, Cfg] = field(default_factory=dict)
    choices: dict[str, tuple[frozenset[Choice], ...]] = field(default_factory=dict)
    named_calls: dict[str, dict[str, list[ir.Call]]] = field(default_factory=dict)
    catching: dict[tuple[tuple[str | None, ...], str], Answer] = field(default_factory=dict)

    @cached_property
    def comparison(self) -> Comparison:
        """Trees compared under the view that sees everything."""
        return Comparison(self.forest, everything)

    @cached_property
    def sequences(self) -> Sequences:
        """Sequences under the view that sees everything; all effects must be known."""
        return Sequences(self.forest, everything, self.loops)


def site_of(function: str, node: ir.Node) -> Site:
    """Where a node of a function stands."""
    s = node.span
    return Site(function, s.row, s.column, s.end_row, s.end_column)

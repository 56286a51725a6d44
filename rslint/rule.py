"""What a rule is: one frozen record per file in a rule package, found through the entry-point group `rslint.rules`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rslint.finding import Finding, Fix
    from rslint.flow.analysis import Analysis
    from rslint.project.source import Source


@dataclass(frozen=True)
class FixRequest:
    """What a fixer gets: the finding, the current source of its file, the analysis it came from, the wanted style."""

    finding: Finding
    source: Source
    analysis: Analysis


@dataclass(frozen=True)
class Rule:
    """A rule.

    `documentation` is the page (Markdown, the module's docstring): headings What it does, Why is this bad, Example,
    Use instead, Fix and its safety, Known limits, References. `check` names findings on one analysed project; it is
    None for rules that the run itself reports (RS900, RS901). `fix` returns the repair of one finding, or None where
    no repair is offered. Rules with `preview` set report only under `--preview`; single findings may be preview too.
    """

    code: str
    name: str
    summary: str
    documentation: str
    check: Callable[[Analysis], Iterable[Finding]] | None
    fix: Callable[[FixRequest], Fix | None] | None = None
    fix_summary: str = "none"
    preview: bool = False

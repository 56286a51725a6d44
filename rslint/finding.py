"""What a rule reports: findings, the places they speak of, and the edits that repair them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(str, Enum):
    """error: the process survives and its peers hang. warning: the process dies, or peers wait for a timeout."""

    ERROR = "error"
    WARNING = "warning"


class Confidence(str, Enum):
    """high: all evidence lies in analysed code. medium: one step rests on a model or a name. low: plausible."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Applicability(str, Enum):
    """Whether `--fix` applies a fix (safe), needs `--unsafe-fixes` (unsafe), or it is only shown (display)."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    DISPLAY = "display"


@dataclass(frozen=True, order=True)
class Place:
    """A half-open range of one file. `filename` is absolute; rows and columns count from 1, columns in characters."""

    filename: str
    row: int
    column: int
    end_row: int
    end_column: int


@dataclass(frozen=True)
class Related:
    """Another place that belongs to a finding, for example the collective that is skipped."""

    place: Place
    message: str


@dataclass(frozen=True)
class Step:
    """One step of the trace that leads to a finding.

    `rank` says who takes it: "leader", "others", "some ranks" or "all".
    """

    rank: str
    place: Place
    message: str


@dataclass(frozen=True)
class Sequence:
    """What the ranks named by `ranks` execute from the finding on: operations in order, each as text."""

    ranks: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """Replace the text in `place` by `content`. An empty range inserts."""

    place: Place
    content: str


@dataclass(frozen=True)
class Fix:
    """Edits that repair one finding; all of them apply or none."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Finding:
    """One finding of one rule.

    `function` is the qualified name inside the module ("Class.method", "" at top level). `noqa_rows` are the rows of
    the statement that holds the finding: a suppression on any of them counts. `suggestion` is what to do next when
    there is no fix, one sentence.
    """

    code: str
    name: str
    severity: Severity
    confidence: Confidence
    message: str
    place: Place
    function: str
    noqa_rows: tuple[int, int]
    related: tuple[Related, ...] = ()
    trace: tuple[Step, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    suggestion: str = ""
    fix: Fix | None = None
    preview: bool = False

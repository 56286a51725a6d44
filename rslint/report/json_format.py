"""The JSON output: ruff's field names, file names absolute as there, and what rslint knows besides."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rslint.finding import Finding, Fix, Place


def format_json(findings: Iterable[Finding]) -> str:
    """A list with one object per finding; rows and columns count from 1, columns in characters."""
    return json.dumps([as_object(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def as_object(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "message": finding.message,
        **_located(finding.place),
        "end_location": _end(finding.place),
        "function": finding.function,
        # The pages are not published yet; `rslint explain CODE` prints them.
        "url": None,
        "noqa_row": finding.noqa_rows[1],
        "preview": finding.preview,
        "suggestion": finding.suggestion,
        "related": [{**_located(item.place), "message": item.message} for item in finding.related],
        "trace": [
            {"rank": step.rank, **_located(step.place), "message": step.message} for step in finding.trace
        ],
        "sequences": [
            {"ranks": sequence.ranks, "operations": list(sequence.operations)}
            for sequence in finding.sequences
        ],
        "fix": None if finding.fix is None else _fix(finding.fix),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "edits": [
            {
                "location": _start(edit.place),
                "end_location": _end(edit.place),
                "content": edit.content,
            }
            for edit in fix.edits
        ],
    }


def _located(place: Place) -> dict[str, Any]:
    return {"filename": place.filename, "location": _start(place)}


def _start(place: Place) -> dict[str, int]:
    return {"row": place.row, "column": place.column}


def _end(place: Place) -> dict[str, int]:
    return {"row": place.end_row, "column": place.end_column}

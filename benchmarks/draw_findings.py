"""Draws the findings that are read to measure precision: all if fewer than 60, else 60 by a seed that is printed.

    python benchmarks/draw_findings.py [--seed 20260101] [--count 60] REPORT.json…

Each report is what `rslint check --output-format json` wrote for one released tree. The output is Markdown, one row
per finding with empty columns for two readers; the order is that of the draw, so that rules and trees mix. Fewer
findings than `--count` are all listed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Print the table; 2 and one line where a report cannot be read."""
    parser = argparse.ArgumentParser(description="Draw findings to be read by two people.")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("reports", nargs="+", type=Path)
    options = parser.parse_args()
    rows: list[tuple[str, dict[str, Any]]] = []
    for report in options.reports:
        try:
            findings = json.loads(report.read_text(encoding="utf-8"))
            rows += [(report.stem, finding) for finding in findings]
        except (OSError, ValueError) as error:
            print(f"error: {report}: no report of rslint: {error}", file=sys.stderr)
            return 2
    drawn = draw(rows, options.count, options.seed)
    print(f"{len(drawn)} of {len(rows)} findings, seed {options.seed}\n")
    print("| report | place | rule | severity | message | first reader | second reader |")
    print("|---|---|---|---|---|---|---|")
    for report_name, finding in drawn:
        print(
            f"| {report_name} | {_place(finding, rows, report_name)} | {finding['code']} | {finding['severity']} | ",
            end="",
        )
        print(f"{finding['message'].replace('|', chr(92) + '|')} | | |")
    return 0


def draw(rows: list[tuple[str, dict[str, Any]]], count: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """`count` rows without repetition, or all of them, in an order that the seed alone decides."""
    ordered = sorted(
        rows, key=lambda row: (row[0], row[1]["filename"], row[1]["location"]["row"], row[1]["code"])
    )
    return random.Random(seed).sample(ordered, min(count, len(ordered)))


def _place(finding: dict[str, Any], rows: list[tuple[str, dict[str, Any]]], report: str) -> str:
    """The file below the folder that all findings of the report share, and the row."""
    folders = [os.path.dirname(other["filename"]) for name, other in rows if name == report]
    relative = os.path.relpath(finding["filename"], os.path.commonpath(folders))
    return f"`{relative}:{finding['location']['row']}`"


if __name__ == "__main__":
    raise SystemExit(main())

"""Findings made from comments in a file: `# raises`, `# also raises` and `# collective` behind a call.

Without such comments the first call of `fetch` raises and the first `broadcast_object_list` is skipped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from rslint.finding import Confidence, Edit, Finding, Place, Related, Sequence, Severity

MARKS = {"# raises": "raises", "# also raises": "also raises", "# collective": "collective"}


def _calls_on(tree: ast.Module, row: int) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.lineno == row:
            yield node


def _place(filename: str, lines: list[str], call: ast.Call) -> Place:
    end_row, end_offset = call.end_lineno or 0, call.end_col_offset or 0
    column = len(lines[call.lineno - 1].encode()[: call.col_offset].decode()) + 1
    end_column = len(lines[end_row - 1].encode()[:end_offset].decode()) + 1
    return Place(filename, call.lineno, column, end_row, end_column)


def _named(tree: ast.Module, name: str) -> ast.Call:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    named = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == name]
    return min(named, key=lambda call: call.lineno)


def marked_finding(
    text: str, filename: str = "/project/module.py", operations: tuple[str, ...] = ()
) -> Finding:
    """The finding that the marks in `text` describe; the outermost call of a marked row is meant."""
    tree, lines = ast.parse(text), text.split("\n")
    places: dict[str, list[Place]] = {kind: [] for kind in MARKS.values()}
    for row, line in enumerate(lines, 1):
        for mark, kind in MARKS.items():
            if line.rstrip("\r").endswith(mark):
                outermost = max(
                    _calls_on(tree, row), key=lambda call: (call.end_lineno, call.end_col_offset or 0)
                )
                places[kind].append(_place(filename, lines, outermost))
    if not places["raises"]:
        places["raises"] = [_place(filename, lines, _named(tree, "fetch"))]
        places["collective"] = [_place(filename, lines, _named(tree, "broadcast_object_list"))]
    related = [Related(place, "the collective that is skipped") for place in places["collective"]]
    related += [Related(place, "also raises: fetch") for place in places["also raises"]]
    (raising,) = places["raises"]
    return Finding(
        "RS101",
        "collective-skipped-by-exception",
        Severity.ERROR,
        Confidence.HIGH,
        "a collective is skipped",
        raising,
        "function",
        (raising.row, raising.end_row),
        tuple(related),
        sequences=(Sequence("ranks that raise here", ()), Sequence("the others", operations)),
    )


def applied(text: str, edits: tuple[Edit, ...]) -> str:
    """The text after the edits; rows and columns as in `Place`."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for edit in sorted(edits, key=lambda each: each.place, reverse=True):
        begin = starts[edit.place.row - 1] + edit.place.column - 1
        end = starts[edit.place.end_row - 1] + edit.place.end_column - 1
        text = text[:begin] + edit.content + text[end:]
    return text

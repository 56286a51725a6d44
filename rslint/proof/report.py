"""Proofs as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rslint.proof.demonstrate import Shown
from rslint.proof.prove import Proof
from rslint.report.paint import Paint

_HEAD = ("code", "case", "bug", "fix", "fixed program", "verdict")


def table(proofs: Sequence[Proof], paint: Paint, *, diffs: bool) -> str:
    """One row for each case, then why some are unproven, then the count. `diffs`: the fixes too."""
    rows = [_HEAD, *(_row(proof) for proof in proofs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        looks = paint.strong if number == 0 else paint.error if row[-1] == "unproven" else None
        text = "  ".join(cells).rstrip()
        lines.append(looks(text) if looks else text)
    pieces = ["\n".join(lines) + "\n"]
    pieces += [_account(proof) for proof in proofs if proof.verdict == "unproven"]
    if diffs:
        pieces += [f"{_name(proof)}:\n{proof.fix.diff}" for proof in proofs if proof.fix.diff]
    return "\n".join([*pieces, _count(proofs)])


def _name(proof: Proof) -> str:
    return f"{proof.case.code} {proof.case.name}"


def _row(proof: Proof) -> tuple[str, ...]:
    fix = proof.fix
    offered = fix.applicability if fix.state == "golden" else f"{fix.applicability}, {fix.state}"
    if fix.state == "none offered":
        offered = "shown only" if fix.applicability == "display" else fix.applicability
    shown = _ends([one for one in proof.bug if one.shows_failure])
    return (
        proof.case.code,
        proof.case.name,
        shown or "not stated",
        offered,
        _ends(proof.fixed) or "–",
        proof.verdict,
    )


def _ends(shown: Sequence[Shown]) -> str:
    """How some demonstrations ended, each kind of end once."""
    counts = Counter(one.found for one in shown)
    return ", ".join(found if count == 1 else f"{found} ×{count}" for found, count in counts.items())


def _account(proof: Proof) -> str:
    """Why a case is not proven, with the harness's own report where there is one."""
    details = [one.detail for one in (*proof.bug, *proof.fixed) if not one.as_stated and one.detail]
    diff = [] if proof.fix.is_well else [proof.fix.diff]
    return "\n".join([f"{_name(proof)}: {proof.problem}", *diff, *details]) + "\n"


def _count(proofs: Sequence[Proof]) -> str:
    verdicts = Counter(proof.verdict for proof in proofs)
    shown = f", {verdicts['shown']} shown (no fix is offered)" if verdicts["shown"] else ""
    unproven = f", {verdicts['unproven']} unproven" if verdicts["unproven"] else ""
    return f"{len(proofs)} {'case' if len(proofs) == 1 else 'cases'}: {verdicts['proven']} proven{shown}{unproven}\n"


def as_json(proofs: Sequence[Proof]) -> str:
    """The same as JSON; docs/fixtures.md describes the fields."""
    return json.dumps([_object(proof) for proof in proofs], indent=2, ensure_ascii=False) + "\n"


def _object(proof: Proof) -> dict[str, Any]:
    fix = proof.fix
    return {
        "code": proof.case.code,
        "case": proof.case.name,
        "folder": str(proof.case.folder),
        "reason": proof.case.reason.strip(),
        "verdict": proof.verdict,
        "problem": proof.problem or None,
        "bug": [_demonstration(one) for one in proof.bug],
        "fix": {"state": fix.state, "applicability": fix.applicability, "diff": fix.diff or None},
        "fixed": [_demonstration(one) for one in proof.fixed],
    }


def _demonstration(one: Shown) -> dict[str, Any]:
    return {**vars(one), "detail": one.detail or None}

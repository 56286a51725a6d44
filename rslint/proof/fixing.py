"""Makes the fix of a case: what `rslint check --fix` turns bug.py into, beside what fixed.py says it should."""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rslint.finding import Applicability, Finding
from rslint.fix import SAFE_AND_UNSAFE, SAFE_ONLY, fix_until_stable
from rslint.project.discover import Request
from rslint.proof.case import BUG, FIXED, Case
from rslint.registry import load_rules, rule_named
from rslint.run import RunRequest, RunResult, check

MARK = re.compile(rb"[ \t]*# (?:expect|todo-miss|todo-false): RS\d{3}(?:, RS\d{3})*[ \t]*$", re.MULTILINE)
FixState = Literal["golden", "no golden file", "none offered", "differs", "not as stated", "not repaired"]


@dataclass(frozen=True)
class Fixing:
    """The fix of a case. `program` is the text that it makes, None where none is offered. `state`: "golden" (it is
    fixed.py letter by letter), "no golden file" (there is no fixed.py), "none offered"; and where something is wrong:
    "differs" (from fixed.py), "not as stated" (another applicability than case.toml says), "not repaired" (the finding
    is still there). `diff` is from bug.py to the program, or from fixed.py where it differs."""

    state: FixState
    applicability: str
    program: bytes | None
    diff: str

    @property
    def is_well(self) -> bool:
        return self.state in ("golden", "no golden file", "none offered")


def unmarked(program: bytes) -> bytes:
    """A fixture's program without the comments that say which findings are expected."""
    return MARK.sub(b"", program)


def fix_of(case: Case) -> Fixing:
    """Make the fix of bug.py in a project of its own: what the case's code is offered, and all that goes with it."""
    before = unmarked((case.folder / BUG).read_bytes())
    settings = _settings(case)
    with tempfile.TemporaryDirectory(prefix="rslint-prove-") as folder:
        subject = Path(folder).resolve() / BUG
        subject.write_bytes(before)
        found = findings_of(subject, settings)
        offered = {_applicability(finding) for finding in found if finding.code == case.code}
        applicability = _weakest(offered)
        stated = case.fix.applicability if case.fix is not None else applicability
        if case.fix is not None and offered != {stated}:
            applicability = ", ".join(sorted(offered)) or "no finding"
            return Fixing(
                "not as stated", applicability, None, f"case.toml says {stated}, {applicability} is offered\n"
            )
        if applicability not in ("safe", "unsafe"):
            golden = (case.folder / FIXED).exists()
            return Fixing("not as stated" if golden else "none offered", applicability, None, "")
        after, left = _fixed(subject, settings, applicability)
    if any(finding.code == case.code for finding in left):
        return Fixing("not repaired", applicability, after, _diff(before, after, BUG, "after the fix"))
    return _compared(case, applicability, before, after)


def _settings(case: Case) -> dict[str, Any]:
    """The keys of `[tool.rslint]` that the fix is made with; a rule in preview is turned on."""
    rule = rule_named(load_rules(), case.code)
    preview = {"preview": True} if rule is not None and rule.preview else {}
    return {**preview, **(case.fix.settings if case.fix is not None else {})}


def findings_of(subject: Path, settings: Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """What rslint reports of a file in a folder of its own, which becomes a project with these settings."""
    return tuple(_check(subject, settings or {}, {}).findings)


def _check(subject: Path, settings: Mapping[str, Any], overrides: Mapping[Path, bytes]) -> RunResult:
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    (subject.parent / "pyproject.toml").write_text(f"[tool.rslint]\n{table}", encoding="utf-8")
    return check(RunRequest(Request(paths=(subject,), overrides=dict(overrides)), jobs=1))


def _fixed(
    subject: Path, settings: Mapping[str, Any], applicability: str
) -> tuple[bytes, tuple[Finding, ...]]:
    """The bytes after the fix, and the findings that are left."""

    def check_with(overrides: Mapping[Path, bytes]) -> RunResult:
        return _check(subject, settings, overrides)

    allow = SAFE_ONLY if applicability == "safe" else SAFE_AND_UNSAFE
    repaired = fix_until_stable(check_with, allow=allow)
    return repaired.after.get(subject, subject.read_bytes()), tuple(repaired.run.findings)


def _compared(case: Case, applicability: str, before: bytes, after: bytes) -> Fixing:
    golden = case.folder / FIXED
    if not golden.exists():
        return Fixing("no golden file", applicability, after, _diff(before, after, BUG, FIXED))
    wanted = golden.read_bytes()
    if after != wanted:
        return Fixing(
            "differs", applicability, after, _diff(wanted, after, FIXED, "what the fix makes of bug.py")
        )
    return Fixing("golden", applicability, after, _diff(before, after, BUG, FIXED))


def _applicability(finding: Finding) -> str:
    return "none" if finding.fix is None else finding.fix.applicability.value


def _weakest(offered: set[str]) -> str:
    """What all findings are at least offered; "no finding" where there is none."""
    order = ("none", Applicability.DISPLAY.value, Applicability.UNSAFE.value, Applicability.SAFE.value)
    return next((one for one in order if one in offered), "no finding")


def _diff(before: bytes, after: bytes, old: str, new: str) -> str:
    one, other = (side.decode("utf-8", "replace").splitlines(keepends=True) for side in (before, after))
    return "".join(difflib.unified_diff(one, other, old, new))

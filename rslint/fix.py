"""Apply fixes to source text, re-check until nothing changes, and replace files atomically.

A face uses four functions, in this order; nothing here prints:

    repaired = fix_until_stable(check, allow=SAFE_ONLY)  # check: overrides -> one run over the project
    diff_text(repaired)                                  # `--diff`: a unified diff, "" when nothing changed
    left_alone = write_all(repaired)                     # `--fix`: what was not replaced, and why
    repaired.run, repaired.applied, repaired.messages    # what is left, what was done, what must be said

The model is ruff's (crates/ruff_diagnostics/src/fix.rs and ruff_linter's fix loop): the edits of a fix apply
all or none, fixes that overlap wait for the next round, identical edits count once, every round is checked
again, and a result that does not parse or that brings a finding which was not there is dropped and said.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rslint.edit import apply_fixes, encode_like, parses
from rslint.finding import Applicability, Finding
from rslint.replace import replace_file

if TYPE_CHECKING:
    from rslint.project.source import Source

MOST_ROUNDS = 10
SAFE_ONLY = frozenset({Applicability.SAFE})
SAFE_AND_UNSAFE = frozenset({Applicability.SAFE, Applicability.UNSAFE})
_DIFF_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Checked(Protocol):
    """What one check of a project hands back: its findings, fixes attached, and the sources they speak of."""

    @property
    def findings(self) -> Sequence[Finding]: ...

    @property
    def sources(self) -> Mapping[Path, Source]: ...


Check = Callable[[Mapping[Path, bytes]], Checked]


@dataclass(frozen=True)
class AppliedFix:
    """One fix that is part of the result: the finding it repaired and the file it changed."""

    path: Path
    finding: Finding


@dataclass(frozen=True)
class Repaired:
    """The outcome of `fix_until_stable`.

    `run` is the last check, made with all accepted changes. `before` and `after` hold the bytes of changed
    files only. `messages` are whole sentences about fixes that were dropped or did not settle. `withheld`
    counts the fixes of `run` that are not allowed to apply (unsafe or display).
    """

    run: Checked
    before: Mapping[Path, bytes]
    after: Mapping[Path, bytes]
    applied: tuple[AppliedFix, ...]
    messages: tuple[str, ...]
    withheld: int
    converged: bool


@dataclass(frozen=True)
class _Candidate:
    """What one file would become, and the findings whose fixes make it so."""

    data: bytes
    findings: tuple[Finding, ...]


def _signature(finding: Finding) -> tuple[str, str, str]:
    """What identifies a finding while rows move: its code and function (messages carry rows)."""
    return finding.place.filename, finding.code, finding.function


def _files_with_news(before: Checked, after: Checked) -> set[Path]:
    extra = Counter(map(_signature, after.findings)) - Counter(map(_signature, before.findings))
    return {Path(filename) for filename, _, _ in extra}


def _refusal(finding: Finding, reason: str) -> str:
    place = finding.place
    return f"{place.filename}:{place.row}:{place.column}: the fix of {finding.code} was dropped: {reason}"


def _fix_key(finding: Finding) -> tuple[str, str, str, tuple[str, ...]]:
    contents = tuple(edit.content for edit in finding.fix.edits) if finding.fix else ()
    return (*_signature(finding), contents)


class _Loop:
    """The state of one `fix_until_stable`: what was accepted, refused and must be said."""

    def __init__(
        self, check: Check, overrides: Mapping[Path, bytes], allow: frozenset[Applicability]
    ) -> None:
        self.check, self.overrides, self.allow = check, dict(overrides), allow
        self.run = check(self.overrides)
        self.before: dict[Path, bytes] = {}
        self.after: dict[Path, bytes] = {}
        self.applied: list[AppliedFix] = []
        self.messages: list[str] = []
        self.refused: set[tuple[str, str, str, tuple[str, ...]]] = set()

    def refuse(self, findings: Iterable[Finding], reason: str) -> None:
        for finding in findings:
            self.refused.add(_fix_key(finding))
            self.messages.append(_refusal(finding, reason))

    def open_findings(self) -> dict[Path, list[Finding]]:
        """Findings with an allowed fix that was not refused, by the file the fix edits."""
        by_path: dict[Path, list[Finding]] = {}
        for finding in self.run.findings:
            fix = finding.fix
            if fix is None or fix.applicability not in self.allow or _fix_key(finding) in self.refused:
                continue
            names = {edit.place.filename for edit in fix.edits}
            path = Path(finding.place.filename)
            if names != {finding.place.filename} or path not in self.run.sources:
                self.refuse((finding,), "it edits a file other than the one it reports")
            else:
                by_path.setdefault(path, []).append(finding)
        return by_path

    def candidate(self, path: Path, findings: Sequence[Finding]) -> _Candidate | None:
        """The file with those fixes; None (and said, when a single fix is to blame) if it cannot be made."""
        source = self.run.sources[path]
        fixes = {id(finding.fix): finding for finding in findings}
        text, applied = apply_fixes(source, [finding.fix for finding in findings if finding.fix])
        taken = tuple(fixes[id(fix)] for fix in applied)
        reason = ""
        if not taken:
            reason = "its edits do not fit the file"
        else:
            try:
                data = encode_like(source, text)
            except ValueError as error:
                reason = f"the file cannot be written back ({error})"
            else:
                if parses(data):
                    return _Candidate(data, taken)
                reason = "the result does not parse"
        if len(findings) == 1:
            self.refuse(findings, reason)
        return None

    def accept(self, candidates: Mapping[Path, _Candidate], run: Checked) -> None:
        for path, candidate in candidates.items():
            self.before.setdefault(path, self.run.sources[path].data)
            self.after[path] = self.overrides[path] = candidate.data
            self.applied += [AppliedFix(path, finding) for finding in candidate.findings]
        self.run = run

    def attempt(self, candidates: Mapping[Path, _Candidate]) -> set[Path]:
        """Check the candidates together; accept them all, or none and name the files to blame."""
        changed = {path: candidate.data for path, candidate in candidates.items()}
        after = self.check({**self.overrides, **changed})
        news = _files_with_news(self.run, after)
        if not news:
            self.accept(candidates, after)
            return set()
        return (news & set(candidates)) or set(candidates)

    def round(self) -> bool:
        """One round over all files; whether anything changed. Files that fail as a whole go fix by fix."""
        work = self.open_findings()
        together = {path: made for path, found in work.items() if (made := self.candidate(path, found))}
        alone = {path for path in work if path not in together and len(work[path]) > 1}
        accepted = 0
        while together:
            blamed = self.attempt(together)
            if not blamed:
                accepted += len(together)
                break
            alone |= blamed
            together = {path: made for path, made in together.items() if path not in blamed}
        for path in sorted(alone):
            accepted += self.one_by_one(path)
        return accepted > 0

    def one_by_one(self, path: Path) -> bool:
        """Try the fixes of one file singly until one is accepted (its neighbours then have new places)."""
        for finding in self.open_findings().get(path, []):
            made = self.candidate(path, [finding])
            if made is None:
                continue
            if not self.attempt({path: made}):
                return True
            self.refuse((finding,), "the result has a finding that was not there before")
        return False


def fix_until_stable(
    check: Check,
    *,
    overrides: Mapping[Path, bytes] | None = None,
    allow: frozenset[Applicability] = SAFE_ONLY,
    rounds: int = MOST_ROUNDS,
) -> Repaired:
    """Check, apply what is allowed, and check again until nothing changes or `rounds` are used up.

    `check(overrides)` analyses the project with the bytes of some files replaced. Files on disk are only
    read, by `check`; `write_all` replaces them. `overrides` are the replacements to start from (stdin).
    """
    loop = _Loop(check, overrides or {}, allow)
    converged = False
    for _ in range(rounds):
        if not loop.round():
            converged = True
            break
    if not converged and not loop.open_findings():
        converged = True
    if not converged:
        paths = ", ".join(sorted(str(path) for path in loop.open_findings()))
        loop.messages.append(f"{paths}: the fixes did not settle after {rounds} rounds")
    changed = {path: data for path, data in loop.after.items() if data != loop.before[path]}
    withheld = sum(1 for found in loop.run.findings if found.fix and found.fix.applicability not in allow)
    before = {path: loop.before[path] for path in changed}
    return Repaired(loop.run, before, changed, tuple(loop.applied), tuple(loop.messages), withheld, converged)


def write_all(repaired: Repaired) -> tuple[str, ...]:
    """Replace every changed file; one sentence for each that was left alone."""
    left_alone: list[str] = []
    for path in sorted(repaired.after):
        reason = replace_file(path, repaired.before[path], repaired.after[path])
        if reason is not None:
            left_alone.append(f"{path}: left alone: {reason}")
    return tuple(left_alone)


def _diff_lines(data: bytes, encoding: str) -> list[str]:
    return _DIFF_LINE.findall(data.decode(encoding, errors="replace"))


def diff_text(repaired: Repaired, *, relative_to: Path | None = None) -> str:
    """A unified diff of all changed files, named as `diff -u` does; "" when nothing changed."""
    pieces: list[str] = []
    for path in sorted(repaired.after):
        name = str(path)
        if relative_to is not None and path.is_relative_to(relative_to):
            name = path.relative_to(relative_to).as_posix()
        encoding = repaired.run.sources[path].encoding
        before, after = (_diff_lines(side[path], encoding) for side in (repaired.before, repaired.after))
        for line in difflib.unified_diff(before, after, name, name):
            pieces.append(line if line.endswith(("\n", "\r")) else line + "\n\\ No newline at end of file\n")
    return "".join(pieces)

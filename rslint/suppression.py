"""Reads the comments that suppress findings, applies them, and names those that suppress nothing (RS900)."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from rslint.finding import Applicability, Confidence, Edit, Finding, Fix, Place, Severity
from rslint.project.source import Source
from rslint.rule import Rule

UNUSED = "RS900"
_CODES = r"[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*"
_MAYBE = re.compile(r"#\s*(?:noqa|flake8\s*[:=]|rslint\s*:)", re.IGNORECASE)
_OWN = re.compile(
    r"#\s*rslint\s*:\s*ignore(?P<file>-file)?\b\s*(?:\[(?P<codes>[^\]#]*)\])?(?P<reason>\s*--[^#]*)?",
    re.IGNORECASE,
)
_NOQA = re.compile(rf"#\s*noqa(?![-\w])(?:\s*:\s*(?P<codes>{_CODES}))?", re.IGNORECASE)
_FLAKE8_FILE = re.compile(rf"#\s*flake8\s*[:=]\s*noqa(?:\s*:\s*(?P<codes>{_CODES}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Directive:
    """One suppression. `codes` empty suppresses everything; `own` is our form, whose codes are ours to judge.

    Columns count from 1: of the directive, and of its codes (0, 0 without any).
    """

    row: int
    column: int
    end_column: int
    codes: tuple[str, ...]
    codes_column: int
    codes_end_column: int
    whole_file: bool
    own: bool

    def covers(self, finding: Finding, code: str | None = None) -> bool:
        """Whether it stands where it counts for a finding and names it; `code` narrows it to one code."""
        first, last = finding.noqa_rows
        if not self.whole_file and not first <= self.row <= last:
            return False
        codes = self.codes if code is None else (code,)
        return not codes or finding.code.startswith(codes)


def may_suppress(data: bytes, rules: Sequence[Rule]) -> bool:
    """Whether a file may hold a directive that RS900 would judge: our own form, or a code of one of the rules."""
    lowered = data.lower()
    if b"noqa" not in lowered:
        return b"rslint" in lowered
    letters = {rule.code.rstrip("0123456789").lower() for rule in rules}
    coded = rb"\b(?:" + "|".join(map(re.escape, sorted(letters))).encode() + rb")[0-9]"
    return b"rslint" in lowered or re.search(coded, lowered) is not None


def directives(source: Source) -> tuple[Directive, ...]:
    """The suppressions of one file, in order; only comments count, never text in a string."""
    if not _MAYBE.search(source.text):
        return ()
    return tuple(found for comment in _comments(source.text) for found in _parsed(comment))


def _comments(text: str) -> Iterator[tokenize.TokenInfo]:
    """Every comment, up to the place where tokenizing fails."""
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        for token in tokenize.generate_tokens(StringIO(normal).readline):
            if token.type == tokenize.COMMENT:
                yield token
    except (tokenize.TokenError, SyntaxError):
        return


def _parsed(comment: tokenize.TokenInfo) -> Iterator[Directive]:
    (row, column), text = comment.start, comment.string
    # As in flake8, its file-level form counts on a row of its own only.
    alone = not comment.line[:column].strip()
    for pattern in (_OWN, _FLAKE8_FILE, _NOQA) if alone else (_OWN, _NOQA):
        for match in pattern.finditer(text):
            start, end = match.span("codes")
            listed = match["codes"] or ""
            yield Directive(
                row=row,
                column=column + match.start() + 1,
                end_column=column + len(match[0].rstrip()) + match.start() + 1,
                codes=tuple(code.upper() for code in re.split(r"[,\s]+", listed) if code),
                codes_column=column + start + 1 if listed else 0,
                codes_end_column=column + end + 1 if listed else 0,
                whole_file=pattern is _FLAKE8_FILE or (pattern is _OWN and bool(match["file"])),
                own=pattern is _OWN,
            )


def is_suppressed(finding: Finding, found: Iterable[Directive]) -> bool:
    return any(directive.covers(finding) for directive in found)


def unused_suppressions(
    source: Source,
    found: Sequence[Directive],
    findings: Collection[Finding],
    rules: Sequence[Rule],
    ran: Collection[str],
) -> Iterator[Finding]:
    """One RS900 for each directive with codes that suppress nothing, as ruff's RUF100 has it.

    `findings` are all of the file, hidden ones too; `ran` the codes whose absence means something here:
    selected, not ignored for this file, not in preview, completed. Codes of other tools and blanket `noqa`
    are left alone.
    """
    name = next((rule.name for rule in rules if rule.code == UNUSED), "unused-suppression")
    for directive in found:
        if any(UNUSED.startswith(code) for code in directive.codes):
            continue
        here = [finding for finding in findings if directive.covers(finding)]
        if not directive.codes:
            stable = {rule.code for rule in rules if rule.check is not None and not rule.preview}
            if directive.own and not here and stable <= set(ran):
                yield _finding(source, directive, (), "it suppresses nothing", name)
            continue
        unused, unknown = _idle_codes(directive, findings, rules, ran)
        if unused or unknown:
            parts = [f"{', '.join(unused)} reports nothing here"] if unused else []
            parts += [f"{', '.join(unknown)} is no installed rule"] if unknown else []
            yield _finding(source, directive, (*unused, *unknown), "; ".join(parts), name)


def _idle_codes(
    directive: Directive, findings: Collection[Finding], rules: Sequence[Rule], ran: Collection[str]
) -> tuple[list[str], list[str]]:
    unused: list[str] = []
    unknown: list[str] = []
    for code in dict.fromkeys(directive.codes):
        named = [rule.code for rule in rules if rule.code.startswith(code)]
        if any(directive.covers(finding, code) for finding in findings):
            continue
        if named and all(one in ran for one in named):
            unused.append(code)
        elif not named and directive.own:
            unknown.append(code)
    return unused, unknown


def _finding(source: Source, directive: Directive, idle: tuple[str, ...], why: str, name: str) -> Finding:
    place = Place(str(source.file.path), directive.row, directive.column, directive.row, directive.end_column)
    return Finding(
        code=UNUSED,
        name=name,
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        message=f"unused suppression: {why}",
        place=place,
        function="",
        noqa_rows=(directive.row, directive.row),
        suggestion="Remove it, or it hides the next finding on this line.",
        fix=Fix(Applicability.SAFE, "Remove the unused suppression", (_removal(source, directive, idle),)),
    )


def _removal(source: Source, directive: Directive, idle: tuple[str, ...]) -> Edit:
    """Take idle codes out of several, or the whole directive with its blanks, and the row if alone."""
    path, row = str(source.file.path), directive.row
    kept = [code for code in directive.codes if code not in idle]
    if kept:
        place = Place(path, row, directive.codes_column, row, directive.codes_end_column)
        return Edit(place, ", ".join(kept))
    text = source.rows[row - 1]
    before = text[: directive.column - 1]
    after = text[directive.end_column - 1 :]
    if after.strip() and not after.lstrip().startswith("#"):
        return Edit(Place(path, row, directive.column, row, directive.end_column), "#")
    if after.strip():
        end = directive.end_column + len(after) - len(after.lstrip())
        return Edit(Place(path, row, directive.column, row, end), "")
    if not before.strip() and row < len(source.rows):
        return Edit(Place(path, row, 1, row + 1, 1), "")
    return Edit(Place(path, row, len(before.rstrip()) + 1, row, len(text) + 1), "")

"""The full output: code frame, what every rank executes, how it comes to that, and what to do next."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from rslint.finding import Applicability, Finding, Place
from rslint.project.source import Source
from rslint.report.concise import fixable, one_line, shown_name
from rslint.report.frame import frame
from rslint.report.paint import Colour, Paint

_NOTHING = "[]"


def format_full(
    findings: Iterable[Finding],
    sources: Mapping[Path, Source],
    folder: Path,
    allowed: Collection[Applicability],
    paint: Paint,
) -> str:
    """One block per finding, a blank line between two. `folder` shortens names."""
    writer = _Writer(sources, folder, allowed, paint)
    return "".join("\n".join(writer.block(finding)) + "\n\n" for finding in findings)


class _Writer:
    """What all blocks of one report share."""

    def __init__(
        self,
        sources: Mapping[Path, Source],
        folder: Path,
        allowed: Collection[Applicability],
        paint: Paint,
    ) -> None:
        self.sources, self.folder, self.allowed, self.paint = sources, folder, allowed, paint

    def block(self, finding: Finding) -> Iterator[str]:
        paint = self.paint
        severity = paint.error if finding.severity.value == "error" else paint.warning
        mark = " [*]" if fixable(finding, self.allowed) else ""
        yield (
            f"{severity(finding.severity.value)} {paint.strong(f'{finding.code} {finding.name}')}{mark}: "
            f"{one_line(finding.message)}"
        )
        where = f" in {finding.function}" if finding.function else ""
        yield f"{paint.faint('  -->')} {self.at(finding.place)}{where}"
        yield from self.frame(finding.place, paint.error)
        yield from self.sequences(finding)
        yield from self.trace(finding)
        for related in finding.related:
            yield f"{paint.faint('  also:')} {one_line(related.message)} ({self.at(related.place)})"
        yield from self.next_step(finding)

    def at(self, place: Place) -> str:
        return f"{shown_name(place.filename, self.folder)}:{place.row}:{place.column}"

    def frame(self, place: Place, mark: Colour, context: int = 2) -> Iterator[str]:
        source = self.sources.get(Path(place.filename))
        for line in frame(source, place, context) if source else ():
            gutter, _, text = line.partition("|")
            carets = not gutter.strip()
            yield f"  {self.paint.faint(f'{gutter}|')}{mark(text) if carets else text}"

    def sequences(self, finding: Finding) -> Iterator[str]:
        """Both sequences, one under the other, so that the difference meets the eye."""
        if not finding.sequences:
            return
        yield f"{self.paint.faint('  what each rank executes from here:')}"
        width = max(len(sequence.ranks) for sequence in finding.sequences)
        for sequence in finding.sequences:
            listed = f"[{', '.join(sequence.operations)}]" if sequence.operations else _NOTHING
            yield f"    {sequence.ranks:>{width}}: {self.paint.strong(listed)}"

    def trace(self, finding: Finding) -> Iterator[str]:
        if not finding.trace:
            return
        yield f"{self.paint.faint('  how it comes to that:')}"
        digits = len(str(len(finding.trace)))
        for number, step in enumerate(finding.trace, 1):
            yield f"    {number:>{digits}}. {step.rank}: {one_line(step.message)} ({self.at(step.place)})"
            if step.place.filename != finding.place.filename or step.place.row != finding.place.row:
                yield from (f"      {line}" for line in self.frame(step.place, self.paint.warning, 0))

    def next_step(self, finding: Finding) -> Iterator[str]:
        fix = finding.fix
        help_ = self.paint.help("  help:")
        if fix is not None:
            how = {
                Applicability.SAFE: "`--fix` applies it",
                Applicability.UNSAFE: "`--fix --unsafe-fixes` applies it; read the diff first",
                Applicability.DISPLAY: "shown only, to be applied by hand",
            }[fix.applicability]
            yield f"{help_} {one_line(fix.message)} ({how})"
        if finding.suggestion:
            yield f"{help_} {one_line(finding.suggestion)}"
        yield f"{self.paint.faint(f'  `rslint explain {finding.code}` tells more')}"

"""One run: discover projects, analyse each, ask the rules, keep what is selected and not suppressed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from rslint.finding import Confidence, Finding, Place, Severity
from rslint.project.config import CONFIDENCES, Config
from rslint.project.discover import Request, discover
from rslint.project.parsing import without_cycle_collection
from rslint.project.project import Project
from rslint.project.source import Source, SourceFile, Unreadable, read_source
from rslint.registry import Selection, check_selectors, enabled_codes, load_rules, matches
from rslint.rule import FixRequest, Rule
from rslint.suppression import UNUSED, directives, is_suppressed, may_suppress, unused_suppressions

if TYPE_CHECKING:
    from rslint.flow.analysis import Analysis
    from rslint.project.index import Index

UNREADABLE = "RS901"
_left_to_the_end: list[Analysis] = []


@dataclass(frozen=True)
class Settings:
    """What a face says about rules; None leaves it to each project's configuration.

    A given `select` replaces the configured `select` and `ignore`, a given `ignore` the configured `ignore`.
    `only` narrows whatever else is selected to these codes (flake8's own selection).
    """

    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    preview: bool = False
    min_confidence: str | None = None
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class RunRequest:
    """What to check and how. `rules` None means every installed one; `progress` hears what is being done.

    `ends_process`: nothing runs afterwards, so a large project's analysis is not taken apart (seconds).
    """

    discover: Request
    settings: Settings = Settings()
    jobs: int | None = None
    honour_suppressions: bool = True
    attach_fixes: bool = True
    rules: tuple[Rule, ...] | None = None
    progress: Callable[[str, int], None] = field(default=lambda what, files: None)
    ends_process: bool = False


@dataclass(frozen=True)
class RunResult:
    """Findings in order of place and code, and whole sentences for the user.

    `sources` has every file that a finding speaks of or whose bytes were replaced;
    `skipped` tells what was passed over; `failures` which rules raised (the run is then incomplete).
    """

    findings: tuple[Finding, ...]
    sources: Mapping[Path, Source]
    skipped: tuple[str, ...]
    failures: tuple[str, ...]
    files: int


def check(request: RunRequest) -> RunResult:
    """Check everything the request names.

    Raises ConfigError for wrong use: a path that does not exist, an unknown code, an unusable configuration.
    """
    rules = load_rules() if request.rules is None else request.rules
    settings = request.settings
    for option in ("select", "ignore", "extend_select"):
        check_selectors(rules, getattr(settings, option) or (), f"--{option.replace('_', '-')}")
    found = discover(request.discover)
    parts = []
    for project in found.projects:
        config = project.config
        for key in ("select", "ignore", "extend_select"):
            check_selectors(rules, getattr(config, key), f"{config.origin}: {key.replace('_', '-')}")
        for pattern, codes in config.per_file_ignores:
            check_selectors(rules, codes, f'{config.origin}: per-file-ignores "{pattern}"')
        parts.append(_ProjectRun(project, rules, request, found.reported).run())
    return _merged(parts, found.skipped, len(found.reported))


def selection_of(config: Config, settings: Settings) -> Selection:
    """The selection of one project: the face's options over its configuration."""
    select, ignore = settings.select, settings.ignore
    configured = () if select is not None else config.ignore
    return Selection(
        select=config.select if select is None else select,
        ignore=configured if ignore is None else ignore,
        extend_select=(*config.extend_select, *settings.extend_select),
        preview=config.preview or settings.preview,
    )


def _merged(parts: Iterable[RunResult], skipped: tuple[str, ...], files: int) -> RunResult:
    findings: dict[Finding, None] = {}
    sources: dict[Path, Source] = {}
    notes = list(skipped)
    failures: list[str] = []
    for part in parts:
        findings.update(dict.fromkeys(part.findings))
        sources.update(part.sources)
        notes += part.skipped
        failures += part.failures
    ordered = sorted(findings, key=lambda finding: (finding.place, finding.code, finding.message))
    return RunResult(tuple(ordered), sources, tuple(dict.fromkeys(notes)), tuple(failures), files)


class _ProjectRun:
    """The state of checking one project."""

    def __init__(
        self, project: Project, rules: tuple[Rule, ...], request: RunRequest, reported: frozenset[Path]
    ) -> None:
        self.project, self.rules, self.request = project, rules, request
        self.files = {file.path: file for file in project.files}
        self.reported = reported & self.files.keys()
        self.selection = selection_of(project.config, request.settings)
        self.enabled = enabled_codes(rules, self.selection)
        if request.settings.only is not None:
            self.enabled &= request.settings.only
        self.ignores = tuple(
            (GitIgnoreSpec.from_lines([pattern]), codes) for pattern, codes in project.config.per_file_ignores
        )
        self.sources: dict[Path, Source] = {}
        self.failures: list[str] = []
        self.failed: set[str] = set()

    def run(self) -> RunResult:
        if not self.enabled or not self.reported:
            return RunResult((), {}, (), (), 0)
        with without_cycle_collection():
            return self._run()

    def _run(self) -> RunResult:
        from rslint.project.index import build_index

        progress, count = self.request.progress, len(self.files)
        progress(f"reading {count} files", count)
        index = build_index(self.project, self.request.jobs)
        raw = list(self.unreadable_findings(index.unreadable))
        asked = [rule for rule in self.rules if rule.check is not None and rule.code in self.enabled]
        analysis = None
        if asked:
            from rslint.flow.analysis import analyse

            progress(f"analysing {count} files", count)
            analysis = analyse(self.project, index, self.request.jobs)
            if self.request.ends_process:
                _left_to_the_end.append(analysis)
            for rule in asked:
                progress(f"checking {rule.code}", count)
                raw += self.ask(rule, analysis)
        kept = [finding for finding in raw if self.is_shown(finding)]
        if self.request.honour_suppressions:
            kept = [finding for finding in kept if not self.is_suppressed(finding, index)]
            kept += self.unused(raw, index)
        if analysis and self.request.attach_fixes:
            kept = [self.with_fix(finding, analysis, index) for finding in kept]
        skipped = tuple(
            f"{problem.path}: skipped: {problem.reason}"
            for problem in index.unreadable
            if problem.vanished and problem.path in self.reported
        )
        spoken_of = {Path(place.filename) for finding in kept for place in places_of(finding)}
        for path in spoken_of | self.project.overrides.keys():
            self.source(path, index)
        return RunResult(tuple(kept), self.sources, skipped, tuple(self.failures), len(self.reported))

    # Sources ------------------------------------------------------------------------------------------------

    def source(self, path: Path, index: Index) -> Source | None:
        """The text that was analysed: the index's bytes, so that a file changed since is not mixed in."""
        known = self.sources.get(path)
        file = self.files.get(path)
        if known or file is None:
            return known
        read = read_source(file, _bytes_of(file, index, self.project))
        if isinstance(read, Unreadable):
            return None
        self.sources[path] = read
        return read

    # Findings -----------------------------------------------------------------------------------------------

    def unreadable_findings(self, unreadable: Iterable[Unreadable]) -> Iterator[Finding]:
        rule = next((rule for rule in self.rules if rule.code == UNREADABLE), None)
        if rule is None or UNREADABLE not in self.enabled:
            return
        for problem in unreadable:
            if problem.vanished:
                continue
            row, column = problem.row, problem.column
            yield Finding(
                code=UNREADABLE,
                name=rule.name,
                severity=Severity.ERROR,
                confidence=Confidence.HIGH,
                message=problem.reason,
                place=Place(str(problem.path), row, column, row, column),
                function="",
                noqa_rows=(row, row),
                suggestion=_remedy(self.project.config, problem.reason),
            )

    def ask(self, rule: Rule, analysis: Analysis) -> list[Finding]:
        """What one rule finds. A rule that raises costs its own findings only, and is said."""
        found: list[Finding] = []
        assert rule.check is not None
        try:
            found.extend(rule.check(analysis))  # keeps what came before an exception
        except Exception as error:  # the one place where a stranger's code may fail in any way
            self.failed.add(rule.code)
            self.failures.append(_failure(rule, "check", error, None))
        return found

    def with_fix(self, finding: Finding, analysis: Analysis, index: Index) -> Finding:
        rule = next((rule for rule in self.rules if rule.code == finding.code), None)
        source = self.source(Path(finding.place.filename), index)
        if finding.fix is not None or rule is None or rule.fix is None or source is None:
            return finding
        try:
            return replace(finding, fix=rule.fix(FixRequest(finding, source, analysis)))
        except Exception as error:  # as in `ask`: a fixer is part of a rule
            self.failures.append(_failure(rule, "fix", error, finding))
            return finding

    def is_shown(self, finding: Finding) -> bool:
        """Whether level, preview, scope and per-file ignores let a finding through."""
        least = self.request.settings.min_confidence or self.project.config.min_confidence
        if CONFIDENCES.index(finding.confidence.value) > CONFIDENCES.index(least):
            return False
        if finding.preview and not self.selection.preview:
            return False
        if self.is_ignored_in(Path(finding.place.filename), finding.code):
            return False
        return any(Path(place.filename) in self.reported for place in places_of(finding))

    def is_ignored_in(self, path: Path, code: str) -> bool:
        origin = self.project.config.origin
        base = origin.parent if origin else self.project.root
        name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix().lstrip("/")
        return any(
            patterns.match_file(name) and any(matches(code, selector) for selector in codes)
            for patterns, codes in self.ignores
        )

    # Suppressions -------------------------------------------------------------------------------------------

    def is_suppressed(self, finding: Finding, index: Index) -> bool:
        source = self.source(Path(finding.place.filename), index)
        return source is not None and is_suppressed(finding, directives(source))

    def unused(self, raw: list[Finding], index: Index) -> Iterator[Finding]:
        """RS900 for the reported files."""
        if UNUSED not in self.enabled:
            return
        ran = {
            rule.code
            for rule in self.rules
            if rule.check is not None and rule.code in self.enabled and rule.code not in self.failed
        }
        by_file: dict[str, list[Finding]] = {}
        for finding in raw:
            by_file.setdefault(finding.place.filename, []).append(finding)
        for path in sorted(self.reported):
            file = self.files[path]
            data = _bytes_of(file, index, self.project)
            if data is None or not may_suppress(data, self.rules):
                continue
            source = self.source(path, index)
            if source is None or self.is_ignored_in(path, UNUSED):
                continue
            here = {code for code in ran if not self.is_ignored_in(path, code)}
            mine = by_file.get(str(path), [])
            yield from unused_suppressions(source, directives(source), mine, self.rules, here)


def places_of(finding: Finding) -> Iterator[Place]:
    """Every place a finding speaks of, its own first."""
    yield finding.place
    yield from (related.place for related in finding.related)
    yield from (step.place for step in finding.trace)


def _bytes_of(file: SourceFile, index: Index, project: Project) -> bytes | None:
    data = index.data.get(file.module)
    return project.overrides.get(file.path) if data is None else data


def _remedy(config: Config, reason: str) -> str:
    target = config.target_version
    if target and "newer" in reason:
        return f"The project targets Python {target}: run rslint under it."
    return "Nothing is known of this file until it can be parsed."


def _failure(rule: Rule, part: str, error: Exception, finding: Finding | None) -> str:
    """One line: which rule, on what, and where in its code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    place = f"{finding.place.filename}:{finding.place.row}" if finding else _subject(error.__traceback__)
    text = " ".join(str(error).split())
    message = f"{rule.code} ({rule.name}) failed in its {part}"
    return f"{message}{f' on {place}' if place else ''}: {type(error).__name__}: {text} (at {where})"


def _subject(trace: TracebackType | None) -> str:
    """What the rule was looking at: the innermost file, function or finding among its frames' variables."""
    subject = ""
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            place = getattr(value, "place", value)
            if isinstance(value, SourceFile):
                subject = str(value.path)
            elif isinstance(place, Place):
                subject = f"{place.filename}:{place.row}"
            elif isinstance(getattr(value, "function", None), str) and value.function:
                subject = value.function
        trace = trace.tb_next
    return subject

"""The command line: options to one run, its result to text, an exit code as ruff's."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, cast

from rslint.options import STDIN, flattened, parse
from rslint.project.config import ConfigError

if TYPE_CHECKING:
    from rslint.finding import Applicability
    from rslint.fix import Repaired
    from rslint.run import RunRequest, RunResult

NOTHING, FINDINGS, WRONG_USE = 0, 1, 2
_INTERRUPTED = 130


def run() -> NoReturn:
    """The console script. Ends at once when all is written: taking a large analysis apart costs seconds."""
    status = main(ends_process=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None, *, ends_process: bool = False) -> int:
    """Run one command and return its exit code: 0 nothing, 1 findings, 2 wrong use or internal error."""
    sys.excepthook = _internal_error
    options = parse(sys.argv[1:] if arguments is None else arguments)
    options.ends_process = ends_process
    command = _COMMANDS[options.command]
    try:
        status = command(options)
        sys.stdout.flush()
    except ConfigError as error:
        _say(f"error: {error}")
        return WRONG_USE
    except BrokenPipeError:
        return _reader_left()
    return status


def _reader_left() -> int:
    """`rslint | head`: nobody reads on. What is buffered goes nowhere; Python would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FINDINGS


def _internal_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> NoReturn:
    """Python ends with 1 after a traceback, which here means findings."""
    if not issubclass(kind, KeyboardInterrupt):
        traceback.print_exception(kind, error, trace)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED if issubclass(kind, KeyboardInterrupt) else WRONG_USE)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# Commands ------------------------------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> int:
    from rslint.registry import load_rules, rule_named

    rule = rule_named(load_rules(), options.code)
    if rule is None:
        raise ConfigError(f'unknown code "{options.code}"; `rslint rules` lists all')
    print(rule.documentation.strip())
    return NOTHING


def _rules(options: argparse.Namespace) -> int:
    from rslint.registry import load_rules

    rows = [("code", "name", "fix", "preview", "summary")]
    rows += [
        (rule.code, rule.name, rule.fix_summary, "yes" if rule.preview else "no", rule.summary)
        for rule in load_rules()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return NOTHING


def _prove(options: argparse.Namespace) -> int:
    from rslint.proof.command import prove

    return prove(options)


def _shim(options: argparse.Namespace) -> int:
    from rslint.shim.command import shim

    return shim(options)


def _check(options: argparse.Namespace) -> int:
    request, stdin = _request(options)
    if options.fix or options.diff:
        return _repair(request, stdin, options)
    from rslint.report.progress import Progress
    from rslint.run import check

    with Progress() as progress:
        result = check(replace(request, progress=progress, ends_process=options.ends_process))
    _write(_report(result, options, fixed=0), options)
    return _status(result, options, fixed=0, messages=())


# Fixing --------------------------------------------------------------------------------------------------


def _allowed(options: argparse.Namespace) -> frozenset[Applicability]:
    from rslint.fix import SAFE_AND_UNSAFE, SAFE_ONLY

    return SAFE_AND_UNSAFE if options.unsafe_fixes else SAFE_ONLY


def _repair(request: RunRequest, stdin: Path | None, options: argparse.Namespace) -> int:
    """Check and fix in memory until nothing changes, then show the difference or write it."""
    from rslint.fix import diff_text, fix_until_stable, write_all
    from rslint.report.progress import Progress
    from rslint.run import check

    def check_with(overrides: Mapping[Path, bytes]) -> RunResult:
        discover = replace(request.discover, overrides=dict(overrides))
        return check(replace(request, discover=discover, progress=progress))

    with Progress() as progress:
        repaired = fix_until_stable(check_with, overrides=request.discover.overrides, allow=_allowed(options))
    result = cast("RunResult", repaired.run)
    if options.diff:
        return _show_difference(diff_text(repaired, relative_to=Path.cwd()), repaired, result, options)
    if stdin is not None:
        return _write_stdin(stdin, request, repaired, result, options)
    left_alone = write_all(repaired)
    lost = {line.partition(": left alone:")[0] for line in left_alone}
    fixed = sum(str(done.path) not in lost for done in repaired.applied)
    _write(_report(result, options, fixed), options)
    return _status(result, options, fixed, (*repaired.messages, *left_alone))


def _show_difference(text: str, repaired: Repaired, result: RunResult, options: argparse.Namespace) -> int:
    _write(text, options)
    number = len(repaired.applied)
    if number:
        _say(f"Would fix {number} {'error' if number == 1 else 'errors'}.")
    _say_all((*repaired.messages, *result.skipped, *(f"error: {failure}" for failure in result.failures)))
    return WRONG_USE if result.failures else FINDINGS if text else NOTHING


def _write_stdin(
    stdin: Path, request: RunRequest, repaired: Repaired, result: RunResult, options: argparse.Namespace
) -> int:
    """As ruff: the repaired text goes to standard output and the report to standard error."""
    sys.stdout.flush()
    sys.stdout.buffer.write(repaired.after.get(stdin, request.discover.overrides[stdin]))
    sys.stdout.buffer.flush()
    fixed = len(repaired.applied)
    _say(_report(result, options, fixed).rstrip("\n"))
    return _status(result, options, fixed, repaired.messages)


# Request, report, status ---------------------------------------------------------------------------------


def _request(options: argparse.Namespace) -> tuple[RunRequest, Path | None]:
    """The run that the options ask for, and the name of standard input if that is what is checked."""
    from rslint.project.discover import Request, absolute
    from rslint.run import RunRequest, Settings

    paths = tuple(options.paths) or (Path("."),)
    overrides: dict[Path, bytes] = {}
    stdin = None
    if any(str(path) == STDIN for path in paths):
        if len(paths) > 1:
            raise ConfigError("`-` stands alone: standard input is one file; leave the other PATHS out")
        stdin = absolute(options.stdin_filename or Path(STDIN))
        overrides[stdin] = sys.stdin.buffer.read()
        paths = (stdin,)
    elif options.stdin_filename:
        raise ConfigError("--stdin-filename names standard input; pass `-` as PATHS")
    if options.config and options.isolated:
        raise ConfigError("--config and --isolated exclude each other; leave one out")
    discover = Request(
        paths=paths,
        config=options.config.absolute() if options.config else None,
        isolated=options.isolated,
        extend_exclude=flattened(options.extend_exclude) or (),
        force_exclude=options.force_exclude,
        overrides=overrides,
    )
    settings = Settings(
        select=flattened(options.select),
        ignore=flattened(options.ignore),
        extend_select=flattened(options.extend_select) or (),
        preview=options.preview,
        min_confidence=options.min_confidence,
    )
    return RunRequest(discover, settings, jobs=options.jobs), stdin


def _report(result: RunResult, options: argparse.Namespace, fixed: int) -> str:
    """The whole text of the report in the format asked for."""
    allowed = _allowed(options)
    findings, folder = result.findings, Path.cwd()
    if options.output_format == "json":
        from rslint.report.json_format import format_json

        return format_json(findings)
    from rslint.report.summary import statistics, summary

    if options.statistics:
        return statistics(findings, allowed) + summary(findings, fixed, allowed)
    if options.output_format == "concise":
        from rslint.report.concise import format_concise

        return format_concise(findings, folder, allowed) + summary(findings, fixed, allowed)
    from rslint.report.full import format_full
    from rslint.report.paint import Paint, paint_for

    paint = Paint() if options.output_file else paint_for(sys.stdout)
    text = format_full(findings, result.sources, folder, allowed, paint)
    return text + summary(findings, fixed, allowed)


def _write(text: str, options: argparse.Namespace) -> None:
    """To standard output, or in one step to the file, so that a reader never sees half a report."""
    if options.output_file is None:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal of another encoding shows what it can
            sys.stdout.reconfigure(errors="backslashreplace")
        sys.stdout.write(text)
        return
    from rslint.report.output_file import replace_text

    replace_text(options.output_file, text)


def _say_all(lines: Sequence[str]) -> None:
    for line in lines:
        _say(line)


def _status(result: RunResult, options: argparse.Namespace, fixed: int, messages: Sequence[str]) -> int:
    _say_all((*messages, *result.skipped, *(f"error: {failure}" for failure in result.failures)))
    if result.failures:
        return WRONG_USE
    if options.exit_non_zero_on_fix and fixed:
        return FINDINGS
    return FINDINGS if result.findings and not options.exit_zero else NOTHING


_COMMANDS = {"check": _check, "explain": _explain, "prove": _prove, "rules": _rules, "shim": _shim}

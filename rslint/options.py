"""The command line's options: what the commands accept, and what stands for what."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from rslint import __version__
from rslint.project.config import CONFIDENCES

COMMANDS = ("check", "explain", "prove", "rules", "shim")
FORMATS = ("full", "concise", "json")
PROOF_FORMATS = ("full", "json")
STDIN = "-"

_EPILOG = """\
Exit codes: 0 nothing left to report, 1 findings left (or --diff would change something),
2 wrong use, an unusable configuration, or an internal error."""

_PROVE_EPILOG = """\
Exit codes: 0 everything holds, 1 something is unproven, 2 wrong use, or torch or rslint-runtime is not installed."""
_SHIM_EPILOG = """\
Exit codes: 0 written or current, 1 --check: outdated, changed by hand, not ours or missing, 2 wrong use."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one call; `check` is the command when none is named. Exits with 2 on wrong use."""
    given = list(arguments)
    first = next((item for item in given if not item.startswith("-")), None)
    if first not in COMMANDS and not {"-h", "--help", "--version", "-V"} & set(given[:1]):
        given.insert(0, "check")
    return _parser().parse_args(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rslint",
        description="Find and fix what makes the ranks of a distributed Python program fall out of step.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"rslint {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar=f"{{{','.join(COMMANDS)}}}")
    _add_check(_command(commands, "check", "check files and folders (the default command)", epilog=_EPILOG))
    explain = _command(commands, "explain", "print the page of one rule")
    explain.add_argument("code", metavar="CODE", help="a code or a name, for example RS101")
    what = "For each case: show the bug, make the fix, run the fixed program under the same conditions."
    text = "show the bugs of fixtures, and that their fixes hold"
    _add_prove(_command(commands, "prove", text, description=what, epilog=_PROVE_EPILOG))
    _command(commands, "rules", "list all installed rules")
    what = "Write the runtime library into a project as one file, or tell whether such a file is current."
    text = "the runtime library as one file of the project"
    _add_shim(_command(commands, "shim", text, description=what, epilog=_SHIM_EPILOG))
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    description: str | None = None,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_prove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="*", default=[], metavar="CODE|PATH",
        help="only cases of these codes or prefixes; cases in these folders instead of the fixtures that come with "
        "rslint [default: those fixtures, of every code that offers a fix]",
    )  # fmt: skip
    parser.add_argument("--diff", action="store_true", help="print the fixes too")
    parser.add_argument("--output-format", choices=PROOF_FORMATS, default="full", help="[default: full]")
    parser.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="processes [default: one per CPU]")


def _add_shim(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vendor", type=Path, metavar="PATH", help="write the library there, or renew it")
    parser.add_argument("--check", type=Path, nargs="?", const=True, metavar="PATH",
                        help="write nothing; say whether the file is what this rslint would write")  # fmt: skip
    parser.add_argument("--parts", type=_codes, default=(), metavar="PARTS",
                        help="only these parts and what they need: modules of the library, or names that they export, "
                        "separated by commas [default: all, or those that the file has]")  # fmt: skip
    parser.add_argument(
        "--force", action="store_true", help="overwrite a file that is not ours or was changed"
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="*", type=Path, default=[], metavar="PATHS",
        help="files and folders to report on [default: .]; `-` reads one file from standard input",
    )  # fmt: skip
    parser.add_argument("-V", "--version", action="version", version=f"rslint {__version__}")
    _add_fixing(parser.add_argument_group("fixing"))
    _add_rules(parser.add_argument_group("rules"))
    _add_files(parser.add_argument_group("files"))
    _add_output(parser.add_argument_group("output"))


def _add_fixing(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--fix", action="store_true", help="apply safe fixes and write the files")
    group.add_argument("--unsafe-fixes", action="store_true", help="with --fix or --diff: unsafe fixes too")
    group.add_argument("--diff", action="store_true", help="print what --fix would change; write nothing")


def _add_rules(group: argparse._ArgumentGroup) -> None:
    for option, text in (
        ("--select", "check these rules only: codes or prefixes, separated by commas, or ALL"),
        ("--ignore", "leave these rules out"),
        ("--extend-select", "check these rules as well"),
    ):
        group.add_argument(option, action="append", type=_codes, metavar="CODES", help=text)
    group.add_argument("--preview", action="store_true", help="also report what is in preview")
    group.add_argument("--min-confidence", choices=CONFIDENCES, help="report nothing below [default: medium]")


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--config", type=Path, metavar="FILE", help="use this TOML file for every project")
    group.add_argument("--isolated", action="store_true", help="read no configuration file")
    group.add_argument("--extend-exclude", action="append", type=_patterns, metavar="PATTERNS",
                       help="leave these out as well, written as in .gitignore")  # fmt: skip
    group.add_argument("--force-exclude", action="store_true", help="apply excludes to named PATHS too")
    group.add_argument("--stdin-filename", type=Path, metavar="FILE", help="the name of standard input")
    group.add_argument("-j", "--jobs", type=_jobs, metavar="N", help="processes [default: one per CPU]")


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--output-format", choices=FORMATS, default="full", help="[default: full]")
    group.add_argument("-o", "--output-file", type=Path, metavar="FILE", help="write the report there")
    group.add_argument("--statistics", action="store_true", help="count findings by rule instead")
    group.add_argument("-e", "--exit-zero", action="store_true", help="exit with 0 even with findings")
    group.add_argument(
        "--exit-non-zero-on-fix", action="store_true", help="exit with 1 if anything was fixed"
    )


def _codes(text: str) -> tuple[str, ...]:
    return tuple(code for code in re.split(r"[,\s]+", text) if code)


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(pattern for pattern in text.split(",") if pattern)


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; give 1 or more")
    return int(text)


def flattened(given: Sequence[tuple[str, ...]] | None) -> tuple[str, ...] | None:
    """The values of an option that may be repeated; None when it was not given."""
    return None if given is None else tuple(item for items in given for item in items)

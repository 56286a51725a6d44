"""Carries out a page of the documentation: writes its files into a folder, runs its commands, compares what they print.

A fenced block below a line with a file name in bold (**`name.py`**) is that file. A `console` block holds commands
behind `$ ` and what each prints. Any other block is for the reader. Where a page leaves something out of an output it
says `...` on a line of its own, and outputs differ in times and places:

    python tests/docs/page.py docs/testing.md

writes the page again with what the commands print now.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"(?:^\*\*`(?P<name>[^`]+)`\*\*\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_LEFT_OUT = "..."
_PLUGIN = "rslint_runtime.pytest_plugin"
_LIMIT = 100.0  # seconds for one command


@dataclass(frozen=True)
class File:
    """A file that the reader is told to write; a second one of that name replaces the first."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line, what the page says that it prints, and where in the page that stands."""

    line: str
    output: str
    start: int
    end: int


def steps(page: str) -> list[File | Command]:
    """What the page tells the reader to do, in order.

    Raises:
        ValueError: when a console block does not begin with a command, or a file's name leads out of the folder.
    """
    found: list[File | Command] = []
    for block in _BLOCK.finditer(page):
        name, kind, text = block["name"], block["kind"], block["text"]
        if name is not None:
            if Path(name).name != name:
                raise ValueError(f"{name}: files of a page lie in one folder")
            found.append(File(name, text))
        elif kind == "console":
            found += _commands(text, block.start("text"))
    return found


def _commands(text: str, offset: int) -> Iterator[Command]:
    starts = [match.start() for match in re.finditer(r"^\$ ", text, re.M)]
    if not starts or starts[0] != 0:
        raise ValueError(f"a console block begins with `$ ` and a command, not with {text.splitlines()[:1]}")
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        line, _, output = text[start:end].partition("\n")
        yield Command(line[2:], output, offset + start + len(line) + 1, offset + end)


def run(command: Command, folder: Path) -> str:
    """What the command prints in `folder`, with times and places made plain."""
    words = shlex.split(command.line)
    if words[0] == "python":
        words[0] = sys.executable
    done = subprocess.run(
        words,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    return normalised(done.stdout, folder)


def _environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    # Where the library is not installed but on the path, pytest has to be told of the plugin.
    if not any(found.value == _PLUGIN for found in entry_points(group="pytest11")):
        kept["PYTEST_PLUGINS"] = _PLUGIN
    # The reader's terminal is a plain one, and none of pytest's other plugins is in it.
    return {**kept, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONHASHSEED": "0", "PY_COLORS": "0"}


def normalised(text: str, folder: Path) -> str:
    """Without what differs from run to run and from machine to machine."""
    text = text.replace(f"{folder.resolve()}{os.sep}", "").replace(str(folder.resolve()), ".")
    text = re.sub(r"\b\d+\.\d+ ?s\b", "0.12s", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


def same(expected: str, printed: str) -> bool:
    """Whether the page's output is what was printed; `...` on a line of its own stands for any lines."""
    parts = re.split(rf"^{re.escape(_LEFT_OUT)}\n", expected, flags=re.M)
    pattern = "(?:.*\n)*?".join(re.escape(part) for part in parts)
    return re.fullmatch(pattern, printed) is not None


def carried_out(page: str, folder: Path) -> Iterator[tuple[Command, str]]:
    """Do what the page says in an empty folder; every command with what it printed."""
    for step in steps(page):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text)
        else:
            yield step, run(step, folder)


def rewritten(page: str, folder: Path) -> str:
    """The page with what its commands print now, where that is not what it says."""
    pieces: list[str] = []
    position = 0
    for command, printed in carried_out(page, folder):
        if same(normalised(command.output, folder), printed):
            continue
        pieces += [page[position : command.start], printed]
        position = command.end
    return "".join([*pieces, page[position:]])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        place.write_text(rewritten(place.read_text(), Path(scratch)))

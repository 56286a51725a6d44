"""Colours for a terminal, or none; rich is imported only when there is a terminal to colour."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

Colour = Callable[[str], str]


def _plain(text: str) -> str:
    return text


@dataclass(frozen=True)
class Paint:
    """Functions that give a text its looks; the defaults change nothing."""

    error: Colour = _plain
    warning: Colour = _plain
    help: Colour = _plain
    strong: Colour = _plain
    faint: Colour = _plain


def paint_for(stream: IO[str]) -> Paint:
    """Colours for a terminal, unless NO_COLOR is set or TERM is dumb; FORCE_COLOR asks anyway."""
    wanted = stream.isatty() and os.environ.get("TERM") != "dumb"
    if os.environ.get("NO_COLOR") or not (wanted or os.environ.get("FORCE_COLOR")):
        return Paint()
    return Paint(
        error=_styled("bold red"),
        warning=_styled("bold yellow"),
        help=_styled("bold cyan"),
        strong=_styled("bold"),
        faint=_styled("dim"),
    )


def _styled(style: str) -> Colour:
    from rich.color import ColorSystem
    from rich.style import Style

    parsed = Style.parse(style)
    return lambda text: parsed.render(text, color_system=ColorSystem.STANDARD)

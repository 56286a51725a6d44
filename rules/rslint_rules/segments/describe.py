"""Segments in words: places, and the parts that the messages of RS3 share."""

from __future__ import annotations

from rslint.project import ir
from rslint.project.text import last_name, render
from rslint.segments.openings import Opening
from rslint.segments.raisers import Raiser

_LONGEST = 60


def opening_text(opening: Opening) -> str:
    """What holds a segment, or what opens it where nothing does."""
    return f"`{opening.holders[0]}`" if opening.holders else f"`{call_text(opening.call)}`"


def call_text(e: ir.Expr | ir.Stmt) -> str:
    """A call, or what a `raise` raises, in as many letters as a message bears."""
    if isinstance(e, ir.Raise):
        return f"raise {last_name(e.exception) or ''}".rstrip() if e.exception is not None else "raise"
    if isinstance(e, ir.Assign):
        return f"{render(e.targets[0])} = …" if not isinstance(e.targets[0], ir.Subscript) else _stored(e)
    if isinstance(e, ir.Call):
        text = render(e.func)
        return (
            f"{text if len(text) <= _LONGEST else last_name(e.func)}(…)"
            if e.args or e.keywords
            else f"{text}()"
        )
    return ""


def _stored(s: ir.Assign) -> str:
    target = s.targets[0]
    assert isinstance(target, ir.Subscript)
    return f"{render(target.value)}[:] = …"


def raiser_text(raiser: Raiser) -> str:
    """What may raise, and why it is expected to."""
    what = f"`{call_text(raiser.at)}`"
    why = {
        "fill": "copies or reserves memory",
        "native": "is a call into another library",
        "raise": "",
        "shm": "opens another segment",
        "network": "talks to another process",
        "rpc": "talks to another process",
        "storage": "talks to another process",
        "timeout": "may time out",
        "file": "works on files",
        "process": "starts a process",
        "callback": "is a callback",
        "serialisation": "reads what others wrote",
    }.get(raiser.kind, "")
    return f"{what} ({why})" if why else what

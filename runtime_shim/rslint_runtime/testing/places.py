"""From where in the program an operation was started, and who gets its handle: read off the Python stack."""

from __future__ import annotations

import sys
import sysconfig
from types import FrameType

import torch
import typing_extensions

_TORCH = f"{torch.__path__[0]}/"
_OWN = f"{__file__.rsplit('/', 2)[0]}/"
_HARNESS = f"{_OWN}testing/"
# Around torch's functions there are decorators of these; torch itself needs typing_extensions.
_WRAPPING = tuple(
    f"{sysconfig.get_path('stdlib')}/{name}.py" for name in ("contextlib", "threading", "warnings")
)
_SKIPPED = (_TORCH, _OWN, typing_extensions.__file__, *_WRAPPING)
# Frames that only pass a call on and would hide the function the program called.
_TRANSPARENT = ("c10d_logger.py", "contextlib.py", "threading.py", "typing_extensions.py", "warnings.py")
# Modules of torch that hand the Work on to their caller; the others wait for it in C++.
_HANDING_ON = ("distributed_c10d.py", "_functional_collectives.py")

_DISPATCHING = (_OWN, f"{_TORCH}_ops.py", f"{_TORCH}_library/")


def place() -> tuple[str, str]:
    """`file:line` of the innermost frame of the program, and the library function it called."""
    frame: FrameType | None = sys._getframe(1)
    call = ""
    while frame is not None:
        filename = frame.f_code.co_filename
        if in_program(frame):
            return f"{filename}:{frame.f_lineno}", call
        if not filename.endswith(_TRANSPARENT) and not filename.startswith(_HARNESS):
            call = frame.f_code.co_name
            if call == "__exit__":
                call = type(frame.f_locals.get("self")).__name__  # a context manager's own name says more
        frame = frame.f_back
    return "?", call


def in_program(frame: FrameType) -> bool:
    """Whether the frame is none of torch's, of the harness or of the library code that passes calls on."""
    return not frame.f_code.co_filename.startswith(_SKIPPED)


def handed_to_program() -> bool:
    """Whether the operation that is being dispatched gives its handle to the program, and not to C++ code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_DISPATCHING):
        frame = frame.f_back
    filename = frame.f_code.co_filename if frame is not None else ""
    return not filename.startswith(_TORCH) or filename.endswith(_HANDING_ON)

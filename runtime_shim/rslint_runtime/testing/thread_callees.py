"""Which global name a call instruction calls, where that can be read off the code: before Python 3.12 nothing else
tells that a type was called."""

from __future__ import annotations

import builtins
import dis
import functools
from types import CodeType, FrameType
from typing import Any

UNKNOWN = object()


def called_by(frame: FrameType, code: CodeType, offset: int) -> Any:
    """What the call at `offset` of a function calls; `UNKNOWN` where only the running interpreter knows."""
    name = _names(code).get(offset)
    if name is None:
        return UNKNOWN
    return frame.f_globals.get(name, getattr(builtins, name, UNKNOWN))


@functools.cache
def _names(code: CodeType) -> dict[int, str]:
    """Names of what is called, by the offset of the call. The stack is followed as far as no jump ends there."""
    found: dict[int, str] = {}
    stack: list[str | None] = []
    name: str | None = None
    for one in dis.get_instructions(code):
        if one.is_jump_target:
            stack.clear()
        if one.opname in ("PRECALL", "CALL_FUNCTION"):  # 3.11 and 3.10
            name = stack[-1 - (one.arg or 0)] if len(stack) > (one.arg or 0) else None
        if one.opname in ("CALL", "CALL_FUNCTION") and name is not None:
            found[one.offset] = name
        effect = _effect(one)
        if effect < 0:
            del stack[effect:]
        stack.extend([None] * effect)
        if one.opname == "LOAD_GLOBAL" and stack:
            stack[-1] = one.argval
        elif stack and one.opname not in ("NOP", "CACHE", "KW_NAMES", "EXTENDED_ARG") and effect <= 0:
            stack[-1] = None
    return found


def _effect(one: dis.Instruction) -> int:
    argument = one.arg if one.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(one.opcode, argument, jump=False)

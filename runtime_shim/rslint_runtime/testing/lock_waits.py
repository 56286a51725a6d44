"""Which thread waits to acquire a lock of this process, without a timeout, read off its frame.

A thread in `with lock:` is inside C code, and its innermost Python frame is the program's own. What it does there is
in the instruction that it executes, and which object it does it to in the few instructions before. Names and
attributes are looked up without running any of the program's code; what they do not lead to is not known to be a
lock.

Only `threading.Lock` and `RLock` count, which nobody but a thread of this process can release.
"""

from __future__ import annotations

import dis
import inspect
import threading
from collections.abc import Mapping
from types import CodeType, FrameType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_WITH = ("BEFORE_WITH", "SETUP_WITH")  # the latter until Python 3.10
_CALLS = ("CALL", "CALL_METHOD", "CALL_FUNCTION")
_METHODS = ("acquire", "__enter__")
# Instructions between a call and what is called that load nothing.
_SILENT = ("PRECALL", "PUSH_NULL", "CACHE", "NOP")
_MISSING = object()


def waits_for_lock(frame: FrameType) -> bool:
    """Whether the frame, of a thread that sleeps, is in `with lock:` or in `lock.acquire()` without arguments."""
    loads, position = _instructions_until(frame.f_code, frame.f_lasti)
    if position is None:
        return False
    if position.opname in _WITH:
        return isinstance(_value(loads, frame), _LOCKS)
    if position.opname not in _CALLS or position.arg != 0 or not loads:
        return False
    method = loads.pop()
    if method.opname == "LOAD_SPECIAL":  # Python 3.14 calls what `with` needs one by one
        loads = _before_with(loads)
        return isinstance(_value(loads, frame), _LOCKS)
    if method.opname not in ("LOAD_METHOD", "LOAD_ATTR") or method.argval not in _METHODS:
        return False
    return isinstance(_value(loads, frame), _LOCKS)


def _instructions_until(code: CodeType, offset: int) -> tuple[list[dis.Instruction], dis.Instruction | None]:
    """What loads something before the instruction at `offset`, and that one."""
    loads: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.offset == offset:
            return loads, instruction
        if instruction.opname not in _SILENT:
            loads.append(instruction)
    return loads, None


def _before_with(loads: list[dis.Instruction]) -> list[dis.Instruction]:
    """Without the instructions that put `__exit__` aside."""
    end = len(loads)
    while end and loads[end - 1].opname in ("LOAD_SPECIAL", "SWAP", "COPY"):
        end -= 1
    return loads[:end]


def _value(loads: list[dis.Instruction], frame: FrameType) -> object:
    """What a chain of names, `self.pool.lock` say, stands for at the end of `loads`."""
    names: list[str] = []
    while loads and loads[-1].opname in ("LOAD_ATTR", "LOAD_METHOD"):
        names.append(loads.pop().argval)
    if not loads or not isinstance(loads[-1].argval, str):
        return _MISSING
    value = _named(loads[-1], frame)
    for name in reversed(names):
        value = _attribute(value, name)
    return value


def _named(load: dis.Instruction, frame: FrameType) -> object:
    name: str = load.argval
    if load.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE")):
        return frame.f_locals.get(name, _MISSING)
    if load.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
        scopes: tuple[Mapping[str, Any], ...] = (frame.f_globals, frame.f_builtins)
        if load.opname == "LOAD_NAME":
            scopes = (frame.f_locals, *scopes)
        return next((scope[name] for scope in scopes if name in scope), _MISSING)
    return _MISSING


def _attribute(value: object, name: str) -> object:
    """The attribute, unless code of the program would have to run for it."""
    if value is _MISSING:
        return _MISSING
    try:
        found = inspect.getattr_static(value, name, _MISSING)
        if isinstance(found, (MemberDescriptorType, GetSetDescriptorType)):
            return found.__get__(value, type(value))
    except Exception:
        return _MISSING
    return _MISSING if hasattr(type(found), "__get__") else found

"""Sees the calls that a program's files make, into C functions too, and can raise at one of them.

It is a profile function (`sys.setprofile`) in every thread that begins after it was set, and in the thread that sets
it. What it raises comes out at the call, as if the function called had raised at once. CPython then drops the profile
function of that thread.

Not seen: constructors of types written in C, and operators.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import CodeType, FrameType, ModuleType
from typing import Any

_EXPORTERS = {"posix": "os", "nt": "os"}
_SUSPENDS = CO_COROUTINE | CO_GENERATOR | CO_ASYNC_GENERATOR


@dataclass(frozen=True)
class Call:
    """One call as it is met.

    Attributes:
        file: path of the file that makes it.
        line: where in that file.
        module: name of the module that has what is called.
        qualname: its name there; of a method, in the class that defines it.
        function: what is called: the frame's code, or the C function.
        caller: the frame that makes the call.
        entered: the frame that the call has made, None for a C function.
    """

    file: str
    line: int
    module: str
    qualname: str
    function: Any
    caller: FrameType
    entered: FrameType | None

    @property
    def callee(self) -> str:
        """Both names."""
        return f"{self.module}.{self.qualname}"


@dataclass(frozen=True)
class _Watcher:
    look: Callable[[Call], None]
    files: Mapping[str, bool]
    line: int


class _Answers(dict[str, bool]):
    """What a function says of a file, asked once for each: what is looked up at every call has to be quick."""

    def __init__(self, ask: Callable[[str], bool]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, file: str) -> bool:
        answer = self[file] = self._ask(file)
        return answer


_watchers: list[_Watcher] = []


def interrupt(place: str, target: str, act: Callable[[], None]) -> None:
    """Call `act` at every call made at `place` (`file.py:12`) of what `target` names (any if it is "").

    `target` is compared with the end of the callee's dotted name: `Client.start`, `start`, `app.client.Client.start`.
    """
    file, _, line = place.rpartition(":")

    def look(call: Call) -> None:
        if not target or call.callee == target or call.callee.endswith("." + target):
            act()

    watch(look, lambda path: path == file or path.endswith("/" + file), int(line))


def watch(look: Callable[[Call], None], concerns: Callable[[str], bool], line: int = 0) -> None:
    """From now on, call `look` for every call that this thread, and those that it starts, make in certain files.

    Args:
        look: an exception of it comes out at the call.
        concerns: whether the calls of the file at that path are of interest.
        line: the only line that is; 0 for all.
    """
    _watchers.append(_Watcher(look, _Answers(concerns), line))
    sys.setprofile(_profile)
    threading.setprofile(_profile)


def stop() -> None:
    """Watch no more, in this thread and those that it starts."""
    _watchers.clear()
    sys.setprofile(None)
    threading.setprofile(None)


# The watchers by default, since the globals are gone when the interpreter's last calls are made.
def _profile(frame: FrameType, event: str, function: Any, watchers: list[_Watcher] = _watchers) -> None:
    if event == "call":
        caller, entered = frame.f_back, frame
    elif event == "c_call":
        caller, entered = frame, None
    else:
        return
    if caller is None:
        return
    file = caller.f_code.co_filename
    for watcher in watchers:
        wanted = watcher.files[file] and watcher.line in (0, caller.f_lineno)
        if wanted and (entered is None or not _resumes(entered)):
            watcher.look(_call(caller, function, entered))


def _call(caller: FrameType, function: Any, entered: FrameType | None) -> Call:
    module, qualname = _c_name(function) if entered is None else _python_name(entered)
    function = function if entered is None else entered.f_code
    return Call(caller.f_code.co_filename, caller.f_lineno, module, qualname, function, caller, entered)


def _resumes(frame: FrameType) -> bool:
    """Whether a generator or coroutine goes on, rather than begins."""
    code = frame.f_code
    if not code.co_flags & _SUSPENDS:
        return False
    if sys.version_info < (3, 11):
        return frame.f_lasti >= 0
    # RESUME's argument: 0 at the start, 1 to 3 after a yield, yield from or await.
    return code.co_code[frame.f_lasti + 1] & 3 != 0


def _python_name(entered: FrameType) -> tuple[str, str]:
    code = entered.f_code
    qualname = code.co_qualname if sys.version_info >= (3, 11) else _qualname(entered, code)
    return _public(entered.f_globals.get("__name__", "?")), qualname


def _qualname(entered: FrameType, code: CodeType) -> str:
    """Before Python 3.11 code does not know its class: the class of the first argument that has it does."""
    if not code.co_argcount:
        return code.co_name
    first = entered.f_locals.get(code.co_varnames[0])
    for kind in (first if isinstance(first, type) else type(first)).__mro__:
        held: Any = vars(kind).get(code.co_name)
        if getattr(getattr(held, "__func__", held), "__code__", None) is code:
            return f"{kind.__qualname__}.{code.co_name}"
    return code.co_name


def _c_name(function: Any) -> tuple[str, str]:
    name = getattr(function, "__name__", "?")
    held = getattr(function, "__self__", None)
    qualname = getattr(function, "__qualname__", name)
    if held is None or isinstance(held, ModuleType):
        return exporter(function), qualname
    kind = held if isinstance(held, type) else type(held)
    return exporter(next((base for base in kind.__mro__ if name in vars(base)), kind)), qualname


def exporter(value: Any) -> str:
    """The module that exports a function or class, where the one that it names is internal: `os` for `posix`."""
    module: str = getattr(value, "__module__", None) or "builtins"
    return "builtins" if module in ("io", "_io") and value is open else _public(module)


def _public(module: str) -> str:
    """`os` for `posix`, `socket` for `_socket`, `pathlib` for `pathlib._local`; a program's own names as they are."""
    top, *inner = _EXPORTERS.get(module, module).split(".")
    if top not in sys.stdlib_module_names or top.startswith("__"):
        return module
    exported = top.removeprefix("_")
    top = exported if exported in sys.stdlib_module_names else top
    return ".".join((top, *(part for part in inner if not part.startswith("_"))))

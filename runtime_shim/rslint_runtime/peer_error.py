"""An exception of one rank, in a form that every other rank can read, keep in a log and catch.

What travels is text (message and traceback), the names of the exception's base classes, and its pickle where that can
be unpickled again on the rank it comes from. All of it is bounded: an exception that carries a batch of tensors must
not cost its peers their memory. What is cut is said.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import traceback
from dataclasses import dataclass
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

__all__ = ["Failure", "PeerError", "describe_failure", "raise_for_peer"]

# Characters of a message and of a traceback that travel, and bytes of a pickled exception.
_TEXT_LIMIT = 20_000
_TRACEBACK_LIMIT = 100_000
_PICKLE_LIMIT = 1_000_000


@dataclass(frozen=True)
class Failure:
    """An exception in a form that every peer can read, whatever it can import.

    Attributes:
        rank: global rank on which it was raised.
        bases: (module, qualified name) of its class and of that class's bases, in their order of resolution.
        text: `str()` of it, cut to 20,000 characters.
        traceback_text: its traceback, cut to 100,000 characters.
        pickled: None if it cannot be pickled and unpickled again, or takes more than a megabyte.
    """

    rank: int
    bases: tuple[tuple[str, str], ...]
    text: str
    traceback_text: str
    pickled: bytes | None


class PeerError(Exception):
    """Another rank failed, and this rank learned of it through a collective.

    The instance raised is also an instance of the type raised on the failing rank (or of its nearest base that can be
    imported here), so `except ConnectionError` catches it on every rank. But SystemExit, KeyboardInterrupt and
    CancelledError, which are no `Exception`, are a plain PeerError on the other ranks: only the rank that was told to
    stop should silently exit, or count as cancelled. `error_type` names them. Where the original can be unpickled here
    it is the `__cause__`.

    Attributes:
        rank: global rank on which the failure began.
        error_type: qualified name of the exception raised there.
        text: `str()` of that exception, cut to 20,000 characters.
        traceback_text: that rank's traceback, causes and contexts included, cut to 100,000 characters.
    """

    rank: int = -1
    error_type: str = ""
    text: str = ""
    traceback_text: str = ""
    _failures: tuple[Failure, ...] = ()

    @property
    def failures(self) -> dict[int, PeerError]:
        """All ranks known to have failed, each with its error: more than one only from gather_results."""
        return {failure.rank: _peer_error((failure,)) for failure in self._failures}

    def __str__(self) -> str:
        if not self._failures:
            return super().__str__()
        summary = f"rank {self.rank} raised {self.error_type}{self.text and ': '}{self.text}"
        if len(self._failures) > 1:
            summary += f"\n(so did ranks {[failure.rank for failure in self._failures[1:]]}, see `failures`)"
        return f"{summary}\n--- traceback of rank {self.rank} ---\n{self.traceback_text.rstrip()}"

    # Not those of the original type (a dataclass, say): what they look at may not have come along.
    __repr__ = Exception.__repr__
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made per type and cannot be found by name, so a copy is rebuilt from the failures.
        if not self._failures:
            return (type(self), self.args)
        return (_peer_error, (self._failures,))


def describe_failure(error: BaseException, rank: int) -> Failure:
    """Describe what `rank` raised. Never raises: the peers wait for the description.

    A PeerError is handed on as it came, so that peers of peers learn of the rank where it began.
    """
    if isinstance(error, PeerError) and error._failures:
        return error._failures[0]
    pickled, remark = _round_tripped(error)
    return Failure(
        rank=rank,
        bases=tuple((str(base.__module__), str(base.__qualname__)) for base in type(error).__mro__),
        text=_shortened_text(_message_of(error), _TEXT_LIMIT) + remark,
        traceback_text=_shortened_text(_traceback_of(error), _TRACEBACK_LIMIT),
        pickled=pickled,
    )


def raise_for_peer(*failures: Failure) -> None:
    """Raise the PeerError for these failures, the first one foremost; nothing if there are none."""
    if failures:
        raise _peer_error(failures) from _unpickled(failures[0])


def _shortened_text(text: str, limit: int) -> str:
    """Keep the beginning and the end: in a traceback the frames stand before the message, the last error at the end."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    return f"{text[: limit - tail]}… [{len(text) - limit:,} characters cut] …{text[-tail:]}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as unprintable:
        return f"<no text: {type(unprintable).__name__}>"


def _traceback_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as unprintable:
        return f"<no traceback: {type(unprintable).__name__}>"


def _round_tripped(error: BaseException) -> tuple[bytes | None, str]:
    """The pickled exception, if it also unpickles: many define an `__init__` that pickle cannot repeat.

    Where it is left out for its size, the second item says so.
    """
    try:
        pickled = pickle.dumps(error)
        if len(pickled) > _PICKLE_LIMIT:
            return None, f" [pickled it takes {len(pickled):,} bytes, which are not sent]"
        copy = pickle.loads(pickled)
    except BaseException:
        return None, ""  # also what a __reduce__ raises that is no Exception: the failure itself must be told
    return (pickled, "") if type(copy) is type(error) else (None, "")


def _unpickled(failure: Failure) -> BaseException | None:
    if failure.pickled is None:
        return None
    try:
        copy = pickle.loads(failure.pickled)
    except (Exception, SystemExit):
        return None  # the type lives in a module that only the failing rank has, or that exits when imported
    return copy if isinstance(copy, BaseException) else None


def _peer_error(failures: tuple[Failure, ...]) -> PeerError:
    """A PeerError that is also of the failing rank's type, or of its nearest base that can be combined."""
    original = _unpickled(failures[0])
    for module, qualname in failures[0].bases:
        base = _exception_type(module, qualname)
        if base is None:
            continue
        try:
            return _with_fields(_combined(base, original), original, failures)
        except Exception:
            continue  # the type refuses a second base, or its fields another object
    return _with_fields(PeerError(), None, failures)


def _exception_type(module: str, qualname: str) -> type[Exception] | None:
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit):
        return None
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None


def _combined(base: type[Exception], original: BaseException | None) -> PeerError:
    namespace = {"__module__": PeerError.__module__, "__init__": _no_arguments_known}
    kind: Any = type("PeerError", (PeerError, base), namespace)
    try:
        made = kind()
    except TypeError:
        if original is None:
            raise
        made = kind(*original.args)  # ExceptionGroup is made with its members or not at all
    assert isinstance(made, PeerError)
    return made


def _no_arguments_known(self: PeerError, *_: object) -> None:
    """Stands in for the original type's `__init__`, whose arguments are not known."""


def _with_fields(
    error: PeerError, original: BaseException | None, failures: tuple[Failure, ...]
) -> PeerError:
    first = failures[0]
    error.args = (first.text,)
    if original is not None:
        error.args = original.args
        error.__dict__.update(original.__dict__)
        for name in _fields_of(type(original)):
            # Not set on the original, or not to be set on the copy.
            with contextlib.suppress(AttributeError, TypeError):
                setattr(error, name, getattr(original, name))
    error.rank = first.rank
    module, qualname = first.bases[0]
    error.error_type = qualname if module == "builtins" else f"{module}.{qualname}"
    error.text = first.text
    error.traceback_text = first.traceback_text
    error._failures = failures
    return error


def _fields_of(kind: type) -> list[str]:
    """What OSError, SystemExit, UnicodeError and classes with `__slots__` keep outside of an instance's `__dict__`."""
    return [
        name
        for base in kind.__mro__
        for name, member in vars(base).items()
        if isinstance(member, (GetSetDescriptorType, MemberDescriptorType)) and not name.startswith("__")
    ]

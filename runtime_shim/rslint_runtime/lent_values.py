"""A stand-in for a value that stops working when the value is taken back.

It forwards attributes, items, calls, operators and iteration (not `with` and `await`). Each use asks first whether the
value is still lent, methods that were taken from it and iterations that have begun included. What comes out of the
value (an item, an attribute that is no method, a copy) is not stood in for.

For `isinstance` it is what it stands for, as the proxies of wrapt and werkzeug are. It is not for `type(x) is`, nor for
functions written in C that look into a list or dict directly (`json.dumps`, `PyList_GetItem`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Lent"]

_BINARY = (
    "add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "xor", "or",
)  # fmt: skip
_OPERATORS = (
    "neg", "pos", "abs", "invert", "index", "lt", "le", "eq", "ne", "gt", "ge", "getitem", "setitem", "delitem",
    "contains",
)  # fmt: skip


class Lent:
    """Stands for what `value` returns, as long as that does not raise."""

    __slots__ = ("_lent_value",)

    def __init__(self, value: Callable[[], Any]) -> None:
        object.__setattr__(self, "_lent_value", value)

    @property
    def __class__(self) -> Any:
        return type(_lent_value(self))

    @__class__.setter
    def __class__(self, kind: type) -> None:
        _lent_value(self).__class__ = kind

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return object.__getattribute__(self, name)
        value = _lent_value(self)
        found = getattr(value, name)
        if getattr(found, "__self__", None) is not value:
            return found

        def method(*arguments: Any, **keywords: Any) -> Any:
            _lent_value(self)
            return found(*arguments, **keywords)

        return method

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_lent_value(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_lent_value(self), name)

    def __repr__(self) -> str:
        return repr(_lent_value(self))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return _lent_value(self)(*arguments, **keywords)

    def __iter__(self) -> Iterator[Any]:
        for item in _lent_value(self):
            yield item
            _lent_value(self)

    def __next__(self) -> Any:
        return next(_lent_value(self))


def _lent_value(lent: Lent) -> Any:
    return object.__getattribute__(lent, "_lent_value")()


def _forwarding(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments: function(_lent_value(self), *arguments)


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, _lent_value(self))


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def changed(self: Lent, other: Any) -> Lent:
        value = _lent_value(self)
        if function(value, other) is not value:
            # The result would be bound to the name of the stand-in, and the guarded value stay as it was.
            raise TypeError(f"a {type(value).__name__} cannot be changed in place: assign to `held.value`")
        return self

    return changed


def _complete(kind: type) -> None:
    """The methods that Python looks up on the class, never on the value."""
    for name in (*_BINARY, *_OPERATORS):
        setattr(kind, f"__{name}__", _forwarding(getattr(operator, f"__{name}__")))
    for name in _BINARY:
        setattr(kind, f"__r{name}__", _reflected(getattr(operator, f"__{name}__")))
        setattr(kind, f"__i{name}__", _in_place(getattr(operator, f"__i{name}__")))
    builtin: dict[str, Callable[..., Any]] = {
        "len": len, "bool": bool, "hash": hash, "str": str, "bytes": bytes, "int": int, "float": float,
        "complex": complex, "format": format, "round": round, "reversed": reversed, "dir": dir,
    }  # fmt: skip
    for name, function in builtin.items():
        setattr(kind, f"__{name}__", _forwarding(function))


_complete(Lent)

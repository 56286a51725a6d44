"""Which instructions of a function touch what threads may share: attributes, globals, closures, contents, calls.

What an instruction touches is named by a *key*, since the object itself is not to be had: `.name` for attributes and
globals of that name, `cell name` for variables of closures, `items` for the contents of all containers. Two
instructions with different keys touch different things; two with the same key may touch the same.
"""

from __future__ import annotations

import dis
import functools
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

Access = tuple[str, bool]
"""A key, and whether what it names may be changed."""

CALL: Access = ("call", True)
"""An instruction that calls something: what it touches depends on what is called."""

EVERYTHING: Access = ("*", True)
"""What may touch anything: `setattr` with a name that is not known, `exec`."""

ITEMS_READ: Access = ("items", False)
ITEMS_WRITTEN: Access = ("items", True)
LIBRARY: Access = ("library", True)

_ATTRIBUTE_READS = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "LOAD_GLOBAL", "IMPORT_FROM"}
_ATTRIBUTE_WRITES = {"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL"}
_CELL_READS = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_CELL_WRITES = {"STORE_DEREF", "DELETE_DEREF"}
_ITEM_READS = {
    *(
        "BINARY_SUBSCR",
        "BINARY_SLICE",
        "CONTAINS_OP",
        "COMPARE_OP",
        "FOR_ITER",
        "GET_ITER",
        "UNPACK_SEQUENCE",
    ),
    *("UNPACK_EX", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE", "FORMAT_VALUE", "FORMAT_SIMPLE"),
    *("FORMAT_WITH_SPEC", "CONVERT_VALUE", "UNARY_NOT", "TO_BOOL"),
}
_ITEM_WRITES = {"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE"}
_CALLS = {
    *("CALL", "CALL_KW", "CALL_FUNCTION", "CALL_FUNCTION_KW", "CALL_FUNCTION_EX", "CALL_METHOD"),
    *("BEFORE_WITH", "SETUP_WITH", "LOAD_SPECIAL", "WITH_EXCEPT_START"),
}
_ALREADY_BOOL = {"COMPARE_OP", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "TO_BOOL"}
_NOT_SEEN = {"CACHE", "PRECALL", "EXTENDED_ARG", "NOP", "KW_NAMES"}


@functools.cache
def accesses_of(code: CodeType) -> dict[int, Access]:
    """What each instruction of a function may touch, by its offset; those that touch only locals are left out."""
    found: dict[int, Access] = {}
    before: dis.Instruction | None = None
    prefix: int | None = None
    for one in dis.get_instructions(code):
        if one.opname == "EXTENDED_ARG":
            prefix = one.offset if prefix is None else prefix
            continue
        if one.opname in _NOT_SEEN:
            continue
        access = _access(one, before)
        if access is not None:
            # The interpreter may stop at the prefix of an instruction, at itself, or at both.
            found[one.offset] = access
            if prefix is not None:
                found[prefix] = access
        before, prefix = one, None
    return found


def _access(one: dis.Instruction, before: dis.Instruction | None) -> Access | None:
    name = one.opname
    constant = before is not None and before.opname == "LOAD_CONST"
    if name in _ATTRIBUTE_READS or name in _ATTRIBUTE_WRITES:
        return f".{one.argval}", name in _ATTRIBUTE_WRITES
    if name in _CELL_READS or name in _CELL_WRITES:
        return f"cell {one.argval}", name in _CELL_WRITES
    if name in _CALLS:
        return CALL
    if name in _ITEM_WRITES:
        return ITEMS_WRITTEN
    if name.startswith("INPLACE_") or (name == "BINARY_OP" and one.argrepr.endswith("=")):
        # A container on the left is changed in place; with a constant on the right it is a number or a text.
        return None if constant else ITEMS_WRITTEN
    if name in ("BINARY_OP", "COMPARE_OP") or (name.startswith("BINARY_") and name not in _ITEM_READS):
        return None if constant else ITEMS_READ
    if "JUMP" in name and "IF" in name and "NONE" not in name:
        return None if before is not None and before.opname in _ALREADY_BOOL else ITEMS_READ
    return ITEMS_READ if name in _ITEM_READS else None


_TOUCH_NOTHING = frozenset(
    "isinstance issubclass callable id abs chr ord divmod round pow hex bin oct print super iter globals locals".split()
)
_READ = frozenset("len sorted sum min max any all repr hash format ascii reversed".split())
_ANY_ATTRIBUTE = frozenset("getattr setattr delattr hasattr vars dir exec eval __import__".split())
_READING_METHODS = frozenset(
    "get keys values items copy index count __contains__ __len__ __getitem__ __iter__ union difference intersection "
    "issubset issuperset isdisjoint symmetric_difference".split()
)
_IMMUTABLE = (str, bytes, int, float, complex, bool, tuple, frozenset, range, type(None))
_READING_TYPES = (list, tuple, dict, set, frozenset, str, bytes, bytearray, enumerate, zip, reversed, sorted)
_PLAIN_TYPES = (
    int,
    float,
    complex,
    bool,
    object,
    type,
    range,
    slice,
    property,
    staticmethod,
    classmethod,
    super,
)
_SYNCHRONISED = ("threading", "queue", "concurrent.futures", "contextlib", "rslint_runtime.testing")


def accesses_of_call(called: Any) -> Access | None:
    """What a call of something that is not the program's own code touches; None for nothing that is shared."""
    if isinstance(called, MethodType):
        called = called.__func__
    if isinstance(called, FunctionType):
        return access_of_library(called.__module__ or "")
    if isinstance(called, type):
        return _of_type(called)
    if isinstance(called, BuiltinFunctionType):
        return _of_builtin(called)
    return _of_method(getattr(called, "__objclass__", object), getattr(called, "__name__", ""))


def access_of_library(module: str) -> Access:
    """What a function of a library touches: its own objects, which other calls of libraries may touch as well."""
    return LIBRARY if module.startswith(_SYNCHRONISED) else ITEMS_WRITTEN


def _of_type(called: type) -> Access | None:
    if called in _PLAIN_TYPES or issubclass(called, BaseException):
        return None
    if called in _READING_TYPES:
        return ITEMS_READ
    return access_of_library(called.__module__)


def _of_builtin(called: Any) -> Access | None:
    owner, name = called.__self__, called.__name__
    if owner is None or isinstance(owner, type(dis)):
        if getattr(owner, "__name__", "") != "builtins":
            return ITEMS_WRITTEN
        if name in _ANY_ATTRIBUTE:
            return EVERYTHING
        return None if name in _TOUCH_NOTHING else (ITEMS_READ if name in _READ else ITEMS_WRITTEN)
    return _of_method(owner if isinstance(owner, type) else type(owner), name)


def _of_method(kind: type, name: str) -> Access | None:
    if issubclass(kind, _IMMUTABLE):
        # `str.join` and `tuple.index` go through what they are given.
        return ITEMS_READ
    if name in ("__setattr__", "__delattr__", "__getattribute__"):
        return EVERYTHING
    return ITEMS_READ if name in _READING_METHODS and kind in (list, dict, set) else ITEMS_WRITTEN

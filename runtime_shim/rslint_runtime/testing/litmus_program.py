"""Reads a litmus test: a few threads side by side, a line per instruction, and the final state that is asked for.

    P0        | P1
    x = 1     | r1 = y
    fence     | fence
    y = 1     | r2 = x
    exists r1 == 1 and r2 == 0

Names `r0`, `r1`, … are registers, each of one thread; all other names are locations, zero at first unless a line
`init x = 1` says otherwise. Instructions:

    x = 1            x.release = 1      x[r1] = 1          store (`[r1]`: at an address computed from r1)
    x = r1                                                 store what was loaded
    r1 = x           r1 = x.acquire     r1 = x[r2]         load
    r1 = swap(x, 1)  r1 = swap.acquire(x, 1)               exchange; also `.release` and `.acquire_release`
    branch r1                                              a jump that depends on r1: what follows depends on it
    fence            fence.load         fence.store        mfence and dmb ish; dmb ishld; dmb ishst
    isb                                                    Arm's instruction barrier
    lock m           unlock m                              a lock of CPython (see `litmus`)
    memory_fence                                           what rslint_runtime.memory_fence() does

The notation is that of herd's tests (Alglave, Maranget, Tautschnig, "Herding Cats", TOPLAS 2014), in Python's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Condition", "Instruction", "LitmusError", "Program", "parse"]

_REGISTER = re.compile(r"r\d+\Z")
_PLACE = r"(?P<place>[A-Za-z_]\w*)(?:\.(?P<order>\w+))?(?:\[(?P<address>r\d+)\])?"
_STORE = re.compile(rf"{_PLACE}\s*=\s*(?P<value>-?\d+|r\d+)\Z")
_LOAD = re.compile(rf"(?P<register>r\d+)\s*=\s*{_PLACE}\Z")
_SWAP = re.compile(
    r"(?P<register>r\d+)\s*=\s*swap(?:\.(?P<order>\w+))?\(\s*(?P<place>[A-Za-z_]\w*)\s*,\s*(?P<value>-?\d+|r\d+)\s*\)\Z"
)
_LOCK = re.compile(r"(?P<kind>lock|unlock)\s+(?P<place>[A-Za-z_]\w*)\Z")
_BRANCH = re.compile(r"branch\s+(?P<register>r\d+)\Z")
_COMPARISON = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*==\s*(?P<value>-?\d+)\Z")
_PLAIN = ("fence", "fence.load", "fence.store", "isb", "memory_fence")
_ORDERS = {
    "store": ("", "release"),
    "load": ("", "acquire"),
    "swap": ("", "acquire", "release", "acquire_release"),
}


class LitmusError(ValueError):
    """A litmus test that cannot be read; the text names the line and what is expected there."""


@dataclass(frozen=True)
class Instruction:
    """`kind`: "store", "load", "swap", "lock", "unlock", "branch", or a word of its own such as "fence". `place` is the
    location, `register` what a load fills or a branch looks at, `value` a number or the register that is stored,
    `address` the register an address is computed from, `order` the annotation; "" where there is none."""

    kind: str
    text: str
    place: str = ""
    register: str = ""
    value: int | str = 0
    address: str = ""
    order: str = ""


@dataclass(frozen=True)
class Condition:
    """A final state, in part: registers and locations with the values they have at the end."""

    values: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        return " and ".join(f"{name} == {value}" for name, value in self.values)


@dataclass(frozen=True)
class Program:
    """Threads of instructions, the first values of locations that are not zero, and the final state asked for."""

    threads: tuple[tuple[Instruction, ...], ...]
    condition: Condition
    initial: tuple[tuple[str, int], ...] = ()


def parse(text: str) -> Program:
    """Read a litmus test. Raises LitmusError where a line is none, a register is used before it is loaded or by two
    threads, or the final state is missing or speaks of a name that does not occur."""
    columns: list[list[Instruction]] = []
    initial: dict[str, int] = {}
    condition: Condition | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        if condition is not None:
            raise LitmusError(f"line {number}: nothing may follow the line with `exists`")
        if line.startswith("exists "):
            condition = _condition(line.removeprefix("exists "), number)
        elif line.startswith("init "):
            name, value = _comparison(line.removeprefix("init ").replace("=", "==", 1), number)
            initial[name] = value
        elif not all(re.fullmatch(r"\s*P\d+\s*", cell) for cell in line.split("|")):
            _row(line, number, columns)
    if condition is None or not columns:
        raise LitmusError("a litmus test is lines of instructions, then a line `exists r1 == 1 and ...`")
    program = Program(tuple(map(tuple, columns)), condition, tuple(sorted(initial.items())))
    _check(program)
    return program


def _row(line: str, number: int, columns: list[list[Instruction]]) -> None:
    for position, cell in enumerate(line.split("|")):
        while len(columns) <= position:
            columns.append([])
        if cell.strip():
            columns[position].append(_instruction(cell.strip(), number))


def _instruction(text: str, number: int) -> Instruction:
    if text in _PLAIN:
        return Instruction(text, text)
    for kind, pattern in (
        ("swap", _SWAP),
        ("load", _LOAD),
        ("store", _STORE),
        ("lock", _LOCK),
        ("branch", _BRANCH),
    ):
        match = pattern.match(text)
        if match is None:
            continue
        found = match.groupdict()
        place = found.get("place") or ""
        order = found.get("order") or ""
        if _REGISTER.match(place) or order not in _ORDERS.get(kind, ("",)):
            break
        return Instruction(
            kind=found.get("kind") or kind,
            text=text,
            place=place,
            register=found.get("register") or "",
            value=_value(found.get("value") or "0"),
            address=found.get("address") or "",
            order=order,
        )
    raise LitmusError(
        f"line {number}: `{text}` is no instruction (see rslint_runtime.testing.litmus_program)"
    )


def _value(text: str) -> int | str:
    return text if _REGISTER.match(text) else int(text)


def _condition(text: str, number: int) -> Condition:
    return Condition(tuple(_comparison(part, number) for part in re.split(r"\band\b", text)))


def _comparison(text: str, number: int) -> tuple[str, int]:
    match = _COMPARISON.match(text.strip())
    if match is None:
        raise LitmusError(f"line {number}: `{text.strip()}` is no comparison of a name with a number")
    return match["name"], int(match["value"])


def _check(program: Program) -> None:
    owners: dict[str, int] = {}
    for thread, instructions in enumerate(program.threads):
        loaded: set[str] = set()
        for one in instructions:
            for used in _used(one):
                if used not in loaded:
                    raise LitmusError(
                        f"P{thread}: `{one.text}` uses {used}, which P{thread} has not loaded before"
                    )
            if one.kind in ("load", "swap"):
                if owners.setdefault(one.register, thread) != thread or one.register in loaded:
                    raise LitmusError(f"P{thread}: `{one.text}`: a register is loaded once, by one thread")
                loaded.add(one.register)
    places = {one.place for thread in program.threads for one in thread if one.place}
    for name, _ in (*program.condition.values, *program.initial):
        if name not in owners and name not in places:
            raise LitmusError(f"`{name}` occurs in no instruction")


def _used(one: Instruction) -> Iterator[str]:
    if one.kind == "branch":
        yield one.register
    if isinstance(one.value, str):
        yield one.value
    if one.address:
        yield one.address

"""`litmus` gives the verdicts that are published, agrees with machines that run the program, and decides how many locks
make a fence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rslint_runtime.order import pairs_needed
from rslint_runtime.testing import LitmusError, litmus
from rslint_runtime.testing.litmus_program import Instruction, Program, parse

# Names and verdicts (sc, x86, arm) as published:
# (I) Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, 8.2.3;
# (S) Sewell et al., x86-TSO, CACM 2010;
# (T) Maranget, Sarkar, Sewell, "A Tutorial Introduction to the ARM and POWER Relaxed Memory Models", 2012;
# (P) Pulte et al., "Simplifying ARM Concurrency", POPL 2018 (multicopy atomicity: IRIW, WRC and ISA2 with dependencies
# are forbidden, which older models allowed);
# (H) herd's catalogue for AArch64 and x86.
PUBLISHED = {
    # (I) 8.2.3.4, (T) SB
    "SB": ("fyy", "x = 1 | y = 1 / r1 = y | r2 = x / exists r1 == 0 and r2 == 0"),
    "SB+dmbs": ("fff", "x = 1 | y = 1 / fence | fence / r1 = y | r2 = x / exists r1 == 0 and r2 == 0"),
    "SB+dmb.sts": (
        "fyy",
        "x = 1 | y = 1 / fence.store | fence.store / r1 = y | r2 = x / exists r1 == 0 and r2 == 0",
    ),
    # On x86 a release and an acquire are plain moves; Arm's LDAR waits for an earlier STLR.
    "SB+popl-poaq": (
        "fyf",
        "x.release = 1 | y.release = 1 / r1 = y.acquire | r2 = x.acquire / exists r1 == 0 and r2 == 0",
    ),
    # (I) 8.2.3.2, (T) MP
    "MP": ("ffy", "x = 1 | r1 = y / y = 1 | r2 = x / exists r1 == 1 and r2 == 0"),
    "MP+dmbs": ("fff", "x = 1 | r1 = y / fence | fence / y = 1 | r2 = x / exists r1 == 1 and r2 == 0"),
    "MP+dmb.st+dmb.ld": (
        "fff",
        "x = 1 | r1 = y / fence.store | fence.load / y = 1 | r2 = x / exists r1 == 1 and r2 == 0",
    ),
    "MP+dmb+po": ("ffy", "x = 1 | r1 = y / fence | / y = 1 | r2 = x / exists r1 == 1 and r2 == 0"),
    "MP+po+dmb": ("ffy", "x = 1 | r1 = y / | fence / y = 1 | r2 = x / exists r1 == 1 and r2 == 0"),
    "MP+dmb+addr": ("fff", "x = 1 | r1 = y / fence | / y = 1 | r2 = x[r1] / exists r1 == 1 and r2 == 0"),
    "MP+dmb+ctrl": (
        "ffy",
        "x = 1 | r1 = y / fence | branch r1 / y = 1 | r2 = x / exists r1 == 1 and r2 == 0",
    ),
    "MP+dmb+ctrlisb": (
        "fff",
        "x = 1 | r1 = y / fence | branch r1 / y = 1 | isb / | r2 = x / exists r1 == 1 and r2 == 0",
    ),
    "MP+popl+poaq": ("fff", "x = 1 | r1 = y.acquire / y.release = 1 | r2 = x / exists r1 == 1 and r2 == 0"),
    # (I) 8.2.3.3, (T) LB and its dependencies
    "LB": ("ffy", "r1 = x | r2 = y / y = 1 | x = 1 / exists r1 == 1 and r2 == 1"),
    "LB+data+po": ("ffy", "r1 = x | r2 = y / y = r1 | x = 1 / exists r1 == 1 and r2 == 1"),
    "LB+datas": ("fff", "r1 = x | r2 = y / y = r1 | x = r2 / exists r1 == 1 and r2 == 1"),
    "LB+addrs": ("fff", "r1 = x | r2 = y / y[r1] = 1 | x[r2] = 1 / exists r1 == 1 and r2 == 1"),
    "LB+ctrls": (
        "fff",
        "r1 = x | r2 = y / branch r1 | branch r2 / y = 1 | x = 1 / exists r1 == 1 and r2 == 1",
    ),
    # (T) PPOCA, PPOAA
    "PPOCA": (
        "ffy",
        "x = 1 | r1 = y / fence | branch r1 / y = 1 | z = 1 / | r2 = z / | r3 = x[r2] "
        "/ exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    "PPOAA": (
        "fff",
        "x = 1 | r1 = y / fence | z[r1] = 1 / y = 1 | r2 = z / | r3 = x[r2] "
        "/ exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    # (I) 8.2.3.6, (T) WRC; (P) with dependencies
    "WRC": ("ffy", "x = 1 | r1 = x | r2 = y / | y = 1 | r3 = x / exists r1 == 1 and r2 == 1 and r3 == 0"),
    "WRC+addrs": (
        "fff",
        "x = 1 | r1 = x | r2 = y / | y[r1] = 1 | r3 = x[r2] / exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    "WRC+popl+poaq": (
        "fff",
        "x = 1 | r1 = x | r2 = y.acquire / | y.release = 1 | r3 = x / exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    "RWC": ("fyy", "x = 1 | r1 = x | y = 1 / | r2 = y | r3 = x / exists r1 == 1 and r2 == 0 and r3 == 0"),
    "RWC+dmbs": (
        "fff",
        "x = 1 | r1 = x | y = 1 / | fence | fence / | r2 = y | r3 = x "
        "/ exists r1 == 1 and r2 == 0 and r3 == 0",
    ),
    # (I) 8.2.3.7, (T) IRIW; (P) with dependencies
    "IRIW": (
        "ffy",
        "x = 1 | y = 1 | r1 = x | r3 = y / | | r2 = y | r4 = x "
        "/ exists r1 == 1 and r2 == 0 and r3 == 1 and r4 == 0",
    ),
    "IRIW+addrs": (
        "fff",
        "x = 1 | y = 1 | r1 = x | r3 = y / | | r2 = y[r1] | r4 = x[r3] "
        "/ exists r1 == 1 and r2 == 0 and r3 == 1 and r4 == 0",
    ),
    "ISA2": (
        "ffy",
        "x = 1 | r1 = y | r2 = z / y = 1 | z = 1 | r3 = x / exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    "ISA2+dmb+addrs": (
        "fff",
        "x = 1 | r1 = y | r2 = z / fence | z[r1] = 1 | r3 = x[r2] / y = 1 | | "
        "/ exists r1 == 1 and r2 == 1 and r3 == 0",
    ),
    # (T) S, R, 2+2W
    "S": ("ffy", "x = 2 | r1 = y / y = 1 | x = 1 / exists r1 == 1 and x == 2"),
    "S+dmb+data": ("fff", "x = 2 | r1 = y / fence | x = r1 / y = 1 | / exists r1 == 1 and x == 2"),
    "R": ("fyy", "x = 1 | y = 2 / y = 1 | r1 = x / exists y == 2 and r1 == 0"),
    "R+dmbs": ("fff", "x = 1 | y = 2 / fence | fence / y = 1 | r1 = x / exists y == 2 and r1 == 0"),
    "2+2W": ("ffy", "x = 1 | y = 1 / y = 2 | x = 2 / exists x == 1 and y == 1"),
    "2+2W+dmbs": ("fff", "x = 1 | y = 1 / fence | fence / y = 2 | x = 2 / exists x == 1 and y == 1"),
    # (T) coherence
    "CoRR": ("fff", "x = 1 | r1 = x / | r2 = x / exists r1 == 1 and r2 == 0"),
    "CoWR": ("fff", "x = 1 | x = 2 / r1 = x | / exists r1 == 2 and x == 1"),
    "CoRW1": ("fff", "r1 = x / x = 1 / exists r1 == 1"),
    "CoWW": ("fff", "x = 1 / x = 2 / exists x == 1"),
    # (S) n5, n6, iwp2.4 (I 8.2.3.5), iwp2.7 (I 8.2.3.8), iwp2.8.a and b (I 8.2.3.9)
    "n5": ("fff", "x = 1 | x = 2 / r1 = x | r2 = x / exists r1 == 2 and r2 == 1"),
    "n6": ("fyy", "x = 1 | y = 2 / r1 = x | x = 2 / r2 = y | / exists r1 == 1 and r2 == 0 and x == 1"),
    "iwp2.4": (
        "fyy",
        "x = 1 | y = 1 / r1 = x | r3 = y / r2 = y | r4 = x / exists r1 == 1 and r2 == 0 and r3 == 1 and r4 == 0",
    ),
    "iwp2.7": (
        "fff",
        "x = 1 | x = 2 | r1 = x | r3 = x / | | r2 = x | r4 = x "
        "/ exists r1 == 1 and r2 == 2 and r3 == 2 and r4 == 1",
    ),
    "iwp2.8.a": ("ffy", "r1 = swap(x, 1) | r3 = swap(y, 1) / r2 = y | r4 = x / exists r2 == 0 and r4 == 0"),
    "iwp2.8.b": ("ffy", "r1 = swap(x, 1) | r2 = y / y = 1 | r3 = x / exists r2 == 1 and r3 == 0"),
}
MODELS = ("sc", "x86", "arm")


def laid_out(line: str) -> str:
    """A test in one line as the lines that `litmus` reads."""
    return "\n".join(row.strip() if row.strip().startswith("exists") else row for row in line.split(" / "))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_verdicts(name: str) -> None:
    verdicts, line = PUBLISHED[name]
    found = {model: litmus(laid_out(line), model).observable for model in MODELS}
    assert found == {model: verdict == "y" for model, verdict in zip(MODELS, verdicts, strict=True)}


# What a fence has to keep apart, around the place of a fence on both sides: every pair of a load or store before and a
# load or store behind.
SHAPES = {
    "MP": "x = 1 | r1 = y / {0} | {1} / y = 1 | r2 = x / exists r1 == 1 and r2 == 0",
    "SB": "x = 1 | y = 1 / {0} | {1} / r1 = y | r2 = x / exists r1 == 0 and r2 == 0",
    "LB": "r1 = x | r2 = y / {0} | {1} / y = 1 | x = 1 / exists r1 == 1 and r2 == 1",
    "S": "x = 2 | r1 = y / {0} | {1} / y = 1 | x = 1 / exists r1 == 1 and x == 2",
    "R": "x = 1 | y = 2 / {0} | {1} / y = 1 | r1 = x / exists y == 2 and r1 == 0",
    "2+2W": "x = 1 | y = 1 / {0} | {1} / y = 2 | x = 2 / exists x == 1 and y == 1",
}


def leaking(model: str, lock: str, pairs: int) -> list[str]:
    """The shapes that so many pairs of taking and releasing a lock, a lock of its own for each side, do not forbid."""
    fences = [" / ".join([f"lock {name}", f"unlock {name}"] * pairs) for name in ("m", "n")]
    found = []
    for shape, line in SHAPES.items():
        rows = []
        for row in line.split(" / "):
            if "{0}" not in row:
                rows.append(row)
                continue
            rows.extend(
                f"{left} | {right}"
                for left, right in zip(fences[0].split(" / "), fences[1].split(" / "), strict=True)
                if pairs
            )
        if litmus("\n".join(rows), model, lock).observable:
            found.append(shape)
    return found


@pytest.mark.parametrize(
    ("model", "machine", "lock", "version"),
    [
        ("x86", "x86_64", "semaphore", (3, 12, 0)),
        ("x86", "x86_64", "mutex", (3, 13, 1)),
        ("arm", "aarch64", "semaphore", (3, 12, 0)),
        ("arm", "aarch64", "semaphore", (3, 13, 0)),
        ("arm", "aarch64", "mutex", (3, 13, 1)),
    ],
)
def test_memory_fence_takes_as_many_locks_as_the_model_demands_and_no_more(
    model: str, machine: str, lock: str, version: tuple[int, int, int]
) -> None:
    needed = pairs_needed(machine, "cpython", version)
    assert leaking(model, lock, needed) == []
    assert leaking(model, lock, needed - 1) != []


def test_one_pair_of_a_semaphore_lets_everything_through_on_arm() -> None:
    assert leaking("arm", "semaphore", 1) == list(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lock", ["semaphore", "mutex"])
def test_memory_fence_as_one_word(shape: str, lock: str) -> None:
    program = laid_out(SHAPES[shape].format("memory_fence", "memory_fence"))
    assert not any(litmus(program, model, lock).observable for model in MODELS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lock", ["semaphore", "mutex"])
def test_a_lock_excludes(model: str, lock: str) -> None:
    program = (
        "lock m | lock m\nr1 = x | r2 = x\nx = 1 | x = 2\nunlock m | unlock m\nexists r1 == 0 and r2 == 0"
    )
    assert not litmus(program, model, lock).observable
    without = "\n".join(line for line in program.splitlines() if "lock" not in line)
    assert litmus(without, model, lock).observable


def test_the_report_of_what_can_happen_gives_an_order_and_of_what_cannot_a_cycle() -> None:
    line = PUBLISHED["MP"][1]
    assert litmus(laid_out(line), "arm").report() == (
        "r1 == 1 and r2 == 0: can happen under arm (4 candidates)\n"
        "  P0\n    a: x = 1: writes 1 to x\n    b: y = 1: writes 1 to y\n"
        "  P1\n    c: r1 = y: reads 1 of y, written by b\n    d: r2 = x: reads 0 of x, at the start\n"
        "in this order:\n  d\n  b\n  a\n  c"
    )
    cycle = litmus(laid_out(line), "x86").report().partition("this would be a cycle:\n")[2]
    assert cycle.splitlines() == [
        "  a program order b",
        "  b is read by c",
        "  c program order d",
        "  d reads before a",
    ]


def test_the_report_of_a_state_that_no_candidate_ends_in() -> None:
    assert "no execution ends so" in litmus("x = 1\nexists x == 7").report()


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("x = 1", "exists"),
        ("x + 1\nexists x == 1", "line 1: `x \\+ 1` is no instruction"),
        ("x.acquire = 1\nexists x == 1", "line 1: `x.acquire = 1` is no instruction"),
        ("x = r1\nexists x == 1", "P0: `x = r1` uses r1, which P0 has not loaded before"),
        ("r1 = x | r1 = x\nexists r1 == 1", "P1: `r1 = x`: a register is loaded once, by one thread"),
        ("x = 1\nexists y == 1", "`y` occurs in no instruction"),
        ("x = 1\nexists x = 1", "line 2: `x = 1` is no comparison"),
        ("x = 1\nexists x == 1\ny = 1", "line 3: nothing may follow"),
    ],
)
def test_what_cannot_be_read_says_where(program: str, complaint: str) -> None:
    with pytest.raises(LitmusError, match=complaint):
        litmus(program)


def test_a_program_with_too_many_candidates_is_refused_at_once() -> None:
    many = "\n".join([" | ".join(f"x = {number}" for number in range(1, 5))] * 4)
    with pytest.raises(LitmusError, match="the stores to x have 63,063,000 orders"):
        litmus(f"{many}\nexists x == 1")


@pytest.mark.parametrize("unknown", [{"model": "power"}, {"lock": "spin"}])
def test_an_unknown_model_or_lock(unknown: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is one of"):
        litmus("x = 1\nexists x == 1", **unknown)


# Machines that run a program step by step, written without the axioms: every interleaving is SC, a queue of stores in
# front of the memory is x86-TSO.

State = tuple[tuple[str, int], ...]


def machine_states(program: Program, queued: bool) -> set[State]:
    """Final states (registers, then the condition's locations) of a machine with or without store queues."""
    names = [name for name, _ in program.condition.values if not name.startswith("r")]
    start = ((0,) * len(program.threads), ((),) * len(program.threads), (), ())
    waiting, known, found = [start], {start}, set()
    while waiting:
        counters, queues, memory, registers = waiting.pop()
        following = list(_moves(program, counters, queues, dict(memory), dict(registers), queued))
        if not following:
            values = {**dict(registers), **{name: dict(memory).get(name, 0) for name in names}}
            found.add(tuple(sorted(dict(registers).items())) + tuple((name, values[name]) for name in names))
        for state in following:
            if state not in known:
                known.add(state)
                waiting.append(state)
    return found


def _moves(program, counters, queues, memory, registers, queued) -> Iterator[tuple]:  # type: ignore[no-untyped-def, type-arg]
    for thread, instructions in enumerate(program.threads):
        queue = queues[thread]
        if queue:
            place, value = queue[0]
            yield _state(counters, queues, {**memory, place: value}, registers, thread, queue[1:], 0)
        if counters[thread] == len(instructions):
            continue
        one: Instruction = instructions[counters[thread]]
        value = registers[one.value] if isinstance(one.value, str) else one.value
        if one.kind == "store" and queued:
            yield _state(counters, queues, memory, registers, thread, (*queue, (one.place, value)), 1)
        elif one.kind == "store":
            yield _state(counters, queues, {**memory, one.place: value}, registers, thread, queue, 1)
        elif one.kind == "load":
            seen = dict(queue).get(one.place, memory.get(one.place, 0))
            yield _state(counters, queues, memory, {**registers, one.register: seen}, thread, queue, 1)
        elif not queue:  # a fence or an exchange: the queue must be empty
            swaps = one.kind == "swap"
            filled = {**registers, one.register: memory.get(one.place, 0)} if swaps else registers
            written = {**memory, one.place: value} if swaps else memory
            yield _state(counters, queues, written, filled, thread, queue, 1)


def _state(counters, queues, memory, registers, thread, queue, step):  # type: ignore[no-untyped-def]
    return (
        (*counters[:thread], counters[thread] + step, *counters[thread + 1 :]),
        (*queues[:thread], queue, *queues[thread + 1 :]),
        tuple(sorted(memory.items())),
        tuple(sorted(registers.items())),
    )


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Two threads of up to three plain instructions or three of up to two, without annotations."""
    cells: list[list[str]] = []
    register = 0
    threads = draw(st.integers(2, 3))
    for _ in range(threads):
        thread = []
        for _ in range(draw(st.integers(1, 5 - threads))):
            place, value = draw(st.sampled_from("xy")), draw(st.integers(1, 2))
            kind = draw(st.sampled_from(["store", "store", "load", "load", "fence", "swap"]))
            register += kind in ("load", "swap")
            texts = {
                "store": f"{place} = {value}",
                "load": f"r{register} = {place}",
                "fence": "fence",
                "swap": f"r{register} = swap({place}, {value})",
            }
            thread.append(texts[kind])
        cells.append(thread)
    rows = [" | ".join(thread[row] if row < len(thread) else "" for thread in cells) for row in range(3)]
    written = [place for place in "xy" if any(f"{place} =" in row or f"({place}," in row for row in rows)]
    assume(written)
    asked = " and ".join(f"{place} == 0" for place in written)
    return "\n".join([*(row for row in rows if row.strip(" |")), f"exists {asked}"])


@given(programs())
@settings(max_examples=60, deadline=None)
def test_the_axioms_allow_what_the_machines_do(text: str) -> None:
    program = parse(text)
    strong, queues, weak = (set(litmus(program, model).states) for model in MODELS)
    assert strong == machine_states(program, queued=False)
    assert queues == machine_states(program, queued=True)
    assert queues <= weak


@given(programs())
@settings(max_examples=30, deadline=None)
def test_with_a_fence_between_all_instructions_every_model_is_sequentially_consistent(text: str) -> None:
    *rows, condition = text.splitlines()
    columns = rows[0].count("|") + 1
    fenced = [line for row in rows for line in (row, " | ".join(["fence"] * columns))]
    program = "\n".join([*fenced, condition])
    assert litmus(program, "sc").states == litmus(program, "x86").states == litmus(program, "arm").states

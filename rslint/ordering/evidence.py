"""What the functions of a project show about their shared memory: flags that decide over payloads, and who waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.dominance import dominators
from rslint.flow.graph import Cfg, predecessors, successors
from rslint.ordering.bindings import bindings_of
from rslint.ordering.events import INCREMENT, ZERO, Access, Invoke, expression_steps
from rslint.ordering.flow import DONE, Fact, Flow, Flows, advance, flow_of, named_here
from rslint.project import ir
from rslint.project.text import walk

_DEPTH = 4


@dataclass(frozen=True)
class Pair:
    """In `function`, at `node` of its graph, `payload` is accessed. `flag` is the load that decides whether it comes
    to that, or the store that tells others of the payload. `nested`: another flag decides before this one is even
    looked at."""

    function: str
    node: int
    flag: Access
    payload: Access
    nested: bool = False


@dataclass(frozen=True)
class Evidence:
    """`consumed`: payloads read because a flag allowed it. `awaited`: payloads written because a flag allowed it.
    `published`: flags stored after a payload was written, `acknowledged`: after it was read, `rearmed`: set to
    0 after a payload was written. `stored` are all stores to single cells."""

    consumed: tuple[Pair, ...]
    awaited: tuple[Pair, ...]
    published: tuple[Pair, ...]
    acknowledged: tuple[Pair, ...]
    rearmed: tuple[Pair, ...]
    stored: tuple[Access, ...]

    @property
    def storing(self) -> frozenset[str]:
        """The functions in which a cell is stored."""
        return frozenset(access.site.function for access in self.stored)

    def carries(self, flag: Access) -> bool:
        """Whether a cell is part of what another flag protects as a whole: it needs no order of its own."""
        return any(
            pair.payload.view == flag.view != pair.flag.view
            and pair.payload.cell is None
            and not pair.payload.part
            for pair in self.consumed
        )


def gather(f: Flows, functions: tuple[str, ...]) -> Evidence:
    """The evidence of these functions."""
    consumed: list[Pair] = []
    awaited: list[Pair] = []
    told: list[Pair] = []
    stored: dict[Access, None] = {}
    for function in functions:
        flow = flow_of(f, function)
        if not any(flow.steps):
            continue
        for pair in _guarded(f, function, flow):
            (consumed if pair.payload.kind == "load" else awaited).append(pair)
        told += _told(function, flow)
        stored.update(
            (step, None)
            for steps in flow.steps
            for step in steps
            if isinstance(step, Access) and step.kind == "store" and step.cell is not None
        )
    return Evidence(
        tuple(consumed),
        tuple(awaited),
        tuple(pair for pair in told if pair.payload.kind == "store" and is_publication(pair.flag)),
        tuple(pair for pair in told if pair.payload.kind == "load"),
        tuple(pair for pair in told if pair.payload.kind == "store" and pair.flag.value == ZERO),
        tuple(stored),
    )


def same_place(one: Access, other: Access) -> bool:
    """Whether two accesses may mean the same cells. Segments of a function's own variables are told apart by the
    module alone: its other functions give the same segment other names."""
    left, right = one.view, other.view
    if left.owner != right.owner or left.start != right.start:
        return False
    if left.segment != right.segment and not left.owner.endswith(":"):
        return False
    return one.cell is None or other.cell is None or _may_equal(one.cell, other.cell)


def _may_equal(one: str, other: str) -> bool:
    return one == other or not (_is_fixed(one) and _is_fixed(other))


def _is_fixed(cell: str) -> bool:
    """Whether an index is the same wherever it is written: a number, a constant by its name, a tuple that ends so."""
    last = cell.rstrip(")").rpartition(" ")[2] if cell[:1] == "(" else cell.lstrip("-")
    return last.isdigit() or (last.isidentifier() and last.isupper())


def is_payload(payload: Access, flag: Access) -> bool:
    """Whether an access is of what the flag speaks of: other cells of the same owner's memory."""
    if payload.view.owner != flag.view.owner:
        return False
    return (
        payload.view != flag.view
        or (payload.cell is None and flag.cell is not None)
        or (payload.cell is not None and flag.cell is not None and not _may_equal(payload.cell, flag.cell))
    )


def _guarded(f: Flows, function: str, flow: Flow) -> Iterator[Pair]:
    """Payload accesses that a test of a flag decides over."""
    tests = _tests(f, function, flow)
    if not tests:
        return
    tested = {access for test in tests.values() for access in test.loads}
    above = dominators(flow.cfg, exceptional=False)
    for node in flow.cfg.nodes:
        payloads = [
            step for step in flow.steps[node.index] if isinstance(step, Access) and not _is_any(step, tested)
        ]
        if not payloads:
            continue
        deciding = list(_deciding(flow.cfg, above, node.index, tests))
        for position, test in enumerate(deciding):
            nested = any(_is_other(outer, test) for outer in deciding[position + 1 :])
            for flag in test.loads:
                for payload in payloads:
                    if is_payload(payload, flag):
                        yield Pair(function, node.index, flag, payload, nested)


def _is_other(outer: _Test, inner: _Test) -> bool:
    """Whether a test looks at other flags of the same memory."""
    owners = {load.view.owner for load in inner.loads}
    return any(
        one.view.owner in owners and not any(same_place(one, other) for other in inner.loads)
        for one in outer.loads
    )


def _is_any(access: Access, others: set[Access]) -> bool:
    return access.kind == "load" and any(access.site == other.site for other in others)


@dataclass(frozen=True)
class _Test:
    """The operands of one test, as nodes, and the loads on which it depends."""

    nodes: frozenset[int]
    loads: tuple[Access, ...]


def _tests(f: Flows, function: str, flow: Flow) -> dict[int, _Test]:
    """The tests that depend on shared memory, by their first operand."""
    cfg = flow.cfg
    incoming = predecessors(successors(cfg, exceptional=False))
    first: dict[int, int] = {}
    for node in cfg.nodes:
        if node.kind == "branch":
            sources = {source for source, _ in incoming[node.index]}
            heads = {first.get(source, -1) for source in sources}
            first[node.index] = heads.pop() if len(heads) == 1 and -1 not in heads else node.index
    found: dict[int, _Test] = {}
    for head in sorted(set(first.values())):
        operands = [index for index, one in first.items() if one == head]
        loads: dict[Access, None] = {}
        for index in operands:
            origin = cfg.nodes[index].origin
            if isinstance(origin, ir.Expr):
                loads.update((load, None) for load in loads_in(f, function, origin, _DEPTH))
        if loads:
            found[head] = _Test(frozenset(operands), tuple(loads))
    return found


def _deciding(cfg: Cfg, above: tuple[int | None, ...], node: int, tests: dict[int, _Test]) -> Iterator[_Test]:
    """The tests on every way to a node one of whose outcomes does not lead there before the test is made again."""
    current = above[node]
    while current is not None:
        test = tests.get(current)
        if test is not None and node not in test.nodes and _decides_over(cfg, test, node):
            yield test
        if above[current] == current:
            return
        current = above[current]


def _decides_over(cfg: Cfg, test: _Test, node: int) -> bool:
    outcomes = {
        edge.target
        for index in test.nodes
        for edge in cfg.nodes[index].successors
        if edge.kind != "exception" and edge.target not in test.nodes
    }
    return any(not _reaches(cfg, outcome, node, test.nodes) for outcome in outcomes)


def _reaches(cfg: Cfg, start: int, goal: int, without: frozenset[int]) -> bool:
    seen = set(without)
    stack = [start]
    while stack:
        index = stack.pop()
        if index == goal:
            return True
        if index in seen:
            continue
        seen.add(index)
        stack += [edge.target for edge in cfg.nodes[index].successors if edge.kind != "exception"]
    return False


def loads_in(f: Flows, function: str, e: ir.Expr, depth: int) -> Iterator[Access]:
    """The loads of shared memory on which the value of an expression depends: its own, those behind the names in it,
    and those that decide what the functions it calls return."""
    if depth <= 0:
        return
    for step in expression_steps(f.b, function, e):
        if isinstance(step, Access) and step.kind == "load":
            yield step
        elif isinstance(step, Invoke) and step.part == "all":
            for callee in step.functions[:2]:
                yield from _decides(f, callee, step, depth - 1)
    for part in walk(e):
        if isinstance(part, ir.Name):
            for binding in bindings_of(f.b, function).get(part.id, ()):
                if not binding.entered and binding.value is not e:
                    yield from loads_in(f, function, binding.value, depth - 1)


def _decides(f: Flows, callee: str, step: Invoke, depth: int) -> Iterator[Access]:
    values: tuple[ir.Expr, ...] = f.b.k.links.returned_values(callee)
    if not values:
        cfg = flow_of(f, callee, 1).cfg
        values = tuple(
            node.origin for node in cfg.nodes if node.kind == "branch" and isinstance(node.origin, ir.Expr)
        )
    for value in values:
        for access in loads_in(f, callee, value, depth):
            yield named_here(access, step)


def _told(function: str, flow: Flow) -> Iterator[Pair]:
    """Flags stored after payloads were accessed."""
    for node in flow.cfg.nodes:
        facts = set(flow.before[node.index])
        for step in flow.steps[node.index]:
            if isinstance(step, Access) and step.kind == "store" and step.cell is not None:
                for fact in sorted(facts, key=str):
                    access = fact.access
                    if fact.tag == DONE and access is not None and _is_told_of(access, step, facts):
                        yield Pair(function, node.index, step, access)
            advance(facts, step)


def _is_told_of(payload: Access, flag: Access, facts: set[Fact]) -> bool:
    if not is_payload(payload, flag):
        return False
    if payload.kind == "load":
        return True
    counted = payload.cell is not None and payload.value in (ZERO, INCREMENT)
    return not counted and not _in_progress(facts, flag)


def _in_progress(facts: set[Fact], flag: Access) -> bool:
    """Whether a sequence counter of the same memory was counted up before: its writer counts again when it is done,
    and until then readers throw away what they read."""
    return any(
        fact.tag == DONE
        and fact.access is not None
        and fact.access.value == INCREMENT
        and fact.access.kind == "store"
        and fact.access.view.owner == flag.view.owner
        and not same_place(fact.access, flag)
        for fact in facts
    )


def is_publication(access: Access) -> bool:
    """Whether an access may tell others that a payload is there: a store to one cell of something but zero."""
    return access.kind == "store" and access.cell is not None and access.value != ZERO

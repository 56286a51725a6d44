"""Which accesses of shared memory may still be unordered at each point of a function: one forward may-analysis.

A fact is an access together with "open" (no fence since) or "done" (anywhere before). Calls are replaced by what the
callee does up to its first fence, a fence where every path of it has one, and what it does behind its last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from rslint.flow.graph import Cfg, CfgNode
from rslint.flow.graphs import graph_of
from rslint.flow.solver import solve
from rslint.ordering.bindings import Buffers, calls_of
from rslint.ordering.events import Access, Fence, Invoke, Step, Yielded, steps_of, sure_steps
from rslint.ordering.views import yielded_views
from rslint.project import ir
from rslint.project.text import statements, walk

OPEN, DONE = "open", "done"
_DEPTH = 4
_FENCE_DEPTH = 3
_MOST = 48


@dataclass(frozen=True)
class Fact:
    """`access` None: with "open" that no fence stands between the entry and here; with "held" that no other process
    is inside the same exclusive region."""

    tag: str
    access: Access | None


ENTERED = Fact(OPEN, None)
HELD = Fact("held", None)
State = frozenset[Fact]
Small = Access | Fence


@dataclass(frozen=True)
class Summary:
    """What callers know of a function: its accesses before any fence, whether every path has a fence, and those
    behind the last one; for a context manager what it does before and behind its `yield`, in order."""

    before: tuple[Access, ...] = ()
    fenced: bool = False
    after: tuple[Access, ...] = ()
    enter: tuple[Small, ...] = ()
    leave: tuple[Small, ...] = ()


@dataclass(frozen=True)
class Flow:
    """A function solved: the steps of every node of its graph, and the facts before each."""

    cfg: Cfg
    steps: tuple[tuple[Small, ...], ...]
    before: tuple[State, ...]
    after: tuple[State, ...]


@dataclass
class Flows:
    """The functions that are solved so far; of functions outside of `scope` only their fences count."""

    b: Buffers
    scope: frozenset[str]
    known: dict[tuple[str, int], Flow] = field(default_factory=dict)
    summaries: dict[tuple[str, int], Summary] = field(default_factory=dict)
    handed: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    fencing: dict[tuple[str, int], bool] = field(default_factory=dict)


def flow_of(f: Flows, function: str, depth: int = _DEPTH) -> Flow:
    """The solved flow of a function; calls are followed `depth` deep."""
    key = (function, depth)
    if key not in f.known:
        cfg = graph_of(f.b.k, f.b.k.links.ir(function))
        steps = tuple(tuple(_flat(f, function, node, depth)) for node in cfg.nodes)
        solution = solve(
            cfg,
            forward=True,
            must=False,
            boundary=frozenset([ENTERED]),
            transfer=lambda node, state: after_steps(state, steps[node.index]),
        )
        f.known[key] = Flow(cfg, steps, solution.before, solution.after)
    return f.known[key]


def after_steps(state: State, steps: Iterable[Small]) -> State:
    """The facts behind a sequence of steps."""
    facts = set(state)
    for step in steps:
        advance(facts, step)
    return frozenset(facts)


def advance(facts: set[Fact], step: Small) -> None:
    """Execute one step on a set of facts."""
    if isinstance(step, Access):
        facts.add(Fact(OPEN, step))
        facts.add(Fact(DONE, step))
        return
    facts.difference_update([fact for fact in facts if fact.tag == OPEN])
    if step.exclusive == "enter":
        facts.add(HELD)
    elif step.exclusive == "leave":
        facts.discard(HELD)


def _flat(f: Flows, function: str, node: CfgNode, depth: int) -> Iterator[Small]:
    for step in steps_of(f.b, function, node):
        yield from _expanded(f, function, step, depth)


def _expanded(f: Flows, function: str, step: Step, depth: int) -> Iterator[Small]:
    if isinstance(step, Access | Fence):
        yield step
    elif isinstance(step, Yielded):
        for kind in uses_of_yielded(f, function):
            for view in sorted(step.views):
                yield Access(kind, view, None, "other", step.site, step.statement)
    elif depth > 0:
        yield from _invoked(f, step, depth)


def _invoked(f: Flows, step: Invoke, depth: int) -> Iterator[Small]:
    for function in step.functions[:2]:
        if function not in f.scope and not fences(f, function, _FENCE_DEPTH):
            continue
        if function not in f.scope and step.part == "all":
            yield Fence()
            continue
        summary = summary_of(f, function, depth - 1)
        if step.part == "all":
            parts: tuple[Small, ...] = summary.before
            if summary.fenced:
                parts = (*summary.before, Fence(), *summary.after)
        else:
            parts = summary.enter if step.part == "enter" else summary.leave
        for part in parts:
            yield named_here(part, step) if isinstance(part, Access) else part


def fences(f: Flows, function: str, depth: int) -> bool:
    """Whether every call of a function that touches no shared memory itself orders accesses: a fence stands in it
    under no condition."""
    if depth <= 0:
        return False
    if (function, depth) not in f.fencing:
        body = f.b.k.links.ir(function).body
        f.fencing[function, depth] = any(
            _is_fence(f, step, depth) for step in sure_steps(f.b, function, body)
        )
    return f.fencing[function, depth]


def _is_fence(f: Flows, step: Step, depth: int) -> bool:
    if isinstance(step, Invoke):
        return any(fences(f, callee, depth - 1) for callee in step.functions[:1])
    return isinstance(step, Fence)


def named_here(access: Access, step: Invoke) -> Access:
    """A cell that the callee names by a parameter, named by the caller's argument."""
    for parameter, text in step.arguments:
        if access.cell == parameter:
            return replace(access, cell=text)
    return access


def summary_of(f: Flows, function: str, depth: int) -> Summary:
    """What a call of the function does."""
    key = (function, depth)
    if key not in f.summaries:
        f.summaries[key] = Summary() if depth <= 0 else _summary(f, function, depth)
    return f.summaries[key]


def _summary(f: Flows, function: str, depth: int) -> Summary:
    flow = flow_of(f, function, depth)
    if f.b.k.links.facts(function).is_generator:
        return Summary(enter=_until_yield(flow), leave=_behind_yield(flow))
    before: dict[Access, None] = {}
    for node, steps in zip(flow.cfg.nodes, flow.steps, strict=True):
        facts = set(flow.before[node.index])
        for step in steps:
            if isinstance(step, Access) and ENTERED in facts:
                before[step] = None
            advance(facts, step)
    ends = flow.before[flow.cfg.exit]
    reached = bool(ends)
    fenced = reached and ENTERED not in ends
    order = {step: None for steps in flow.steps for step in steps if isinstance(step, Access)}
    after = tuple(access for access in order if Fact(OPEN, access) in ends)
    return Summary(tuple(before)[:_MOST], fenced, after[:_MOST])


def _yield_nodes(flow: Flow) -> set[int]:
    return {node.index for node in flow.cfg.nodes if _yields(node)}


def _yields(node: CfgNode) -> bool:
    origin = node.origin
    if node.kind != "statement" or not isinstance(origin, ir.ExprStmt | ir.Assign) or origin.value is None:
        return False
    return any(isinstance(part, ir.Yield) for part in walk(origin.value))


def _until_yield(flow: Flow) -> tuple[Small, ...]:
    return _sequence(flow, _reachable(flow, [flow.cfg.entry], _yield_nodes(flow)))


def _behind_yield(flow: Flow) -> tuple[Small, ...]:
    starts = [
        edge.target
        for index in _yield_nodes(flow)
        for edge in flow.cfg.nodes[index].successors
        if edge.kind != "exception"
    ]
    return _sequence(flow, _reachable(flow, starts, set()))


def _reachable(flow: Flow, starts: Iterable[int], stop: set[int]) -> set[int]:
    seen: set[int] = set()
    stack = list(starts)
    while stack:
        index = stack.pop()
        if index in seen or index in stop:
            continue
        seen.add(index)
        stack += [edge.target for edge in flow.cfg.nodes[index].successors if edge.kind != "exception"]
    return seen


def _sequence(flow: Flow, nodes: set[int]) -> tuple[Small, ...]:
    return tuple(step for index in sorted(nodes) for step in flow.steps[index])[:_MOST]


def uses_of_yielded(f: Flows, function: str, depth: int = _DEPTH) -> tuple[str, ...]:
    """What the bodies of `with function() as buffer:` do with the buffer: "load", "store" or both."""
    if depth <= 0:
        return ()
    if (function, depth) not in f.handed:
        f.handed[function, depth] = tuple(sorted(set(_uses(f, function, depth))))
    return f.handed[function, depth]


def _uses(f: Flows, function: str, depth: int) -> Iterator[str]:
    views = yielded_views(f.b, function)
    for caller, call in calls_of(f.b, function):
        if not _is_entered(f.b.k.links.ir(caller), call):
            continue
        for step in _own_steps(f, caller):
            if isinstance(step, Access) and step.view in views:
                yield step.kind
            elif isinstance(step, Yielded) and step.views & views:
                yield from uses_of_yielded(f, caller, depth - 1)
            elif isinstance(step, Invoke) and step.part == "all":
                for callee in step.functions[:2]:
                    inner = _own_steps(f, callee) if callee in f.scope else ()
                    yield from (one.kind for one in inner if isinstance(one, Access) and one.view in views)


def _own_steps(f: Flows, function: str) -> Iterator[Step]:
    for node in graph_of(f.b.k, f.b.k.links.ir(function)).nodes:
        yield from steps_of(f.b, function, node)


def _is_entered(function: ir.Function, call: ir.Call) -> bool:
    return any(
        item.context is call and item.target is not None
        for statement in statements(function.body)
        if isinstance(statement, ir.With)
        for item in statement.items
    )

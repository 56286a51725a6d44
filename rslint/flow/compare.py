"""Where ranks may part: every fork and hazard of a function, compared arm by arm."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.answers import divergence_at
from rslint.flow.exception_classes import handler_catches, raised_class
from rslint.flow.forest import Operation, Site, children
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.rank_cases import by_rank
from rslint.flow.reasons import call_reasons, is_silent, strongest
from rslint.flow.record import Reason, Source, Step, place_of
from rslint.flow.sequences import Comparison, Sequences, Visible, everything
from rslint.flow.survival import Survival, caught_here, survival
from rslint.flow.suspects import Suspect
from rslint.flow.symmetry import own_group, own_turn
from rslint.flow.walked import Fork, Hazard, Walk
from rslint.models import axes_compatible
from rslint.project import ir
from rslint.project.text import blocks, render, statements, walk


def suspects_of(k: Knowledge, identity: str) -> tuple[Suspect, ...]:
    """All suspects of one function, in order of place."""
    found = [*_forks(k, identity), *_hazards(k, identity)]
    return tuple(sorted(found, key=lambda s: (s.site.row, s.site.column, s.kind)))


# Forks ---------------------------------------------------------------------------------------------------------------


def _forks(k: Knowledge, identity: str) -> Iterator[Suspect]:
    walk_ = k.walks[identity]
    done: set[int] = set()
    for fork in walk_.forks:
        if id(fork.test) in done or not (k.forest.operational(fork.true) or k.forest.operational(fork.false)):
            continue
        if k.comparison.equal(fork.true, fork.false):
            continue
        for source in _sources(k, identity, fork):
            suspect = _parting(k, identity, fork, source)
            if suspect is not None:
                done.add(id(fork.test))
                yield suspect
                break


def _sources(k: Knowledge, identity: str, fork: Fork) -> list[Source]:
    divergence = divergence_at(k, identity)
    tests = divergence.tests
    found: set[Source] = set()
    for node in (fork.statement, fork.test, *walk(fork.test)):
        if node is fork.statement and fork.kind not in ("for", "match"):
            continue
        found |= tests.get(id(node), frozenset())
    # Ranks that come here at all have already parted on what controls the statement: they agree on it.
    if fork.kind != "match":
        found -= divergence.controls.get(id(fork.statement), frozenset())
    return sorted(found, key=lambda s: (_PLAINEST.index(s.kind), s.hops, len(s.steps), place_of(s)))


_PLAINEST = (
    "rank", "container", "thread", "rpc", "host-allocation", "future", "event", "queue", "filesystem", "clock",
    "caught", "device-allocation", "rank-value",
)  # fmt: skip


def _parting(k: Knowledge, identity: str, fork: Fork, source: Source) -> Suspect | None:
    function = k.walks[identity].function
    if source.kind == "rank" and own_turn(function, fork.test):
        return None
    visible = _view(source)
    comparison = Comparison(k.forest, visible)
    true = k.forest.assume(fork.true, fork.key, True)
    false = k.forest.assume(fork.false, fork.key, False)
    for key, outcome in fork.context:
        true, false = k.forest.assume(true, key, outcome), k.forest.assume(false, key, outcome)
    if comparison.equal(true, false):
        return None
    whole = k.effects[identity]
    first, *rest = by_rank(k.forest, whole, fork.key)
    if all(comparison.equal(first, other) for other in rest):
        return None
    sequences = Sequences(k.forest, visible, k.loops)
    here, others = sequences.of(true, False), sequences.of(false, False)
    if not here and not others:
        here, others = sequences.of(true), sequences.of(false)
    if _same_protocol(here, others):
        return None
    if len(here) > len(others):
        here, others = others, here
    collective = _first_skipped(here, others)
    statement = fork.statement
    entries = (operation.entry for operation in (*here, *others))
    if collective is None or (source.kind == "rank" and own_group(k, function, statement, entries)):
        return None
    raising = _raised_exit(k, identity, statement)
    return Suspect(
        kind="exit" if _leaves(k.walks[identity], statement) else "branch",
        function=identity,
        site=site_of(identity, fork.test),
        statement=_header(identity, statement),
        text=render(fork.test),
        here=here,
        others=others,
        collective=collective,
        sources=(source,),
        survival=None if raising is None else survival(k, identity, raising),
    )


def _raised_exit(k: Knowledge, identity: str, statement: ir.Stmt) -> str | None:
    """The exception an arm of the statement ends with."""
    for body in blocks(statement):
        last = body[-1] if body else None
        if isinstance(last, ir.Raise):
            return "Exception" if last.exception is None else raised_class(k, identity, last.exception)
    return "AssertionError" if isinstance(statement, ir.Assert) else None


def _view(source: Source) -> Visible:
    if source.kind != "rank":
        return everything
    return lambda axis: axes_compatible(source.axis, axis)


def _first_skipped(here: tuple[Operation, ...], others: tuple[Operation, ...]) -> Operation | None:
    """The first operation that only the others run; one that is near and on every path rather than another."""
    left = [(o.name, o.axis) for o in here]
    skipped = []
    for operation in others:
        key = (operation.name, operation.axis)
        if key in left:
            left.remove(key)
        else:
            skipped.append(operation)
    if not skipped:
        # The same operations in another order: the first that meets another one.
        skipped = [o for o, p in zip(others, here, strict=False) if (o.name, o.axis) != (p.name, p.axis)]
    sure = [o for o in skipped if o.certain and o.hops <= 3]
    return (sure or skipped or (None,))[0]


def _same_protocol(here: tuple[Operation, ...], others: tuple[Operation, ...]) -> bool:
    """The same kinds of operations on both sides: a sender's loop and a receiver's loop. Straight sequences of
    different lengths, or in another order, are none."""
    mine, theirs = ([(o.name, o.axis) for o in operations] for operations in (here, others))
    if not here or set(mine) != set(theirs):
        return False
    return mine == theirs or not all(o.certain for o in (*here, *others))


def _leaves(walked: Walk, statement: ir.Stmt) -> bool:
    """Whether an arm without a collective ends with a jump out of the statement."""
    for body in blocks(statement):
        last = body[-1] if body else None
        jumps = isinstance(last, ir.Return | ir.Raise) or (isinstance(last, ir.Jump) and last.kind != "pass")
        if jumps and not any(walked.effective(inner) for inner in body):
            return True
    return isinstance(statement, ir.Assert)


def _header(identity: str, statement: ir.Stmt) -> Site:
    """The rows of a statement on which a comment belongs to it: for a compound one only those of its header."""
    s = statement.span
    inner = [body[0].span.row for body in blocks(statement) if body]
    last = max(s.row, min(inner) - 1) if inner else s.end_row
    return Site(identity, s.row, s.column, min(last, s.end_row), s.end_column)


# Hazards -------------------------------------------------------------------------------------------------------------


def _hazards(k: Knowledge, identity: str) -> Iterator[Suspect]:
    walk_ = k.walks[identity]
    comparison, sequences = k.comparison, k.sequences
    roots: dict[
        tuple[str, Site], list[tuple[Hazard, Reason, tuple[Operation, ...], tuple[Operation, ...]]]
    ] = {}
    for hazard in walk_.hazards:
        if _unaffected(k, comparison, hazard):
            continue
        for reason in _reasons(k, identity, hazard):
            raised = hazard.raised(reason.exceptions[0])
            if comparison.equal(raised, hazard.normal):
                continue
            here, others = sequences.of(raised), sequences.of(hazard.normal)
            added = _added(hazard, here, others)
            kind = "handler" if added else "exception"
            collective = added[0] if added else _first_skipped(here, others)
            if collective is not None:
                roots.setdefault((kind, collective.site), []).append((hazard, reason, here, others))
    for (kind, _), items in sorted(roots.items(), key=lambda item: (item[0][1], item[0][0])):
        yield _raising(k, identity, kind, items)


_BROAD = ("ConnectionError", "OSError", "TimeoutError", "RuntimeError")


def _unaffected(k: Knowledge, comparison: Comparison, hazard: Hazard) -> bool:
    """Whether what follows is the same whatever the call raises."""
    return all(comparison.equal(hazard.raised(name), hazard.normal) for name in ("Exception", *_BROAD))


def _added(hazard: Hazard, here: tuple[Operation, ...], others: tuple[Operation, ...]) -> list[Operation]:
    """Operations in a handler around the call that the other ranks do not run, or run less often."""
    left = [(o.name, o.axis) for o in others]
    handled = [o for o in here if _in_handler(hazard, o.entry)]
    for operation in here:
        key = (operation.name, operation.axis)
        if operation not in handled and key in left:
            left.remove(key)
    found = []
    for operation in handled:
        key = (operation.name, operation.axis)
        if key in left:
            left.remove(key)
        else:
            found.append(operation)
    return found


def _in_handler(hazard: Hazard, site: Site) -> bool:
    return any(
        handler.span.row <= site.row <= handler.span.end_row
        for outer in hazard.handlers
        for handler in outer.handlers
    )


def _reasons(k: Knowledge, identity: str, hazard: Hazard) -> tuple[Reason, ...]:
    site = site_of(identity, hazard.expression)
    if isinstance(hazard.expression, ir.Yield):
        steps = (Step("the body of the with statement raises here", site),)
        return (Reason("body", 2, ("Exception",), "the body of the with statement", steps, "code"),)
    if not isinstance(hazard.expression, ir.Call):
        return ()
    function = k.walks[identity].function
    found = call_reasons(k, function, hazard.expression)
    if any(reason.strength <= 2 for reason in found):
        return found
    text = render(hazard.expression.func)
    if not is_silent(k, identity, hazard.expression):
        if _expected(k, identity, hazard):
            steps = (
                Step(f"the author expects {text} to raise: a handler leaves before the collective", site),
            )
            found = strongest([*found, Reason("expected", 3, ("Exception",), text, steps, "code")])
        if leader_only(k, identity, hazard.statement):
            steps = (Step(f"only some ranks call {text}", site),)
            found = strongest([*found, Reason("leader", 4, ("Exception",), text, steps, "code")])
    return found


def leader_only(k: Knowledge, identity: str, statement: ir.Stmt) -> bool:
    """Whether a rank test decides who executes the statement."""
    return any(s.kind == "rank" for s in divergence_at(k, identity).controls.get(id(statement), ()))


def _expected(k: Knowledge, identity: str, hazard: Hazard) -> bool:
    """A handler around the call that catches input/output errors and leaves: re-raises or returns."""
    for outer in hazard.handlers[:1]:
        for handler in outer.handlers:
            if all(handler_catches(k, identity, handler.types, name) != "yes" for name in _BROAD):
                continue
            last = handler.body[-1] if handler.body else None
            return isinstance(last, ir.Raise | ir.Return) or any(
                isinstance(s, ir.Raise) for s in statements(handler.body)
            )
    return False


def _raising(
    k: Knowledge,
    identity: str,
    kind: str,
    items: list[tuple[Hazard, Reason, tuple[Operation, ...], tuple[Operation, ...]]],
) -> Suspect:
    def order(
        item: tuple[Hazard, Reason, tuple[Operation, ...], tuple[Operation, ...]],
    ) -> tuple[int, int, int, int]:
        hazard, reason, _, _ = item
        span = hazard.expression.span
        return (reason.strength, len(reason.steps), span.row, span.column)

    items = sorted(items, key=order)
    hazard, reason, here, others = items[0]
    exception = reason.exceptions[0]
    raised = hazard.raised(exception)
    added = _added(hazard, here, others)
    collective = added[0] if kind == "handler" and added else _first_skipped(here, others)
    reasons: dict[Site, tuple[Reason, Site]] = {}
    for other, why, _, _ in items:
        place = site_of(identity, other.expression)
        reasons.setdefault(place, (why, place))
    return Suspect(
        kind=kind,
        function=identity,
        site=site_of(identity, hazard.expression),
        statement=_header(identity, hazard.statement),
        text=render(hazard.expression.func) if isinstance(hazard.expression, ir.Call) else "yield",
        here=here,
        others=others,
        collective=collective,
        reasons=tuple(reasons.values()),
        survival=_survival(k, site_of(identity, hazard.expression), raised, exception),
        expected=_expected(k, identity, hazard),
        leader_only=leader_only(k, identity, hazard.statement),
    )


def _survival(k: Knowledge, site: Site, raised: int, exception: str) -> Survival:
    if "raise" not in leaves(k, raised):
        return caught_here(k, site, exception)
    return survival(k, site.function, exception)


def leaves(k: Knowledge, tree: int) -> set[str]:
    """The kinds of ends that a tree may come to in its own function."""
    found: set[str] = set()
    stack, seen = [tree], {tree}
    while stack:
        node = k.forest.node(stack.pop())
        following = children(node)
        if not following:
            found.add(str(node[0]))
        for child in following:
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return found

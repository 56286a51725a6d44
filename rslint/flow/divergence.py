"""Which values of one function may differ between ranks, and why: a forward analysis over its control flow graph.

A fact is a name, a source and perhaps a choice. Assignments pass on the sources of their value; an assignment that
only some ranks execute adds the sources of the branches that control it, each with the choice (branch, edge) that led
there: where the same choice has been taken the ranks agree on the value, elsewhere it may differ (the φ of SSA form). A
collective that leaves the same value
everywhere removes them. Sources are evidence: a call that is known to answer per rank, a rank test, a container that
is shown to be filled on some ranks only. Without evidence a value is uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from rslint.flow.cfg import Cfg, CfgNode, Edge
from rslint.flow.dominance import controlling, raising_only
from rslint.flow.forest import Site
from rslint.flow.record import Evidence, Source, Step
from rslint.flow.slicing import names_in
from rslint.flow.solver import solve
from rslint.project import ir
from rslint.project.text import blocks, children, dotted, expressions, last_name, render, statements, walk

Choice = tuple[int, str]
Marked = frozenset[tuple[Source, Choice | None]]
Fact = tuple[str, Source, Choice | None]
State = frozenset[Fact]
Sources = frozenset[Source]
NONE: Sources = frozenset()

_PASSING = frozenset({
    "len", "bool", "any", "all", "min", "max", "sum", "sorted", "list", "set", "tuple", "dict", "int", "float", "str",
    "abs", "next", "iter", "enumerate", "zip", "range", "reversed", "frozenset", "round", "copy", "deepcopy",
})  # fmt: skip
_MUTATING = frozenset({
    "append", "appendleft", "add", "insert", "extend", "update", "setdefault", "pop", "popleft", "popitem", "remove",
    "discard", "clear", "put", "put_nowait",
})  # fmt: skip
EVIDENCE = frozenset({
    "filesystem", "clock", "future", "event", "queue", "rpc", "host-allocation", "caught", "container", "thread",
})  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """What the analysis of one function asks about calls and names of others."""

    call: Callable[[ir.Call], Sources | None]  # None: unknown, look at its arguments
    attribute: Callable[[ir.Attribute], Sources]
    name: Callable[[str, ir.Name], Sources]
    agreed: Callable[
        [ir.Call], tuple[ir.Expr, ...] | None
    ]  # arguments uniform after the call; None: not agreeing
    caught: Callable[[ir.Try, ir.Handler], Source | None]
    size_name: Callable[[str], bool]
    is_size: Callable[[ir.Expr], bool]  # the number of all ranks
    several: Callable[
        [ir.Expr], bool | None
    ]  # the outcome of a test that only asks whether there are several ranks


@dataclass(frozen=True)
class FunctionDivergence:
    """The result: sources of tests (by `id` of the expression), of statements that only some ranks execute (by `id`
    of the statement), of the value returned, and the evidence for attributes and globals that the function changes."""

    tests: dict[int, Sources]
    controls: dict[int, Sources]
    returns: Sources
    evidence: tuple[Evidence, ...]


def function_divergence(
    function: ir.Function,
    cfg: Cfg,
    answers: Answers,
    wanted: frozenset[str] | None = None,
    returns: bool = True,
) -> FunctionDivergence:
    """Solve until the sources of branches no longer change (at most four rounds; sources only grow). With `wanted`,
    only these names are followed, only tests that read them are answered, and evidence is not; without `returns` the
    value returned is not either."""
    control = _choices(cfg, _alike(function))
    agreed = _agreed_names(function, answers)
    handlers = _handler_sources(function, answers)
    branches: dict[int, Sources] = {}
    before: tuple[State, ...] = ()

    def possible(node: CfgNode, edge: Edge, state: State) -> State:
        """A single rank has nobody to part from: what it alone does is not followed."""
        known = None if node.kind != "branch" else several.get(node.index)
        return frozenset() if known is not None and edge.kind == ("false" if known else "true") else state

    several = {
        node.index: answers.several(node.origin)
        for node in cfg.nodes
        if node.kind == "branch" and isinstance(node.origin, ir.Expr)
    }
    for _ in range(4):
        reader = _Reader(function, answers, control, branches, handlers, wanted, agreed)
        before = solve(
            cfg,
            forward=True,
            must=False,
            boundary=frozenset(),
            transfer=reader.transfer,
            edge_transfer=possible,
        ).before
        found = {
            node.index: reader.tests(node.origin, reader.seen_from(node, before[node.index]))
            for node in cfg.nodes
            if node.kind in ("branch", "loop", "case") and node.origin is not None
        }
        if found == branches:
            break
        branches = found
    reader = _Reader(function, answers, control, branches, handlers, wanted, agreed)
    return _collect(cfg, before, reader, returns)


def _choices(cfg: Cfg, alike: dict[int, frozenset[int]]) -> tuple[frozenset[Choice], ...]:
    """For each node the choices that lead there. Where the other way only raises there is none to speak of: who took
    it is gone. Neither is there for a value that both ways assign."""
    raising = raising_only(cfg)

    def real(node: CfgNode, choice: Choice) -> bool:
        branch = cfg.nodes[choice[0]]
        ways = [e.target for e in branch.successors if e.kind not in ("exception", choice[1])]
        leads_on = not ways or any(way not in raising for way in ways)
        return leads_on and id(branch.origin) not in alike.get(id(node.origin), ())

    return tuple(
        frozenset(choice for choice in choices if real(node, choice))
        for node, choices in zip(cfg.nodes, controlling(cfg, exceptional=False), strict=True)
    )


def _alike(function: ir.Function) -> dict[int, frozenset[int]]:
    """Assignments of one and the same expression to one name in both arms of a branch, each with the parts of the
    branch's test; all by `id`."""
    found: dict[int, frozenset[int]] = {}
    for statement in statements(function.body):
        if isinstance(statement, ir.If) and statement.orelse:
            arms = [_assignments(statement.body), _assignments(statement.orelse)]
            test = frozenset(id(part) for part in walk(statement.test))
            for key in arms[0].keys() & arms[1].keys():
                found |= {arms[0][key]: test, arms[1][key]: test}
    return found


def _assignments(body: tuple[ir.Stmt, ...]) -> dict[tuple[str, str], int]:
    """Assignments that every execution of a body makes, by target and value."""
    found: dict[tuple[str, str], int] = {}
    for statement in body:
        if isinstance(statement, ir.With):
            found |= _assignments(statement.body)
        elif isinstance(statement, ir.Assign) and len(statement.targets) == 1 and statement.operator is None:
            found[render(statement.targets[0]), render(statement.value)] = id(statement)
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads expressions and statements in a state; holds what one round knows."""

    function: ir.Function
    answers: Answers
    control: tuple[frozenset[tuple[int, str]], ...]
    branches: dict[int, Sources]
    handlers: dict[int, Source]
    wanted: frozenset[str] | None
    agreed: frozenset[str]

    def follows(self, targets: Iterable[ir.Expr]) -> bool:
        return self.wanted is None or not self.wanted.isdisjoint(names_in(targets))

    def controls(self, node: CfgNode) -> Sources:
        found: set[Source] = set()
        for branch, _ in self.control[node.index]:
            found |= self.branches.get(branch, NONE)
        handler = self.handlers.get(id(node.origin))
        if handler is not None:
            found.add(handler)
        return frozenset(found)

    def marked_controls(self, node: CfgNode) -> Marked:
        """The sources of the branches that decide whether a node is executed, each with its choice."""
        found: set[tuple[Source, Choice | None]] = set()
        for choice in self.control[node.index]:
            found |= {(source, choice) for source in self.branches.get(choice[0], NONE)}
        handler = self.handlers.get(id(node.origin))
        if handler is not None:
            found.add((handler, None))
        return frozenset(found)

    def seen_from(self, node: CfgNode, state: State) -> State:
        """The facts that matter to the ranks that come here: they have made the same choices."""
        taken = self.control[node.index]
        return frozenset(fact for fact in state if fact[2] is None or fact[2] not in taken)

    def tests(self, origin: ir.Node, state: State) -> Sources:
        """The sources of a condition: here the rank itself counts too."""
        expression = origin.iterable if isinstance(origin, ir.For) else origin
        if isinstance(expression, ir.Match):
            expression = expression.subject
        if isinstance(expression, ir.While | ir.If):
            expression = expression.test
        if not self.follows((expression,)):  # type: ignore[arg-type]
            return NONE
        found = frozenset(_tested(s) for s in self.values(expression, state))  # type: ignore[arg-type]
        if isinstance(origin, ir.Name | ir.Attribute):
            found = frozenset(s for s in found if s.part != "elements")  # only whether there are any
        return found

    def values(self, e: ir.Expr, state: State) -> Sources:
        match e:
            case ir.Name():
                held = frozenset(source for name, source, _ in state if name == e.id)
                return held or self.answers.name(e.id, e)
            case ir.Attribute():
                return self._attribute(e, state)
            case ir.Call():
                return self._call(e, state)
            case ir.Compare():
                return self._compare(e, state)
            case ir.BoolOp():
                return self._union(e.values, state)
            case ir.UnaryOp():
                return self.values(e.operand, state)
            case ir.IfExp():
                choice = (
                    NONE
                    if render(e.body) == render(e.orelse)
                    else frozenset(_tested(s) for s in self.values(e.test, state))
                )
                return self._union((e.body, e.orelse), state) | choice
            case ir.BinOp():
                both = self._union((e.left, e.right), state)
                return both if e.operator == "%" else _without_rank_values(both)
            case ir.Subscript():
                return _without_rank_values(self.values(e.value, state))
            case ir.Collection() | ir.Starred() | ir.Await() | ir.NamedExpr():
                return _without_rank_values(self._union(children(e), state))
            case ir.Comprehension():
                clauses = [part for g in e.generators for part in (g.iterable, *g.conditions)]
                return _without_rank_values(self._union(clauses, state))
            case _:
                return NONE

    def _union(self, parts: Iterable[ir.Expr], state: State) -> Sources:
        found: set[Source] = set()
        for part in parts:
            found |= self.values(part, state)
        return frozenset(found)

    def _compare(self, e: ir.Compare, state: State) -> Sources:
        found = self._union((e.left, *e.comparators), state)
        if self._checks_range(e, found):
            return frozenset(s for s in found if s.kind not in ("rank", "rank-value"))
        if all(operator in ("is", "is not") for operator in e.operators):
            # What is put into an object leaves it the same object.
            direct = isinstance(e.left, ir.Name | ir.Attribute)
            found = frozenset(s for s in found if not (direct and s.part))
        if any(operator in ("in", "not in") for operator in e.operators):
            # A group's members agree on who is in it.
            return frozenset(s for s in found if s.kind not in ("rank-value", "rank"))
        return frozenset(_tested(s) for s in found)

    def _checks_range(self, e: ir.Compare, found: Sources) -> bool:
        """`0 <= rank < world_size` is true of every rank there is, and -1 is the rank of a run without others."""
        if not any(s.kind == "rank-value" for s in found):
            return False
        operands = (e.left, *e.comparators)
        pairs = zip(operands, e.operators, operands[1:], strict=False)
        return all(self._in_range(left, operator, right) for left, operator, right in pairs)

    def _in_range(self, left: ir.Expr, operator: str, right: ir.Expr) -> bool:
        if self.answers.is_size(right) or self.answers.is_size(left):
            return operator in ("<", "<=", ">", ">=")
        if isinstance(left, ir.Constant) and left.value == 0:
            return operator in ("<=", ">")
        if _is_minus_one(right):
            return operator in ("==", "!=", ">", "<=")
        return isinstance(right, ir.Constant) and right.value == 0 and operator in (">=", "<")

    def _attribute(self, e: ir.Attribute, state: State) -> Sources:
        name = dotted(e)
        held = frozenset(source for known, source, _ in state if known == name)
        if held:
            return held
        known = self.answers.attribute(e)
        if known:
            return known
        base = (
            self.values(e.value, state) if not isinstance(e.value, ir.Name) or e.value.id != "self" else NONE
        )
        return frozenset(s for s in base if s.kind in EVIDENCE)

    def _call(self, e: ir.Call, state: State) -> Sources:
        if self.answers.agreed(e) is not None:
            return NONE
        known = self.answers.call(e)
        if known is not None:
            return known
        name = last_name(e.func)
        if isinstance(e.func, ir.Name):
            if name in _PASSING:
                passed = self._union((*e.args, *(k.value for k in e.keywords)), state)
                if name in ("len", "bool"):
                    passed = frozenset(s for s in passed if s.part != "elements")
                return _without_rank_values(passed)
            return NONE
        if isinstance(e.func, ir.Attribute):
            base = self.values(e.func.value, state)
            return frozenset(s for s in base if s.kind in EVIDENCE)
        return NONE

    def transfer(self, node: CfgNode, state: State) -> State:
        origin = node.origin
        if origin is None:
            return state
        parts: tuple[ir.Expr, ...] = ()
        if isinstance(origin, ir.Stmt) and node.kind in ("statement", "with"):
            parts = expressions(origin)
        elif node.kind in ("branch", "iterate", "expression") and not isinstance(origin, ir.Stmt):
            parts = (origin,)  # type: ignore[assignment]
        if isinstance(origin, ir.Assign) and node.kind == "statement":
            state = self._assign(node, origin, state)
        elif isinstance(origin, ir.For) and node.kind == "loop" and self.follows((origin.target,)):
            items = self.values(origin.iterable, self.seen_from(node, state))
            state = _bind(state, origin.target, _plain(_without_rank_values(items)))
        elif node.kind == "with" and isinstance(node.clause, ir.WithItem):
            if node.clause.target is not None and self.follows((node.clause.target,)):
                entered = self.values(node.clause.context, self.seen_from(node, state))
                state = _bind(state, node.clause.target, _plain(s for s in entered if s.kind in EVIDENCE))
        elif isinstance(origin, ir.ExprStmt):
            state = self._mutate(node, origin.value, state)
        for part in parts:
            for call in walk(part):
                if isinstance(call, ir.Call):
                    state = self._agree(call, state)
        return state

    def _agree(self, call: ir.Call, state: State) -> State:
        agreed = self.answers.agreed(call)
        for argument in agreed or ():
            items = argument.items if isinstance(argument, ir.Collection) else (argument,)
            for item in items:
                name = dotted(item.value if isinstance(item, ir.Subscript | ir.Starred) else item)
                if name is not None:
                    state = frozenset(fact for fact in state if fact[0] != name)
        return state

    def _mutate(self, node: CfgNode, e: ir.Expr, state: State) -> State:
        if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr in _MUTATING:
            name = dotted(e.func.value)
            if name is not None and "." not in name:
                return state | {(name, source, choice) for source, choice in self.marked_controls(node)}
        return state

    def _assign(self, node: CfgNode, s: ir.Assign, state: State) -> State:
        if s.value is None or not self.follows(s.targets):
            return state
        seen = self.seen_from(node, state)
        values = NONE if self._agrees_with_others(s) else self.values(s.value, seen)
        # A value that is uniform stays uniform when only some ranks copy it: the branch chose between equals.
        plain = isinstance(s.value, ir.Name | ir.Attribute) and not values
        # What is taken out of a received object is what the sender holds, which sent it on another branch.
        plain = plain or (not values and _taken_from(s.value, self.agreed))
        chosen: Marked = frozenset() if plain else self.marked_controls(node)
        for target in s.targets:
            if isinstance(target, ir.Collection) and isinstance(s.value, ir.Collection):
                pairs = zip(target.items, s.value.items, strict=False)
                for item, value in pairs:
                    state = self._store(state, item, self.values(value, seen), chosen)
            else:
                kept = NONE
                if s.operator is not None:
                    kept = self.values(target, seen)
                state = self._store(state, target, values | kept, chosen)
        return state

    def _agrees_with_others(self, s: ir.Assign) -> bool:
        """`failed = failed or any(flags)` after each rank contributed its `failed` to `flags`: agreed."""
        if isinstance(s.value, ir.BoolOp):
            parts: tuple[ir.Expr, ...] = s.value.values
        elif isinstance(s.value, ir.BinOp) and s.value.operator in ("|", "&"):
            parts = (s.value.left, s.value.right)
        else:
            return False
        targets = names_in(s.targets)
        own = any(not targets.isdisjoint(names_in((part,))) for part in parts)
        return own and any(not self.agreed.isdisjoint(names_in((part,))) for part in parts)

    def _store(self, state: State, target: ir.Expr, sources: Sources, chosen: Marked) -> State:
        name = last_name(target)
        if name is not None and self.answers.size_name(name):
            sources = frozenset(s for s in sources if s.kind not in ("rank", "rank-value"))
            chosen = frozenset(mark for mark in chosen if mark[0].kind != "rank")
        return _bind(state, target, _plain(sources) | chosen)


def _taken_from(e: ir.Expr, holders: frozenset[str]) -> bool:
    """Whether a value is taken out of one of these objects: `received[0]`, `received.pop()`, `bool(received.x)`."""
    while dotted(e) not in holders:
        if isinstance(e, ir.Subscript | ir.Attribute):
            e = e.value
        elif isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute):
            e = e.func.value
        elif isinstance(e, ir.Call) and last_name(e.func) in _PASSING and len(e.args) == 1:
            e = e.args[0]
        else:
            return False
    return True


def _is_minus_one(e: ir.Expr) -> bool:
    if isinstance(e, ir.UnaryOp) and e.operator == "-":
        return isinstance(e.operand, ir.Constant) and e.operand.value == 1
    return isinstance(e, ir.Constant) and e.value == -1


def _plain(sources: Iterable[Source]) -> Marked:
    return frozenset((source, None) for source in sources)


def _bind(state: State, target: ir.Expr, sources: Marked) -> State:
    if isinstance(target, ir.Collection):
        for item in target.items:
            state = _bind(state, item, frozenset(mark for mark in sources if mark[0].kind in EVIDENCE))
        return state
    if isinstance(target, ir.Starred):
        return _bind(state, target.value, sources)
    if isinstance(target, ir.Subscript):
        name = dotted(target.value)
        return state | {(name, source, choice) for source, choice in sources} if name else state
    name = dotted(target)
    if name is None:
        return state
    return frozenset(fact for fact in state if fact[0] != name) | {(name, *mark) for mark in sources}


def _agreed_names(function: ir.Function, answers: Answers) -> frozenset[str]:
    """Names that some collective of the function makes equal everywhere."""
    found: set[str] = set()
    for statement in statements(function.body):
        for part in expressions(statement):
            for call in walk(part):
                if isinstance(call, ir.Call):
                    found |= names_in(answers.agreed(call) or ())
    return frozenset(found)


def _tested(source: Source) -> Source:
    if source.kind != "rank-value":
        return source
    return msgspec.structs.replace(source, kind="rank")


def _without_rank_values(sources: Sources) -> Sources:
    return frozenset(source for source in sources if source.kind != "rank-value")


def _handler_sources(function: ir.Function, answers: Answers) -> dict[int, Source]:
    """For every statement inside a handler: the exception that brought this rank there, where that is evidence."""
    found: dict[int, Source] = {}
    bodies = [function.body]
    while bodies:
        body = bodies.pop()
        for position, statement in enumerate(body):
            bodies.extend(blocks(statement))
            if isinstance(statement, ir.Try):
                for handler in statement.handlers:
                    source = answers.caught(statement, handler)
                    if source is not None:
                        # Where the handler leaves, what follows is reached only without the exception.
                        leaves = isinstance(handler.body[-1], ir.Return | ir.Jump) if handler.body else False
                        following = (*statement.orelse, *body[position + 1 :]) if leaves else ()
                        for inner in statements((*handler.body, *following)):
                            found.setdefault(id(inner), source)
    return found


def _collect(cfg: Cfg, before: tuple[State, ...], reader: _Reader, with_returns: bool) -> FunctionDivergence:
    tests: dict[int, set[Source]] = {}
    controls: dict[int, set[Source]] = {}
    returns: set[Source] = set()
    evidence: dict[Evidence, None] = {}
    for node in cfg.nodes:
        if node.origin is None:
            continue
        state, control = reader.seen_from(node, before[node.index]), reader.controls(node)
        if node.kind in ("branch", "loop", "case"):
            tests.setdefault(id(node.origin), set()).update(reader.tests(node.origin, state))
        controls.setdefault(id(node.origin), set()).update(control)
        if isinstance(node.origin, ir.Return) and with_returns:
            returns |= _returned(reader, node.origin, state, control)
        if reader.wanted is not None:
            continue
        for item in _changes(reader, node, state, control):
            evidence.setdefault(item)
    return FunctionDivergence(
        {key: frozenset(value) for key, value in tests.items()},
        {key: frozenset(value) for key, value in controls.items()},
        frozenset(returns),
        tuple(
            sorted(evidence, key=lambda item: (item.site.row, item.site.column, item.name, item.source.text))
        ),
    )


def _returned(reader: _Reader, s: ir.Return, state: State, control: Sources) -> Sources:
    if s.value is None:
        return NONE
    values = reader.values(s.value, state)
    simple = isinstance(s.value, ir.Constant | ir.Compare | ir.BoolOp | ir.UnaryOp)
    if simple:
        return frozenset(_tested(source) for source in values) | control
    # An object built where the rank is known is not a predicate of the rank.
    return frozenset(s for s in values if s.kind != "rank") | frozenset(
        s for s in control if s.kind in EVIDENCE
    )


Change = tuple[ir.Expr, str, Sources]
"""What is changed, which part of it (`Source.part`), and the sources of what is put there."""


def _changes(reader: _Reader, node: CfgNode, state: State, control: Sources) -> Iterable[Evidence]:
    """Attributes and globals that this statement changes on some ranks only."""
    origin = node.origin
    if not isinstance(origin, ir.Stmt) or node.kind != "statement":
        return
    changed = [*_assigned(reader, origin, state), *_mutated(reader, origin, state)]
    s = origin.span
    site = Site(reader.function.identity, s.row, s.column, s.end_row, s.end_column)
    for target, part, values in changed:
        name = dotted(target)
        if name is None or not (name.startswith("self.") or "." not in name):
            continue
        for source in sorted(values | control, key=_strongest_first):
            if source in control and source.kind in EVIDENCE:
                yield Evidence(name, source, site, part)
            elif source in values:
                yield Evidence(name, source, site, part and "elements")


def _assigned(reader: _Reader, origin: ir.Stmt, state: State) -> Iterable[Change]:
    if isinstance(origin, ir.Delete):
        for target in origin.targets:
            if isinstance(target, ir.Subscript):
                yield target.value, "members", NONE
    elif isinstance(origin, ir.Assign) and origin.value is not None:
        kinds = ir.Compare | ir.BoolOp | ir.UnaryOp | ir.Name | ir.Attribute | ir.Call
        values = frozenset(
            s
            for s in reader.values(origin.value, state)
            if s.kind in EVIDENCE or (s.kind == "rank" and isinstance(origin.value, kinds))
        )
        for target in origin.targets:
            if isinstance(target, ir.Subscript):
                yield target.value, "members", NONE
            else:
                yield target, "", values


def _mutated(reader: _Reader, origin: ir.Stmt, state: State) -> Iterable[Change]:
    if isinstance(origin, ir.Delete):
        return
    for part in expressions(origin):
        for call in walk(part):
            if (
                isinstance(call, ir.Call)
                and isinstance(call.func, ir.Attribute)
                and call.func.attr in _MUTATING
            ):
                given = (*call.args, *(keyword.value for keyword in call.keywords))
                held = frozenset(s for e in given for s in reader.values(e, state) if s.kind in EVIDENCE)
                yield call.func.value, "members", held


def _strongest_first(source: Source) -> tuple[int, int, str, int, int]:
    return (source.hops, len(source.steps), source.kind, source.site.row, source.site.column)


def as_container(evidence: Evidence, attribute: str) -> Source:
    """The evidence of a change as the source that a test of the attribute has."""
    source = evidence.source
    if source.kind == "rank":
        return source
    step = Step(f"`{attribute}` is changed only where {source.text} allows it", evidence.site)
    return Source(
        kind="container",
        axis="world",
        text=attribute,
        site=source.site,
        hops=source.hops,
        origin=source.origin or source.kind,
        steps=(step, *source.steps)[:3],
        part=evidence.part,
    )

"""Reads expressions and statements of one function in a state: which sources a value has, which facts it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rslint.flow.cfg import CfgNode
from rslint.flow.marks import (
    EVIDENCE,
    NONE,
    Choice,
    Marked,
    Sources,
    State,
    bind,
    plain,
    tested,
    without_rank_values,
)
from rslint.flow.range_checks import is_range_check
from rslint.flow.record import Source
from rslint.flow.slicing import names_in
from rslint.project import ir
from rslint.project.text import children, dotted, last_name, render

_PASSING = frozenset({
    "len", "bool", "any", "all", "min", "max", "sum", "sorted", "list", "set", "tuple", "dict", "int", "float", "str",
    "abs", "next", "iter", "enumerate", "zip", "range", "reversed", "frozenset", "round", "copy", "deepcopy",
})  # fmt: skip

MUTATING = frozenset({
    "append", "appendleft", "add", "insert", "extend", "update", "setdefault", "pop", "popleft", "popitem", "remove",
    "discard", "clear", "put", "put_nowait",
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

    def sources(self, e: ir.Call | ir.Attribute | ir.Name) -> Sources | None:
        """What is known of one part of an expression, whatever flows into it."""
        if isinstance(e, ir.Call):
            return self.call(e)
        return self.attribute(e) if isinstance(e, ir.Attribute) else self.name(e.id, e)


@dataclass(frozen=True)
class Reader:
    """Reads expressions and statements in a state; holds what one round knows."""

    function: ir.Function
    answers: Answers
    control: tuple[frozenset[tuple[int, str]], ...]
    branches: dict[int, Sources]
    handlers: dict[int, Source]
    wanted: frozenset[str] | None
    agreed: frozenset[str]
    agreements: dict[int, tuple[str, ...]]
    indifferent: dict[int, frozenset[int]]
    followed: dict[int, bool] = field(default_factory=dict)

    def follows(self, e: ir.Expr) -> bool:
        if self.wanted is None:
            return True
        known = self.followed.get(id(e))
        if known is None:
            known = self.followed[id(e)] = not self.wanted.isdisjoint(names_in((e,)))
        return known

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
        told = self.indifferent.get(id(node.origin), frozenset())
        for choice in (c for c in self.control[node.index] if c[0] not in told):
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
        if not self.follows(expression):  # type: ignore[arg-type]
            return NONE
        found = frozenset(tested(s) for s in self.values(expression, state))  # type: ignore[arg-type]
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
                    else frozenset(tested(s) for s in self.values(e.test, state))
                )
                return self._union((e.body, e.orelse), state) | choice
            case ir.BinOp():
                both = self._union((e.left, e.right), state)
                return both if e.operator == "%" else without_rank_values(both)
            case ir.Subscript():
                return without_rank_values(self.values(e.value, state))
            case ir.NamedExpr():
                return self.values(e.value, state)
            case ir.Collection() | ir.Starred() | ir.Await():
                return without_rank_values(self._union(children(e), state))
            case ir.Comprehension():
                clauses = [part for g in e.generators for part in (g.iterable, *g.conditions)]
                return without_rank_values(self._union(clauses, state))
            case _:
                return NONE

    def _union(self, parts: Iterable[ir.Expr], state: State) -> Sources:
        found: set[Source] = set()
        for part in parts:
            found |= self.values(part, state)
        return frozenset(found)

    def _compare(self, e: ir.Compare, state: State) -> Sources:
        found = self._union((e.left, *e.comparators), state)
        alike = self.answers.several(e) is not None or is_range_check(e, self.answers.is_size)
        if alike and any(s.kind == "rank-value" for s in found):
            return frozenset(s for s in found if s.kind not in ("rank", "rank-value"))
        if all(operator in ("is", "is not") for operator in e.operators):
            # What is put into an object leaves it the same object.
            direct = isinstance(e.left, ir.Name | ir.Attribute)
            found = frozenset(s for s in found if not (direct and s.part))
        if any(operator in ("in", "not in") for operator in e.operators):
            # A group's members agree on who is in it.
            return frozenset(s for s in found if s.kind not in ("rank-value", "rank"))
        return frozenset(tested(s) for s in found)

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
                return without_rank_values(passed)
            return NONE
        if isinstance(e.func, ir.Attribute):
            base = self.values(e.func.value, state)
            return frozenset(s for s in base if s.kind in EVIDENCE)
        return NONE

    def transfer(self, node: CfgNode, state: State) -> State:
        origin = node.origin
        if origin is None:
            return state
        if isinstance(origin, ir.Assign) and node.kind == "statement":
            state = self._assign(node, origin, state)
        elif isinstance(origin, ir.For) and node.kind == "loop" and self.follows(origin.target):
            items = self.values(origin.iterable, self.seen_from(node, state))
            state = bind(state, origin.target, plain(without_rank_values(items)))
        elif node.kind == "with" and isinstance(node.clause, ir.WithItem):
            if node.clause.target is not None and self.follows(node.clause.target):
                entered = self.values(node.clause.context, self.seen_from(node, state))
                state = bind(state, node.clause.target, plain(s for s in entered if s.kind in EVIDENCE))
        elif isinstance(origin, ir.ExprStmt):
            state = self._mutate(node, origin.value, state)
        agreed = self.agreements.get(node.index)
        return frozenset(fact for fact in state if fact[0] not in agreed) if agreed and state else state

    def _mutate(self, node: CfgNode, e: ir.Expr, state: State) -> State:
        if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr in MUTATING:
            name = dotted(e.func.value)
            if name is not None and "." not in name:
                return state | {(name, source, choice) for source, choice in self.marked_controls(node)}
        return state

    def _assign(self, node: CfgNode, s: ir.Assign, state: State) -> State:
        if s.value is None or not any(map(self.follows, s.targets)):
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
        return bind(state, target, plain(sources) | chosen)


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

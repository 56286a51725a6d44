"""What a function does to segments that others open, as an effect tree: published, agreed, unlinked.

The trees are those of the collective effects (`rslint.flow.effects`, one walk over a function), with other operations:
"publish" hands objects or a name to other processes, "agree" comes back only when all of a group have come as far, or a
peer has answered, "unlink" removes a name. Nothing else is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rslint.flow.callers import near
from rslint.flow.effects import function_effect
from rslint.flow.forest import RETURN, Forest
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import Meaning, meaning_of
from rslint.flow.reasons import calls_named, calls_of
from rslint.flow.relevant import is_context_manager, single_assignments, surroundings
from rslint.flow.walked import CallEffect
from rslint.models import axis_of
from rslint.models.segment_queries import acknowledges, agrees_in, publishes
from rslint.project import ir
from rslint.project.entities import LINKS
from rslint.project.text import render

PUBLISH, AGREE, UNLINK = "publish", "agree", "unlink"
Operation = tuple[str, str]
_HAND_WRITTEN = frozenset({"dumps", "loads"})


@dataclass
class Events:
    """The trees of one question, built on demand. `unlinks` and `published` are calls by identity; without `published`
    every collective that carries objects publishes, with it only those calls do, and answers of peers count."""

    k: Knowledge
    unlinks: frozenset[int]
    published: frozenset[int] | None = None
    forest: Forest = field(default_factory=Forest)
    _trees: dict[tuple[str, int], int] = field(default_factory=dict)
    _pending: set[str] = field(default_factory=set)

    def tree(self, identity: str, depth: int) -> int:
        """The tree of a function, calls followed `depth` deep; recursion counts as nothing."""
        key = (identity, depth)
        if key not in self._trees:
            if identity in self._pending:
                return RETURN
            self._pending.add(identity)
            self._trees[key] = self._tree(identity, depth)
            self._pending.discard(identity)
        return self._trees[key]

    def _tree(self, identity: str, depth: int) -> int:
        function = self.k.links.ir(identity)
        known: dict[int, CallEffect] = {}

        def call(e: ir.Call) -> CallEffect:
            if id(e) not in known:
                known[id(e)] = self._effect(function, e, depth)
            return known[id(e)]

        asked = replace(surroundings(self.k, function), call=call, context=lambda _: None)
        return function_effect(self.forest, function, asked)[0]

    def _effect(self, function: ir.Function, e: ir.Call, depth: int) -> CallEffect:
        operation = self.operation(function.identity, e)
        if operation is not None:
            return CallEffect(*operation)
        if depth <= 0:
            return CallEffect()
        found: dict[int, str] = {}
        for callee in targets_of(self.k, function, e)[:4]:
            if not is_context_manager(self.k.links.ir(callee)):
                tree = self.tree(callee, depth - 1)
                if self.forest.operational(tree):
                    found.setdefault(tree, callee)
        return CallEffect(trees=tuple((callee, tree) for tree, callee in found.items()))

    def operation(self, identity: str, e: ir.Call) -> Operation | None:
        """What a call itself does, and the axis of its group."""
        if id(e) in self.unlinks:
            return UNLINK, "?"
        meaning = meaning_of(self.k, identity, e)
        target = meaning.target
        asked = (target.external, target.text, target.receiver_types)
        if self.published is None:
            if publishes(self.k.models, *asked) or _carries_objects(self.k, meaning):
                return PUBLISH, self._axis(identity, meaning, e)
        elif id(e) in self.published:
            return PUBLISH, self._axis(identity, meaning, e)
        elif not target.functions and acknowledges(self.k.models, *asked):
            return AGREE, "?"
        if meaning.operation is not None and agrees_in(self.k.models, meaning.operation):
            return AGREE, self._axis(identity, meaning, e)
        return None

    def _axis(self, identity: str, meaning: Meaning, e: ir.Call) -> str:
        """The axis of the group that a call is given, seen through a local name for it (`group = get_tp_group()`)."""
        aliases = self.k.links.remember(
            ("single assignments", identity), lambda: single_assignments(self.k.links.ir(identity))
        )
        for part in (*e.args, *[word.value for word in e.keywords]):
            text = render(part, aliases) if isinstance(part, ir.Name | ir.Attribute) else ""
            if "group" in text and (axis := axis_of(self.k.models, text)) != "?":
                return axis
        if meaning.operation is not None:
            return meaning.axis
        return axis_of(self.k.models, meaning.target.text.rpartition(".")[0])


def _carries_objects(k: Knowledge, meaning: Meaning) -> bool:
    """A broadcast of the project's own that pickles at its source and unpickles at its peers."""
    for callee in meaning.target.functions[:2]:
        called = k.links.facts(callee).calls
        if _HAND_WRITTEN.issubset(called) and any("broadcast" in name for name in called):
            return True
    return False


# Calls on receivers that a test has narrowed -------------------------------------------------------------------------


def targets_of(k: Knowledge, function: ir.Function, e: ir.Call) -> tuple[str, ...]:
    """The functions of the project that a call may run; `isinstance(x, C)` in the function tells what `x.m()` is."""
    found = meaning_of(k, function.identity, e).target.functions
    if found or not isinstance(e.func, ir.Attribute):
        return found
    receiver = render(e.func.value)
    methods = {
        method
        for class_id in _narrowed(k, function.identity).get(receiver, ())
        if (method := k.links.method(class_id, e.func.attr)) is not None
    }
    return tuple(sorted(methods))


def _narrowed(k: Knowledge, identity: str) -> dict[str, tuple[str, ...]]:
    """By the text of what is tested, the classes of the project that `isinstance` names somewhere in the function."""

    def compute() -> dict[str, tuple[str, ...]]:
        found: dict[str, set[str]] = {}
        for call in calls_named(k, identity, "isinstance"):
            if len(call.args) == 2:
                kinds = call.args[1].items if isinstance(call.args[1], ir.Collection) else (call.args[1],)
                for kind in kinds:
                    classes = {e.name for e in k.links.evaluate(identity, kind, LINKS) if e.kind == "class"}
                    found.setdefault(render(call.args[0]), set()).update(classes)
        return {text: tuple(sorted(classes)) for text, classes in found.items()}

    return k.links.remember(("narrowed", identity), compute)


def callers_of(k: Knowledge, callees: frozenset[str]) -> set[str]:
    """The functions with a call that may run one of `callees`."""
    found: set[str] = set()
    for callee in sorted(callees):
        name = callee.rpartition(":")[2].rpartition(".")[2]
        for caller in near(k, k.links.calling(name), name, (callee,)):
            function = k.links.ir(caller)
            calls = calls_named(k, caller, name)
            if any(callee in targets_of(k, function, call) for call in calls):
                found.add(caller)
    return found


def calls_in(k: Knowledge, identity: str) -> list[ir.Call]:
    """Every call of a function, in order of place."""
    return [call for call, _ in calls_of(k, identity)]

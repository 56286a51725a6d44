"""What the walk over one function is given, and what it brings back: forks, hazards, loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rslint.flow.forest import RETURN, Forest, Site
from rslint.flow.implied import implied
from rslint.project import ir
from rslint.project.text import children, expressions, statements, walk

Raised = Callable[[str], int]
_EXPRESSIONS = (
    ir.Name, ir.Constant, ir.Attribute, ir.Call, ir.Compare, ir.BoolOp, ir.UnaryOp, ir.BinOp, ir.IfExp, ir.Subscript,
    ir.Collection, ir.Comprehension, ir.Lambda, ir.Await, ir.Yield, ir.YieldFrom, ir.NamedExpr, ir.Starred, ir.Other,
)  # fmt: skip


@dataclass(frozen=True)
class Ahead:
    """What happens when control leaves the current block some other way than at its end."""

    returns: int
    raised: Raised
    again: int
    leave: int
    reraised: str = "Exception"


@dataclass(frozen=True)
class Fork:
    """A condition whose outcomes are followed by different effects. `key` is None for a match or an assert. `context`
    are the conditions, by key and outcome, under which it is asked at all."""

    statement: ir.Stmt
    test: ir.Expr
    key: str
    kind: str  # "branch" | "assert" | "while" | "for" | "match"
    true: int
    false: int
    context: tuple[tuple[str, bool], ...] = ()


@dataclass(frozen=True)
class Hazard:
    """A call (or the yield of a context manager) behind which something lies: what follows, or follows if it raises.
    `handlers` are the try statements around it, innermost first."""

    statement: ir.Stmt
    expression: ir.Expr
    normal: int
    raised: Raised
    handlers: tuple[ir.Try, ...]


@dataclass(frozen=True)
class CallEffect:
    """What one call does to groups: it is a collective itself, or it runs one of these trees (target, tree)."""

    operation: str | None = None
    axis: str = "?"
    trees: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """What `function_effect` asks of the rest of the analysis.

    `call` is the effect of a call, `context` the trees of entering and leaving a context (or a generator's tree with
    its yields), `world_size_test` the outcome of a guard that asks for more than one rank (None: it is no such guard),
    `catches` whether a handler stops an exception ("yes", "maybe", "no"), `raised` the label of what a `raise` raises,
    `swallows` the exceptions a context stops.
    """

    call: Callable[[ir.Call], CallEffect]
    context: Callable[[ir.Expr], ContextEffect | None]
    world_size_test: Callable[[ir.Expr], bool | None]
    catches: Callable[[ir.Expr | None, str], str]
    raised: Callable[[ir.Expr], str]
    swallows: Callable[[ir.Expr], ir.Expr | bool | None]
    aliases: Mapping[str, ir.Expr]
    yields_context: bool = False


@dataclass(frozen=True)
class ExitCollective:
    """A collective that runs when a block is left: `when` is "completed" (only without an exception), "always" or
    "agreed" (always, and then all ranks raise what one of them has raised)."""

    operation: str
    axis: str
    when: str


@dataclass(frozen=True)
class ContextEffect:
    """`generator` is the tree of a @contextmanager with its yields; else `enter` and `leave` are those of a class.
    `exit` is the collective that a context of a library runs when its block is left."""

    generator: int | None = None
    enter: int = RETURN
    leave: int = RETURN
    exit: ExitCollective | None = None

    @property
    def trees(self) -> tuple[int, ...]:
        return (self.generator or RETURN, self.enter, self.leave)


@dataclass
class Walk:
    """One walk over one function: what it is given, and the forks and hazards it has met."""

    forest: Forest
    function: ir.Function
    around: Surroundings
    forks: list[Fork] = field(default_factory=list)
    hazards: list[Hazard] = field(default_factory=list)
    loops: dict[str, tuple[int, int]] = field(default_factory=dict)
    _calling: dict[int, bool] = field(default_factory=dict)
    _effective: dict[int, bool] = field(default_factory=dict)
    _handlers: list[ir.Try] = field(default_factory=list)
    _statement: list[ir.Stmt] = field(default_factory=list)
    _context: list[tuple[str, bool]] = field(default_factory=list)
    caught_names: set[str] = field(default_factory=set)
    rebound: frozenset[str] = frozenset()

    def site(self, node: ir.Node) -> Site:
        s = node.span
        return Site(self.function.identity, s.row, s.column, s.end_row, s.end_column)

    def calls_in(self, e: ir.Expr) -> bool:
        known = self._calling.get(id(e))
        if known is None:
            here = isinstance(e, ir.Call | ir.Yield)
            known = self._calling[id(e)] = here or any(self.calls_in(part) for part in children(e))
        return known

    def effective(self, node: ir.Stmt | ir.Expr) -> bool:
        """Whether evaluating this statement or expression may run a collective."""
        known = self._effective.get(id(node))
        if known is None:
            known = self._effective[id(node)] = _effective(self, node)
        return known


@contextmanager
def given(w: Walk, test: ir.Expr, outcome: bool) -> Iterator[None]:
    """What lies below is executed only where the test came out so."""
    known = [pair for pair in implied(test, outcome, w.around.aliases, w.rebound) if pair not in w._context]
    w._context += known
    yield
    del w._context[len(w._context) - len(known) :]


def _effective(w: Walk, node: ir.Stmt | ir.Expr) -> bool:
    if isinstance(node, _EXPRESSIONS):
        return any(_runs(w, part) for part in walk(node))
    return any(
        any(w.effective(part) for part in expressions(inner)) or _enters(w, inner)
        for inner in statements((node,))
    )


def _runs(w: Walk, e: ir.Expr) -> bool:
    if not isinstance(e, ir.Call):
        return False
    effect = w.around.call(e)
    return effect.operation is not None or any(w.forest.operational(tree) for _, tree in effect.trees)


def _enters(w: Walk, s: ir.Stmt) -> bool:
    """Whether entering or leaving one of the contexts of a `with` statement may run a collective."""
    contexts = [w.around.context(item.context) for item in s.items] if isinstance(s, ir.With) else []
    return any(
        context.exit is not None or any(map(w.forest.operational, context.trees))
        for context in contexts
        if context is not None
    )

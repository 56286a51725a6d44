"""Must-locksets: which locks are certainly held at each node of a function, and since which acquisition.

After Savage et al., "Eraser" (TOCS 15(4), 1997), computed over the control flow graph: a lock is held where every path
from the entry has taken it and none has given it back. A private function inherits what all of its callers hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rslint.flow.callers import near
from rslint.flow.graph import Cfg, CfgNode
from rslint.flow.graphs import graph_of
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named
from rslint.flow.solver import solve
from rslint.locks.accesses import Access, accesses_at, evaluated
from rslint.locks.kinds import ANY, kind_of, lock_text, synchronised
from rslint.locks.state import Names, names_of
from rslint.project import ir
from rslint.project.text import walk

_CALLERS_UP = 5
_MOST_CALLERS = 12
BY_CALLER = -1
_HELD_BY_NAME = (
    "_locked",
    "_unlocked",
    "_nolock",
    "_no_lock",
    "_unsafe",
    "_with_lock",
    "_under_lock",
    "_in_lock",
    "_lock_held",
)


class Held(NamedTuple):
    """A lock and the node that took it (`BY_CALLER`: held when the function is entered)."""

    lock: str
    site: int


@dataclass(frozen=True, eq=False)
class View:
    """One function as the analyses of locks read it; all tuples are indexed by node."""

    function: ir.Function
    names: Names
    cfg: Cfg
    accesses: tuple[tuple[Access, ...], ...]
    held: tuple[frozenset[Held], ...]

    @property
    def identity(self) -> str:
        return self.function.identity

    def locks(self, node: int) -> frozenset[str]:
        """The locks held when the node is executed."""
        return frozenset(one.lock for one in self.held[node])


def view_of(k: Knowledge, identity: str, depth: int = _CALLERS_UP) -> View:
    """The view of a function, computed once; locks of callers are looked for `depth` calls up."""
    return k.links.remember(("lock view", identity, depth), lambda: _view(k, identity, depth))


def _view(k: Knowledge, identity: str, depth: int) -> View:
    function = k.links.ir(identity)
    names = names_of(k, function)
    cfg = graph_of(k, function)
    accesses = tuple(accesses_at(names, node) for node in cfg.nodes)
    inherited = frozenset(Held(lock, BY_CALLER) for lock in inherited_locks(k, identity, depth))
    if synchronised(k, identity) or caller_locks_by_name(identity):
        inherited |= {Held(ANY, BY_CALLER)}
    return View(function, names, cfg, accesses, _held(k, identity, names, cfg, inherited))


def _held(
    k: Knowledge, identity: str, names: Names, cfg: Cfg, inherited: frozenset[Held]
) -> tuple[frozenset[Held], ...]:
    calls = k.links.facts(identity).calls if k.links.store.function(identity) else ()
    taken = [_taken(k, identity, names, node, "acquire" in calls) for node in cfg.nodes]
    given = [_given_back(k, identity, names, node, "release" in calls) for node in cfg.nodes]
    if not any(taken) and not any(given):
        return (inherited,) * len(cfg.nodes)
    entered = {id(node.clause): node.index for node in cfg.nodes if node.kind == "with"}

    def transfer(node: CfgNode, state: frozenset[Held]) -> frozenset[Held]:
        gone = given[node.index]
        if gone and node.kind == "with-exit":  # a lock that is taken twice is given back once
            state -= {Held(gone, entered[id(node.clause)])}
        elif gone:
            state = frozenset(one for one in state if one.lock != gone)
        got = taken[node.index]
        return state | {Held(got, node.index)} if got else state

    solution = solve(cfg, forward=True, must=True, boundary=inherited, transfer=transfer)
    return solution.before


def _taken(k: Knowledge, identity: str, names: Names, node: CfgNode, explicit: bool) -> str | None:
    if node.kind == "with" and isinstance(node.clause, ir.WithItem):
        return lock_entered(k, identity, names, node.clause)
    return _called(k, identity, names, node, "acquire") if explicit else None


def _given_back(k: Knowledge, identity: str, names: Names, node: CfgNode, explicit: bool) -> str | None:
    if node.kind == "with-exit" and isinstance(node.clause, ir.WithItem):
        return lock_entered(k, identity, names, node.clause)
    return _called(k, identity, names, node, "release") if explicit else None


def lock_entered(k: Knowledge, identity: str, names: Names, item: ir.WithItem) -> str | None:
    """The lock that a context takes; None for contexts of another kind."""
    context = item.context.value if isinstance(item.context, ir.Await) else item.context
    if kind_of(k, identity, names, context) is None:
        return None
    return lock_text(k, identity, names, context)


def _called(k: Knowledge, identity: str, names: Names, node: CfgNode, method: str) -> str | None:
    if node.kind not in ("statement", "branch"):
        return None
    for part in evaluated(node):
        for e in walk(part):
            if (
                isinstance(e, ir.Call)
                and isinstance(e.func, ir.Attribute)
                and e.func.attr == method
                and kind_of(k, identity, names, e.func.value) is not None
            ):
                return lock_text(k, identity, names, e.func.value)
    return None


def inherited_locks(k: Knowledge, identity: str, depth: int) -> frozenset[str]:
    """The locks that every caller holds when it calls the function; empty where not all callers are known."""
    name = identity.rpartition(":")[2].rpartition(".")[2]
    if depth == 0 or not _is_private(name):
        return frozenset()
    if any(user for user in k.links.mentioning(name) if _same_module(user, identity)):
        return frozenset()
    callers = near(k, k.links.calling(name), name, (identity,))
    found: frozenset[str] | None = None
    for caller in callers[:_MOST_CALLERS]:
        for lockset in _locks_at_calls(k, caller, name, identity, depth):
            found = lockset if found is None else found & lockset
    if found is None or len(callers) > _MOST_CALLERS:
        return frozenset()
    known = names_of(k, k.links.ir(identity)).globals
    return frozenset(lock for lock in found if lock.startswith(".") or lock in known)


def _locks_at_calls(k: Knowledge, caller: str, name: str, identity: str, depth: int) -> list[frozenset[str]]:
    found: list[frozenset[str]] = []
    calls = [
        call for call in calls_named(k, caller, name) if identity in k.links.resolve(caller, call).functions
    ]
    if calls:
        view = view_of(k, caller, depth - 1)
        for call in calls:
            found += [view.locks(index) for index in nodes_of(view.cfg, call)]
    return found


def nodes_of(cfg: Cfg, wanted: ir.Expr) -> list[int]:
    """The nodes that evaluate an expression, by identity."""
    return [
        node.index for node in cfg.nodes if any(e is wanted for part in evaluated(node) for e in walk(part))
    ]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _same_module(left: str, right: str) -> bool:
    return left.partition(":")[0] == right.partition(":")[0]


def caller_locks_by_name(identity: str) -> bool:
    """Whether the name of a function says that its caller holds the lock."""
    name = identity.rpartition(":")[2].rpartition(".")[2]
    return name.endswith(_HELD_BY_NAME)

"""What is lost when a value is made twice: two pools, a listener registered again, an entry that is overwritten.

A memo of an equal value may be made twice without harm; a connection, a task or a lock may not.
"""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.knowledge import Knowledge
from rslint.locks.accesses import Access, evaluated
from rslint.locks.domains import neighbours
from rslint.locks.held import View
from rslint.locks.paths import reachable
from rslint.locks.state import names_of, parts_of, state_of
from rslint.models.lock_queries import gives_back, made_once
from rslint.project import ir
from rslint.project.text import last_name, walk

_FOLLOWED = 3


def harm_of_two(k: Knowledge, view: View, act: int, access: Access) -> str | None:
    """Why the act must not be done twice: "resource" (what is stored is opened or started), "ended" (the state is
    closed somewhere), "appended" (an element is added), "registered" (more is done with it while others cannot see
    it); None where two equal values do no harm."""
    if access.how == "method":
        return "appended"
    if isinstance(access.value, ir.Constant):
        return None
    if any(_opens(k, view, e) for e in _sources(k, view, access.value, _FOLLOWED)):
        return "resource"
    if access.how == "store" and _ended(k, view, access.state):
        return "ended"
    return "registered" if access.how == "store" and _worked_on(view, act, access) else None


def _sources(k: Knowledge, view: View, e: ir.Expr | None, depth: int) -> Iterator[ir.Expr]:
    """The parts of a value, locals replaced by what they are assigned."""
    if e is None:
        return
    for part in walk(e):
        yield part
        if isinstance(part, ir.Name) and depth:
            for binding in k.links.local_names(view.identity).bindings.get(part.id, ()):
                if binding.kind == "value" and binding.expression is not e:
                    yield from _sources(k, view, binding.expression, depth - 1)


def _opens(k: Knowledge, view: View, e: ir.Expr) -> bool:
    return isinstance(e, ir.Call) and made_once(k.models, last_name(e.func) or "")


def _ended(k: Knowledge, view: View, state: str) -> bool:
    """Whether some function of the class closes, stops or cancels what the state holds."""
    for identity in neighbours(k, view.names):
        facts = k.links.store.function(identity)
        if facts is None or not any(gives_back(k.models, name) for name in facts.calls):
            continue
        function = k.links.ir(identity)
        names = names_of(k, function)
        for node in parts_of(k, identity):
            if (
                isinstance(node, ir.Call)
                and isinstance(node.func, ir.Attribute)
                and gives_back(k.models, node.func.attr)
                and state_of(names, node.func.value) == state
            ):
                return True
    return False


def _worked_on(view: View, act: int, access: Access) -> bool:
    """Whether the same coroutine goes on to await methods of what it stored, with arguments: it registers itself."""
    after = reachable(view.cfg, [edge.target for edge in view.cfg.nodes[act].successors])
    for index in sorted(after):
        for part in evaluated(view.cfg.nodes[index]):
            for e in walk(part):
                if (
                    isinstance(e, ir.Await)
                    and isinstance(e.value, ir.Call)
                    and e.value.args
                    and isinstance(e.value.func, ir.Attribute)
                    and state_of(view.names, e.value.func.value) == access.state
                ):
                    return True
    return False

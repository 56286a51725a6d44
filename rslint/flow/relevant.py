"""Which functions reach a collective, found backwards from the collectives over the names of calls."""

from __future__ import annotations

from rslint.flow.callers import near
from rslint.flow.effects import function_effect
from rslint.flow.exception_classes import handler_catches, raised_class
from rslint.flow.forest import RETURN
from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_named, swallowed_types
from rslint.flow.walked import CallEffect, ContextEffect, ExitCollective, Surroundings
from rslint.models import world_size_test
from rslint.project import ir
from rslint.project.text import last_name, render, statements

DEPTH = 4


def relevant_functions(k: Knowledge) -> dict[str, set[str]]:
    """The functions that reach a collective within `DEPTH` calls, with the functions of the set that each calls."""
    edges: dict[str, set[str]] = {}
    frontier: list[str] = []
    for name in sorted(k.models.collective_names):
        for identity in k.links.calling(name):
            if identity not in edges and _has_collective(k, identity, name):
                edges[identity] = set()
                frontier.append(identity)
    for _ in range(DEPTH):
        reached: dict[str, set[str]] = {}
        for name, callees in sorted(_names(k, frontier).items()):
            for caller in near(k, k.links.calling(name), name, callees):
                hit = _calls(k, caller, name, callees)
                if hit:
                    reached.setdefault(caller, set()).update(hit)
        frontier = sorted(caller for caller in reached if caller not in edges)
        for caller, hit in reached.items():
            edges.setdefault(caller, set()).update(hit)
    return edges


def _has_collective(k: Knowledge, identity: str, name: str) -> bool:
    return any(meaning_of(k, identity, call).operation is not None for call in calls_named(k, identity, name))


_DUNDER = frozenset({"__init__", "__call__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__new__"})


def _names(k: Knowledge, frontier: list[str]) -> dict[str, set[str]]:
    """The names under which the functions may be called: a class's for its constructor and context methods."""
    names: dict[str, set[str]] = {}
    for identity in frontier:
        path = identity.partition(":")[2].split(".")
        name = path[-1]
        if not name:
            continue
        if name in _DUNDER and len(path) > 1:
            names.setdefault(path[-2], set()).add(identity)
            for child in k.links.subclasses(identity.rpartition(".")[0]):
                names.setdefault(
                    child.rpartition(":")[2].rpartition(".")[2] or child.rpartition(":")[2], set()
                ).add(identity)
        else:
            names.setdefault(name, set()).add(identity)
    return names


def _calls(k: Knowledge, caller: str, name: str, callees: set[str]) -> set[str]:
    hit: set[str] = set()
    for call in calls_named(k, caller, name):
        meaning = meaning_of(k, caller, call)
        hit |= callees.intersection(meaning.target.functions)
        constructed = meaning.target.constructs
        if constructed is not None:
            hit |= {callee for callee in callees if callee.rpartition(".")[0] in k.links.mro(constructed)}
    return hit


def compute_effects(k: Knowledge) -> None:
    """Fill in effect tree and walk of every relevant function, callees first; cycles are unrolled once."""
    edges = relevant_functions(k)
    for component in components(edges):
        for _ in range(2 if len(component) > 1 or component[0] in edges[component[0]] else 1):
            computed = {}
            for identity in component:
                function = k.links.ir(identity)
                computed[identity] = function_effect(k.forest, function, surroundings(k, function))
            for identity, (tree, walk) in computed.items():
                k.effects[identity] = tree
                k.walks[identity] = walk
                k.loops.update(walk.loops)


def components(edges: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """Strongly connected components, callees before callers (Tarjan 1972, with an explicit stack)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: set[str] = set()
    stack: list[str] = []
    found: list[tuple[str, ...]] = []
    for root in sorted(edges):
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            advanced = False
            for successor in successors:
                if successor not in edges:
                    continue
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(sorted(edges[successor]))))
                    advanced = True
                    break
                if successor in on_stack:
                    low[node] = min(low[node], index[successor])
            if advanced:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                member, component = "", []
                while member != node:
                    member = stack.pop()
                    on_stack.discard(member)
                    component.append(member)
                found.append(tuple(sorted(component)))
    return found


def surroundings(k: Knowledge, function: ir.Function) -> Surroundings:
    """What the walk over one function may ask, answered from the effects known so far."""
    identity = function.identity
    parameters = {parameter.name for parameter in function.parameters}

    def call(e: ir.Call) -> CallEffect:
        meaning = meaning_of(k, identity, e)
        if meaning.operation is not None:
            return CallEffect(meaning.operation, meaning.axis)
        return CallEffect(trees=_trees(k, meaning.target.functions, e))

    def context(e: ir.Expr) -> ContextEffect | None:
        return _context(k, identity, e)

    return Surroundings(
        call=call,
        context=context,
        # What the caller chooses (`distributed=False`) is no question about the world.
        world_size_test=lambda e: None if render(e) in parameters else world_size_test(k.models, render(e)),
        catches=lambda types, exception: handler_catches(k, identity, types, exception),
        raised=lambda e: raised_class(k, identity, e),
        swallows=lambda e: swallowed_types(k, identity, e),
        aliases=single_assignments(function),
        yields_context=is_context_body(k, function),
    )


def _trees(k: Knowledge, targets: tuple[str, ...], e: ir.Call) -> tuple[tuple[str, int], ...]:
    """The distinct trees a call may run, specialised by its constant arguments; at most four."""
    found: dict[int, str] = {}
    for target in targets:
        tree = k.effects.get(target, RETURN)
        if k.forest.operational(tree) and not is_context_manager(k.links.ir(target)):
            for name, value in constant_arguments(k.links.ir(target), e):
                tree = k.forest.assume(tree, name, value)
            if k.forest.operational(tree):
                found.setdefault(tree, target)
    return tuple((target, tree) for tree, target in list(found.items())[:4])


def constant_arguments(callee: ir.Function, call: ir.Call) -> list[tuple[str, bool]]:
    """Parameters whose truth this call fixes, by a constant argument or by a constant default it leaves in place."""
    parameters = [p for p in callee.parameters if p.kind == "positional"]
    if parameters and parameters[0].name in ("self", "cls") and callee.owner is not None:
        parameters = parameters[1:]
    given: dict[str, ir.Expr | None] = {
        p.name: p.default for p in callee.parameters if p.kind in ("positional", "keyword")
    }
    if any(isinstance(a, ir.Starred) for a in call.args) or any(w.name is None for w in call.keywords):
        return []
    for parameter, argument in zip(parameters, call.args, strict=False):
        given[parameter.name] = argument
    for keyword in call.keywords:
        if keyword.name in given:
            given[keyword.name] = keyword.value
    rebound = {name for statement in statements(callee.body) for name in _bound(statement)}
    return [
        (name, bool(value.value))
        for name, value in given.items()
        if name not in rebound and isinstance(value, ir.Constant) and value.kind in ("bool", "NoneType")
    ]


def _bound(statement: ir.Stmt) -> set[str]:
    targets = statement.targets if isinstance(statement, ir.Assign) else ()
    return {target.id for target in targets if isinstance(target, ir.Name)}


def _context(k: Knowledge, identity: str, e: ir.Expr) -> ContextEffect | None:
    if isinstance(e, ir.Call):
        meaning = meaning_of(k, identity, e)
        if meaning.operation is not None and meaning.exit is not None:
            return ContextEffect(exit=ExitCollective(meaning.operation, meaning.axis, meaning.exit))
        for target in meaning.target.functions:
            function = k.links.ir(target)
            if is_context_manager(function) and target in k.effects:
                return ContextEffect(generator=k.effects[target])
    enter = leave = RETURN
    for kind in k.links.type_of(identity, e):
        for name in ("__enter__", "__aenter__"):
            enter = _method_effect(k, kind, name, enter)
        for name in ("__exit__", "__aexit__"):
            leave = _method_effect(k, kind, name, leave)
    if enter == RETURN and leave == RETURN:
        return None
    return ContextEffect(enter=enter, leave=leave)


def _method_effect(k: Knowledge, kind: str, name: str, otherwise: int) -> int:
    method = k.links.method(kind, name)
    return otherwise if method is None else k.effects.get(method, otherwise)


def is_context_manager(function: ir.Function) -> bool:
    """Whether the function is a generator under @contextmanager or @asynccontextmanager."""
    return function.is_generator and any(
        last_name(decorator) in ("contextmanager", "asynccontextmanager") for decorator in function.decorators
    )


def is_context_body(k: Knowledge, function: ir.Function) -> bool:
    """A context manager's generator, or one that such a generator hands over to with `yield from`."""
    if not function.is_generator or is_context_manager(function):
        return function.is_generator
    for caller in k.links.calling(function.name):
        other = k.links.ir(caller)
        if is_context_manager(other):
            for call in calls_named(k, caller, function.name):
                if function.identity in meaning_of(k, caller, call).target.functions:
                    return True
    return False


def single_assignments(function: ir.Function) -> dict[str, ir.Expr]:
    """Local names assigned exactly once, from an expression without calls to anything but accessors of names."""
    count: dict[str, int] = {parameter.name: 1 for parameter in function.parameters}
    value: dict[str, ir.Expr] = {}
    for statement in statements(function.body):
        targets: tuple[ir.Expr, ...] = ()
        if isinstance(statement, ir.Assign):
            targets = statement.targets
        elif isinstance(statement, ir.For):
            targets = (statement.target,)
        for target in targets:
            items = target.items if isinstance(target, ir.Collection) else (target,)
            for item in items:
                if isinstance(item, ir.Name):
                    count[item.id] = count.get(item.id, 0) + 1
                    if isinstance(statement, ir.Assign) and statement.value is not None and item is target:
                        value[item.id] = statement.value
    return {name: e for name, e in value.items() if count.get(name) == 1 and _plain(e)}


def _plain(e: ir.Expr) -> bool:
    if isinstance(e, ir.Name | ir.Constant):
        return True
    if isinstance(e, ir.Attribute):
        return _plain(e.value)
    if isinstance(e, ir.Call):
        return not e.args and not e.keywords and _plain(e.func)
    return isinstance(e, ir.Compare) and all(_plain(part) for part in (e.left, *e.comparators))

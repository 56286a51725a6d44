"""Which choices lead to a statement and mean something: branches, handlers, and what makes ranks equal again."""

from __future__ import annotations

from collections.abc import Iterator

from rslint.flow.dominance import controlling, raising_only
from rslint.flow.graph import Cfg, CfgNode
from rslint.flow.marks import Choice
from rslint.flow.reading import Answers
from rslint.flow.record import Source
from rslint.flow.slicing import names_in
from rslint.project import ir
from rslint.project.text import blocks, dotted, expressions, render, statements, walk


def choices_of(cfg: Cfg) -> tuple[frozenset[Choice], ...]:
    """For each node the choices that lead there. Where the other way only raises there is none to speak of: who took
    it is gone."""
    raising = raising_only(cfg)

    def real(choice: Choice) -> bool:
        branch = cfg.nodes[choice[0]]
        ways = [e.target for e in branch.successors if e.kind not in ("exception", choice[1])]
        return not ways or any(way not in raising for way in ways)

    return tuple(frozenset(filter(real, choices)) for choices in controlling(cfg, exceptional=False))


def indifferent(cfg: Cfg, function: ir.Function) -> dict[int, frozenset[int]]:
    """Assignments (by `id`) that both arms of a branch make, each with the branches (by node) that do not tell the
    value then."""
    alike = _alike(function)
    return {
        assignment: frozenset(node.index for node in cfg.nodes if id(node.origin) in tests)
        for assignment, tests in alike.items()
    }


def _alike(function: ir.Function) -> dict[int, frozenset[int]]:
    """Assignments to one name in both arms of a branch of what the same expression or callee gives, each with the parts
    of the branch's test; all by `id`."""
    found: dict[int, frozenset[int]] = {}
    for statement in statements(function.body):
        if isinstance(statement, ir.If) and statement.orelse:
            arms = [_assignments(statement.body), _assignments(statement.orelse)]
            test = frozenset(id(part) for part in walk(statement.test))
            for key in arms[0].keys() & arms[1].keys():
                for assignment in (*arms[0][key], *arms[1][key]):
                    found[assignment] = found.get(assignment, frozenset()) | test
    return found


def _assignments(body: tuple[ir.Stmt, ...]) -> dict[tuple[str, str], list[int]]:
    """The assignments of a body by target, and by callee or value."""
    found: dict[tuple[str, str], list[int]] = {}
    for statement in statements(body):
        if isinstance(statement, ir.Assign) and len(statement.targets) == 1 and statement.operator is None:
            value = statement.value.func if isinstance(statement.value, ir.Call) else statement.value
            found.setdefault((render(statement.targets[0]), render(value)), []).append(id(statement))
    return found


def agreed_names(function: ir.Function, answers: Answers) -> frozenset[str]:
    """Names that some collective of the function makes equal everywhere."""
    found: set[str] = set()
    for statement in statements(function.body):
        for part in expressions(statement):
            for call in walk(part):
                if isinstance(call, ir.Call):
                    found |= names_in(answers.agreed(call) or ())
    return frozenset(found)


def agreements(cfg: Cfg, answers: Answers) -> dict[int, tuple[str, ...]]:
    """The names that hold the same value everywhere when a node has been executed, by node."""
    found: dict[int, tuple[str, ...]] = {}
    for node in cfg.nodes:
        names = [name for call in _evaluated_calls(node) for name in _agreed_by(answers.agreed(call) or ())]
        if names:
            found[node.index] = tuple(names)
    return found


def _evaluated_calls(node: CfgNode) -> Iterator[ir.Call]:
    origin = node.origin
    parts: tuple[ir.Expr, ...] = ()
    if isinstance(origin, ir.Stmt):
        parts = expressions(origin) if node.kind in ("statement", "with") else ()
    elif isinstance(origin, ir.Expr) and node.kind in ("branch", "iterate", "expression"):
        parts = (origin,)
    return (e for part in parts for e in walk(part) if isinstance(e, ir.Call))


def _agreed_by(arguments: tuple[ir.Expr, ...]) -> Iterator[str]:
    for argument in arguments:
        for item in argument.items if isinstance(argument, ir.Collection) else (argument,):
            name = dotted(item.value if isinstance(item, ir.Subscript | ir.Starred) else item)
            if name is not None:
                yield name


def handler_sources(function: ir.Function, answers: Answers) -> dict[int, Source]:
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

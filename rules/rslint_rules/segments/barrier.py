"""The repair of RS301: a barrier on the peers' group, under the project's own test whether there is a segment.

The condition has to come out alike on every rank, or the repair is a deadlock: it is asked only of what the broadcast
itself has made the same everywhere, by a function that looks at nothing else; the other operands are the tests under
which the broadcast stands. Where one of these things cannot be shown, no repair is offered.
"""

from __future__ import annotations

from dataclasses import dataclass

from rslint.finding import Applicability, Edit, Fix, Place
from rslint.flow.analysis import Analysis
from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named, calls_of
from rslint.models import collective_of, is_world_size
from rslint.project import ir
from rslint.project.entities import LINKS
from rslint.project.source import Source
from rslint.project.text import blocks, dotted, expressions, render, statements, walk
from rslint.segments.agreement import EarlyUnlink
from rslint.segments.arguments import argument_of
from rslint.segments.surroundings import tests_of


@dataclass(frozen=True)
class _Publication:
    """The call that hands the objects over, and the function it stands in."""

    function: ir.Function
    call: ir.Call


def barrier_before(analysis: Analysis, source: Source, early: EarlyUnlink) -> Fix | None:
    """The repair of one early removal; None where its condition cannot be shown to be uniform."""
    k = analysis.knowledge
    function = k.links.ir(early.function)
    publication = _publication(k, early.published[0]) if len(early.published) == 1 else None
    statement = _outermost(function.body, early.site)
    if publication is None or statement is None or early.owner is None or function.is_async:
        return None
    objects = _objects(statement, early.site)
    if objects is None or not _is_agreed(k, function, objects, publication):
        return None
    predicate = _predicate(k, function, early.owner)
    group, tests = _group(k, function, publication), _tests(k, function, publication, early)
    name = _barrier_name(k, function.identity)
    if predicate is None or group is None or tests is None or name is None:
        return None
    return _inserted(source, statement, " and ".join([*tests, f"{predicate}({objects})"]), f"{name}({group})")


def _publication(k: Knowledge, site: Site) -> _Publication | None:
    for call, _ in calls_of(k, site.function):
        s = call.span
        if (s.row, s.column, s.end_row, s.end_column) == (
            site.row,
            site.column,
            site.end_row,
            site.end_column,
        ):
            return _Publication(k.links.ir(site.function), call)
    return None


def _outermost(body: tuple[ir.Stmt, ...], site: Site) -> ir.Stmt | None:
    """The statement with the site that the barrier is put before: the loop around it, else its own."""
    for s in body:
        if not (s.span.row, s.span.column) <= (site.row, site.column) < (s.span.end_row, s.span.end_column):
            continue
        if isinstance(s, ir.For):
            return s
        for block in blocks(s):
            inner = _outermost(block, site)
            if inner is not None:
                return inner
        return s if isinstance(s, ir.ExprStmt | ir.Assign | ir.Return) else None
    return None


def _objects(statement: ir.Stmt, site: Site) -> str | None:
    """The name of what is gone through, or handed to the call that removes."""
    found = statement.iterable if isinstance(statement, ir.For) else None
    for e in expressions(statement) if found is None else ():
        for part in walk(e):
            if isinstance(part, ir.Comprehension) and _stands_in(part, site) and len(part.generators) == 1:
                found = part.generators[0].iterable
                break
            if isinstance(part, ir.Call) and (part.span.row, part.span.column) == (site.row, site.column):
                found = part.args[0] if len(part.args) == 1 else None
    return found.id if isinstance(found, ir.Name) else None


def _stands_in(e: ir.Expr, site: Site) -> bool:
    return (e.span.row, e.span.column) <= (site.row, site.column) < (e.span.end_row, e.span.end_column)


# What is the same on all ranks ---------------------------------------------------------------------------------------


def _is_agreed(
    k: Knowledge, function: ir.Function, name: str, publication: _Publication, callers: int = 2
) -> bool:
    """Whether a local name is bound once, to what the publication brought; or is a parameter for which the one caller
    gives such a name."""
    values = [
        s.value
        for s in statements(function.body)
        if isinstance(s, ir.Assign) and any(_binds(target, name) for target in s.targets)
    ]
    if not values and callers > 0 and name in (p.name for p in function.parameters):
        return _is_given_agreed(k, function, name, publication, callers - 1)
    if len(values) != 1 or values[0] is None:
        return False
    value = values[0]
    if publication.function.identity == function.identity:
        return _brings(function, value, publication.call)
    reached = k.links.resolve(function.identity, value).functions if isinstance(value, ir.Call) else ()
    return reached == (publication.function.identity,) and _returns_it(publication)


def _is_given_agreed(
    k: Knowledge, function: ir.Function, name: str, publication: _Publication, callers: int
) -> bool:
    calls = [
        (caller, call)
        for caller in k.links.calling(function.name)
        for call in calls_named(k, caller, function.name)
        if function.identity in k.links.resolve(caller, call).functions
    ]
    if len(calls) != 1 or k.links.mentioning(function.name):
        return False
    caller, call = calls[0]
    parameters = [p.name for p in function.parameters if p.kind == "positional"]
    position = parameters.index(name) - (function.owner is not None) if name in parameters else None
    given = argument_of(call, (name, position))
    if not isinstance(given, ir.Name):
        return False
    return _is_agreed(k, k.links.ir(caller), given.id, publication, callers)


def _binds(target: ir.Expr, name: str) -> bool:
    return any(isinstance(part, ir.Name) and part.id == name for part in walk(target))


def _returns_it(publication: _Publication) -> bool:
    returned = [s.value for s in statements(publication.function.body) if isinstance(s, ir.Return)]
    return bool(returned) and all(
        value is not None and _brings(publication.function, value, publication.call) for value in returned
    )


def _brings(function: ir.Function, value: ir.Expr, call: ir.Call) -> bool:
    """Whether a value is what a call returns or fills: `broadcast(x)`, `box[0]` after `broadcast_object_list(box)`."""
    if value is call:
        return True
    filled = dotted(call.args[0]) if call.args else None
    if isinstance(value, ir.Subscript):
        return filled is not None and dotted(value.value) == filled
    text = dotted(value)
    return text is not None and any(
        s.value is call
        for s in statements(function.body)
        if isinstance(s, ir.Assign) and any(dotted(t) == text for t in s.targets)
    )


def _predicate(k: Knowledge, function: ir.Function, owner: str) -> str | None:
    """A function in scope that tells of a sequence whether an instance of the class is in it."""
    last = owner.rpartition(":")[2].rpartition(".")[2]
    for candidate in k.links.calling("isinstance"):
        known = k.links.ir(candidate)
        if candidate.partition(":")[0] not in k.links.modules_naming(last) or known.owner is not None:
            continue
        if _tells(known) and _looks_for(k, candidate, owner) and _is_in_scope(k, function, known):
            return known.name
    return None


def _tells(function: ir.Function) -> bool:
    """One parameter, gone through; answers are literals or any(); nothing but its parameter and classes is read."""
    parameters = [p for p in function.parameters if p.kind == "positional"]
    if len(parameters) != 1 or len(function.parameters) != 1 or function.is_async or function.is_generator:
        return False
    name = parameters[0].name
    returned = [s.value for s in statements(function.body) if isinstance(s, ir.Return)]
    loops = [s.iterable for s in statements(function.body) if isinstance(s, ir.For)]
    loops += [
        generator.iterable
        for value in returned
        if value is not None
        for part in walk(value)
        if isinstance(part, ir.Comprehension)
        for generator in part.generators
    ]
    answers = all(
        isinstance(v, ir.Constant) or (isinstance(v, ir.Call) and dotted(v.func) == "any") for v in returned
    )
    changes = any(isinstance(s, ir.Assign | ir.Scope | ir.Delete) for s in statements(function.body))
    return bool(returned) and answers and not changes and any(dotted(loop) == name for loop in loops)


def _looks_for(k: Knowledge, identity: str, owner: str) -> bool:
    return any(
        entity.name == owner
        for call in calls_named(k, identity, "isinstance")
        for argument in call.args[1:2]
        for part in walk(argument)
        if isinstance(part, ir.Name | ir.Attribute)
        for entity in k.links.evaluate(identity, part, LINKS)
    )


def _is_in_scope(k: Knowledge, function: ir.Function, known: ir.Function) -> bool:
    found = k.links.evaluate(function.identity, ir.Name(function.span, known.name), LINKS)
    return [entity.name for entity in found] == [known.identity]


# The barrier ---------------------------------------------------------------------------------------------------------


def _group(k: Knowledge, function: ir.Function, publication: _Publication) -> str | None:
    """The group as the function may spell it: "" for all ranks, None where it is not known there."""
    target = k.links.resolve(publication.function.identity, publication.call)
    collective = collective_of(k.models, target.external, target.text, target.receiver_types)
    if collective is None or collective.group_keyword is None:
        return None
    group = argument_of(publication.call, (collective.group_keyword, collective.group_position))
    if group is None:
        return ""
    return f"group={render(group)}" if _is_known(k, function, publication, group) else None


def _is_known(k: Knowledge, function: ir.Function, publication: _Publication, e: ir.Expr) -> bool:
    """Whether an expression of the publishing function means the same here: attributes of the same object."""
    if publication.function.identity == function.identity:
        return True
    text = dotted(e)
    same = function.owner is not None and function.owner == publication.function.owner
    return same and text is not None and text.startswith("self.")


def _tests(
    k: Knowledge, function: ir.Function, publication: _Publication, early: EarlyUnlink
) -> list[str] | None:
    """The conditions under which the publication stands, as operands; None where one may differ between ranks."""
    found: list[str] = []
    if early.test is not None:
        found.append(early.test[0] if early.test[1] else f"not {early.test[0]}")
    for test in tests_of(publication.function, publication.call):
        text = render(test)
        if text in found:
            continue
        parts = [
            part for part in walk(test) if isinstance(part, ir.Name | ir.Attribute) and dotted(part) != "self"
        ]
        sized = isinstance(test, ir.Compare) and is_world_size(k.models, render(test.left))
        if not sized or not all(_is_known(k, function, publication, part) for part in parts):
            return None
        found.append(text)
    return found


def _barrier_name(k: Knowledge, identity: str) -> str | None:
    """How the module of the function may call torch's barrier, by what it imports."""
    facts = k.links.store.facts(identity.partition(":")[0])
    bound = {target: name for name, target in facts.imports} if facts else {}
    if "torch.distributed.barrier" in bound:
        return bound["torch.distributed.barrier"]
    if "torch.distributed" in bound:
        return f"{bound['torch.distributed']}.barrier"
    return f"{bound['torch']}.distributed.barrier" if "torch" in bound else None


def _inserted(source: Source, statement: ir.Stmt, condition: str, call: str) -> Fix | None:
    row = statement.span.row
    line = source.rows[row - 1]
    indent = line[: len(line) - len(line.lstrip())]
    if len(indent.encode()) != statement.span.column or "…" in condition:
        return None
    step, end = ("\t" if "\t" in indent else "    "), ("\r\n" if "\r\n" in source.text else "\n")
    place = Place(str(source.file.path), row, 1, row, 1)
    content = f"{indent}if {condition}:{end}{indent}{step}{call}{end}"
    return Fix(
        Applicability.UNSAFE,
        "let the peers open their segments first: one barrier more",
        (Edit(place, content),),
    )

"""What calls, attributes and names of a function tell about divergence, from models and from other functions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rslint.flow.changes import as_container
from rslint.flow.divergence import FunctionDivergence, function_divergence
from rslint.flow.exception_classes import handler_catches
from rslint.flow.graphs import choices_in, graph_of
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.marks import EVIDENCE, NONE, Sources
from rslint.flow.meaning import given, meaning_of
from rslint.flow.questions import has_sources, rank_tests, returned_parts
from rslint.flow.reading import Answers
from rslint.flow.reasons import call_reasons, guarded_calls
from rslint.flow.record import Source, Step, place_of
from rslint.flow.slicing import reading_of, slice_of
from rslint.flow.thread_globals import global_sources
from rslint.flow.walked import Fork
from rslint.models import (
    agreeing_name,
    agreement_decorator,
    axis_of,
    is_world_size,
    local_state,
    raising,
    rank_predicate,
    uniform,
    world_size_name,
    world_size_test,
)
from rslint.project import ir
from rslint.project.text import last_name, render

DEPTH = 2
# Threads that are told to end stop their collectives together, at the end of the process.
_ENDING = re.compile(r"stop|shutdown|shut_down|exit|terminat|clos|kill|quit|cancel|abort", re.IGNORECASE)
_REMOTE = frozenset({"network", "rpc", "storage"})
_WHOLE = ("world", "?")
_PROTECTING = ("file", "shm", "process")


def divergence_of(k: Knowledge, identity: str, depth: int = DEPTH) -> FunctionDivergence:
    """The divergence inside one function; callees are looked into `depth` calls deep."""
    key = (identity, depth)
    known = k.divergences.get(key)
    if known is None:
        function = k.links.ir(identity)
        known = k.divergences[key] = _solved(k, function, answers(k, function, depth), None)
    return known


def returns_of(k: Knowledge, identity: str, depth: int) -> Sources:
    """The sources of the value that a function returns; callees are looked into `depth` calls deep."""
    key = (identity, depth)
    known = k.returned.get(key)
    if known is None:
        function = k.links.ir(identity)
        parts = returned_parts(function.body)
        if parts:
            names = slice_of(reading_of(k, identity), parts)
            known = _solved(k, function, answers(k, function, depth), names, returns=True).returns
        k.returned[key] = known = known or NONE
    return known


def divergence_at(k: Knowledge, identity: str) -> FunctionDivergence:
    """The divergence of the tests in a function that decide over collectives or over calls that may raise, and of
    nothing else: tests and controls are answered, returns and evidence are not."""
    known = k.decisions.get(identity)
    if known is None:
        walked = k.walks[identity]
        wanted = [fork.test for fork in walked.forks if _matters(k, fork)]
        wanted += rank_tests(k, walked.function)
        names = slice_of(reading_of(k, identity), wanted)
        found = answers(k, walked.function, DEPTH)
        known = k.decisions[identity] = _solved(k, walked.function, found, names, returns=False)
    return known


def _solved(
    k: Knowledge, function: ir.Function, found: Answers, wanted: frozenset[str] | None, returns: bool = True
) -> FunctionDivergence:
    if not has_sources(reading_of(k, function.identity), found, wanted):
        return FunctionDivergence({}, {}, NONE, ())
    return function_divergence(
        function, graph_of(k, function), choices_in(k, function), found, wanted, returns
    )


def _matters(k: Knowledge, fork: Fork) -> bool:
    return k.forest.operational(fork.true) or k.forest.operational(fork.false)


def answers(k: Knowledge, function: ir.Function, depth: int) -> Answers:
    """The answers for one function, its callees seen `depth` calls deep."""
    identity = function.identity
    parameters = {parameter.name for parameter in function.parameters}
    calls: dict[int, Sources | None] = {}
    attributes: dict[int, Sources] = {}
    uniform_texts: set[str] = set()
    names: dict[str, Sources] = {}
    agreed: dict[int, tuple[ir.Expr, ...] | None] = {}

    def call(e: ir.Call) -> Sources | None:
        if id(e) not in calls:
            calls[id(e)] = call_sources(k, identity, e, depth)
        return calls[id(e)]

    def attribute(e: ir.Attribute) -> Sources:
        known = attributes.get(id(e))
        if known is None:
            text = render(e)
            known = NONE if text in uniform_texts else attribute_sources(k, identity, e, text, depth)
            attributes[id(e)] = known
            if not known:
                uniform_texts.add(text)
        return known

    def name(id_: str, e: ir.Name) -> Sources:
        if id_ not in names:
            names[id_] = _name_sources(k, function, id_, e)
        return names[id_]

    def agreeing(e: ir.Call) -> tuple[ir.Expr, ...] | None:
        if id(e) not in agreed:
            agreed[id(e)] = _agreed(k, identity, e)
        return agreed[id(e)]

    return Answers(
        call=call,
        attribute=attribute,
        name=name,
        agreed=agreeing,
        caught=lambda statement, handler: _caught(k, function, statement, handler),
        size_name=lambda size: world_size_name(k.models, size),
        is_size=lambda e: is_world_size(k.models, render(e)) and axis_of(k.models, render(e)) in _WHOLE,
        several=lambda test: None if render(test) in parameters else world_size_test(k.models, render(test)),
    )


def call_sources(k: Knowledge, identity: str, e: ir.Call, depth: int) -> Sources | None:
    """The sources of a call's value; None where nothing is known and the arguments may tell."""
    meaning = meaning_of(k, identity, e)
    target = meaning.target
    if meaning.operation is not None:
        return NONE
    site = site_of(identity, e)
    predicate = rank_predicate(k.models, target.text, target.external)
    if predicate is not None and (not target.functions or _accessor(e)):
        kind = "rank" if predicate.boolean else "rank-value"
        group = given(e, predicate.group)
        axis = predicate.axis if group is None else axis_of(k.models, render(group))
        return frozenset({Source(kind, axis, f"{target.text}()", site)})
    if uniform(k.models, target.external, target.text):
        return NONE
    state = local_state(k.models, target.external, target.text, target.receiver_types)
    if state is not None and state.kind == "event" and _ENDING.search(target.text):
        return NONE
    if state is not None and state.kind == "filesystem" and _asks_the_kernel(e):
        return NONE
    if state is not None:
        return frozenset({Source(state.kind, "world", f"{target.text}()", site)})
    if agreeing_name(k.models, last_name(e.func) or ""):
        return NONE
    if target.functions:
        return _returned(k, target.functions, target.text, e, identity, depth)
    keywords = frozenset(keyword.name for keyword in e.keywords if keyword.name)
    known = raising(k.models, target.external, target.text, target.receiver_types, keywords)
    if known is not None and known.kind in _REMOTE and not (known.certainty == "name" and _like_a_dict(e)):
        return frozenset({Source("rpc", "world", f"{target.text}()", site)})
    return None


def _asks_the_kernel(e: ir.Call) -> bool:
    path = e.args[0] if e.args else None
    return isinstance(path, ir.Constant) and str(path.value).startswith(("/proc", "/sys", "/dev", "/etc"))


def _accessor(e: ir.Call) -> bool:
    """`get_tp_rank`, `is_main_process`: a function of the project that does more is judged by what it returns."""
    return (last_name(e.func) or "").lstrip("_").startswith(("get_", "is_", "rank"))


def _like_a_dict(e: ir.Call) -> bool:
    return last_name(e.func) in ("get", "pop", "keys", "values", "items", "setdefault", "copy")


def _returned(
    k: Knowledge, functions: tuple[str, ...], text: str, e: ir.Expr, identity: str, depth: int
) -> Sources:
    found: set[Source] = set()
    if depth <= 0:
        return NONE
    for callee in functions[:6]:
        if _declared_uniform(k, callee):
            continue
        for source in returns_of(k, callee, depth - 1):
            if source.kind == "rank-value" and source.hops > 1:
                continue
            step = Step(f"{text} returns what depends on {source.text}", site_of(identity, e))
            found.add(
                Source(
                    source.kind,
                    source.axis,
                    source.text,
                    source.site,
                    source.hops + 1,
                    source.origin,
                    (step, *source.steps)[:3],
                )
            )
    return frozenset(found)


def _declared_uniform(k: Knowledge, identity: str) -> bool:
    known = k.declared.get(identity)
    if known is None:
        decorators = k.links.ir(identity).decorators
        known = k.declared[identity] = any(agreement_decorator(k.models, render(d)) for d in decorators)
    return known


def attribute_sources(k: Knowledge, identity: str, e: ir.Attribute, text: str, depth: int) -> Sources:
    """The sources of an attribute: a rank by its name, a property by what it returns, else shown evidence."""
    predicate = rank_predicate(k.models, text, None)
    if predicate is not None:
        kind = "rank" if predicate.boolean else "rank-value"
        return frozenset({Source(kind, predicate.axis, text, site_of(identity, e))})
    if depth <= 0 or uniform(k.models, None, text):
        return NONE
    found: set[Source] = set()
    for kind_ in k.links.type_of(identity, e.value):
        method = _method(k, kind_, e.attr)
        if method is not None:
            if any(last_name(d) in ("property", "cached_property") for d in k.links.ir(method).decorators):
                found |= _returned(k, (method,), text, e, identity, depth)
        else:
            found |= attribute_evidence(k, kind_, e.attr, depth - 1)
    return frozenset(found)


def _method(k: Knowledge, kind: str, name: str) -> str | None:
    if (kind, name) not in k.methods:
        k.methods[kind, name] = k.links.method(kind, name)
    return k.methods[kind, name]


def attribute_evidence(k: Knowledge, owner: str, attribute: str, depth: int) -> Sources:
    """Places in the class's hierarchy that change `self.attribute` on some ranks only, as sources; the two nearest."""
    key = (owner, attribute, depth)
    known = k.attributes.get(key)
    if known is None:
        family = {owner, *k.links.mro(owner), *k.links.subclasses(owner)}
        found: list[Source] = []
        for writer in _writers(k, family, attribute):
            for item in divergence_of(k, writer, depth).evidence:
                if item.name == f"self.{attribute}" and _shows(item.source):
                    found.append(as_container(item, f"self.{attribute}"))
        found.sort(key=lambda s: (len(s.steps), s.hops, s.origin, place_of(s)))
        known = k.attributes[key] = frozenset(found[:2])
    return known


def _writers(k: Knowledge, family: set[str], attribute: str) -> list[str]:
    """The methods of these classes that store to the attribute."""
    return sorted({method for owner in family for method in _storing(k, owner).get(attribute, ())})


def _storing(k: Knowledge, owner: str) -> Mapping[str, list[str]]:
    """The methods of one class by the attributes they store to."""
    known = k.writers.get(owner)
    if known is None:
        known = k.writers[owner] = {}
        for _, method in k.links.class_facts(owner).methods if ":" in owner else ():
            for name in k.links.facts(method).stores:
                known.setdefault(name, []).append(method)
    return known


def _shows(source: Source) -> bool:
    """Evidence that is about this rank alone. Chains of containers are cut: what follows from what was shown once."""
    if source.kind == "rank":
        return source.hops == 0
    return source.kind in EVIDENCE and source.origin != "container" and len(source.steps) < 2


def _name_sources(k: Knowledge, function: ir.Function, name: str, e: ir.Name) -> Sources:
    predicate = rank_predicate(k.models, name, None)
    if predicate is not None:
        kind = "rank" if predicate.boolean else "rank-value"
        return frozenset({Source(kind, predicate.axis, name, site_of(function.identity, e))})
    return global_sources(k, function, name)


def _agreed(k: Knowledge, identity: str, e: ir.Call) -> tuple[ir.Expr, ...] | None:
    meaning = meaning_of(k, identity, e)
    if meaning.operation is not None:
        return meaning.agrees if meaning.agrees or meaning.result_agrees else None
    if agreeing_name(k.models, last_name(e.func) or ""):
        return (*e.args, *(keyword.value for keyword in e.keywords))
    if any(_declared_uniform(k, callee) for callee in meaning.target.functions):
        return ()
    return None


def _caught(k: Knowledge, function: ir.Function, statement: ir.Try, handler: ir.Handler) -> Source | None:
    """The exception that leads into a handler, where something in the try body may raise it on one rank only."""
    for call, _ in guarded_calls(statement.body):
        for reason in call_reasons(k, function, call, 2):
            if reason.strength == 1 or reason.kind in _PROTECTING:
                stops = [
                    handler_catches(k, function.identity, handler.types, name) for name in reason.exceptions
                ]
                if any(stop != "no" for stop in stops):
                    text = f"{reason.text} not raising"
                    return Source("caught", "world", text, site_of(function.identity, call), 0, "caught")
    return None

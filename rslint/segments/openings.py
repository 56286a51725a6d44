"""Where the project opens segments: calls of the models, of its own subclasses, and of functions that return one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rslint.flow.knowledge import Knowledge
from rslint.flow.reasons import calls_named
from rslint.models.segment_queries import opener_of
from rslint.models.segment_tables import Argument, Opener
from rslint.project import ir
from rslint.project.links import Links
from rslint.project.text import dotted, expressions, last_name, statements, walk
from rslint.segments.arguments import (
    ATTACH,
    CREATE,
    EITHER,
    argument_of,
    holders_of,
    is_result,
    kind_of,
    lies_below,
)

_HELPERS = 2
"""How many functions may lie between the call that opens and the one that keeps the segment."""


@dataclass(frozen=True)
class Opening:
    """One call that opens a segment.

    `kind` is "create", "attach", or "either" (a parameter decides, or a helper does both). `name` is None for a segment
    that gets a name of its own. `holders` are the dotted texts that hold the handle after the statement; none where it
    goes elsewhere at once (returned, put into a container). `tracked`: the resource tracker of this process hears of
    it. `by_name`: what is opened is a file descriptor, and the segment is removed by its name. `helper` is the function
    of the project that opens it, where another one does. `removes_itself`: the segment goes with its handle, so that
    nobody has to see to it.
    """

    call: ir.Call
    statement: ir.Stmt
    kind: str
    name: ir.Expr | None
    holders: tuple[str, ...]
    tracked: bool
    by_name: bool = False
    helper: str | None = None
    removes_itself: bool = False

    @property
    def creates(self) -> bool:
        return self.kind != ATTACH


Openings = Mapping[str, tuple[Opening, ...]]


def all_openings(k: Knowledge) -> Openings:
    """The openings of every function that has one, by identity; helpers that return a segment are followed."""
    found: dict[str, list[Opening]] = {}
    for identity in _candidates(k):
        for opening in _direct(k, identity):
            found.setdefault(identity, []).append(opening)
    frontier = sorted(found)
    for _ in range(_HELPERS):
        following: list[str] = []
        for helper in frontier:
            handed = _handed_out(k, helper, found[helper])
            for caller, opening in _through(k, helper, handed) if handed is not None else ():
                if all(known.call is not opening.call for known in found.setdefault(caller, [])):
                    found[caller].append(opening)
                    following.append(caller)
        frontier = sorted(set(following))
    return {identity: tuple(opened) for identity, opened in sorted(found.items()) if opened}


def _candidates(k: Knowledge) -> list[str]:
    """Functions that call something by the name of an opener, however it was imported, or of a subclass."""
    links, known = k.links, k.models.segments.opener_names
    found: set[str] = set()
    for name in sorted(known):
        word = k.models.segments.opener_words.get(name)
        modules = None if word is None else set(links.modules_naming(word))
        if modules == set():
            continue
        found.update(f for f in links.calling(name) if modules is None or f.partition(":")[0] in modules)
        for alias in sorted(_aliases(links, name, modules)):
            found.update(links.calling(alias))
    return sorted(found)


def _aliases(links: Links, name: str, modules: set[str] | None) -> set[str]:
    """Other names under which modules import `name`, and those of the project's classes that derive from it."""
    found: set[str] = set()
    for module in links.modules_naming(name) if modules is None else sorted(modules):
        facts = links.store.facts(module)
        for bound, target in facts.imports if facts else ():
            if target.endswith(f".{name}") and bound != name:
                found.add(bound)
    for module in links.store.modules_deriving(name):
        facts = links.store.facts(module)
        found |= (
            {one.name for one in facts.classes if any(name in base for base in one.bases)} if facts else set()
        )
    return found - {name}


def _direct(k: Knowledge, identity: str) -> Iterator[Opening]:
    function = k.links.ir(identity)
    for statement in statements(function.body):
        for part in expressions(statement):
            for e in walk(part):
                if isinstance(e, ir.Call):
                    opening = _opening(k, function, statement, e)
                    if opening is not None:
                        yield opening


def _opening(k: Knowledge, function: ir.Function, statement: ir.Stmt, call: ir.Call) -> Opening | None:
    if last_name(call.func) is None:
        return None
    target = k.links.resolve(function.identity, call)
    if target.constructs is not None and ":" in target.constructs:
        opener = _inherited(k, target.constructs)
    elif target.functions:
        return None
    else:
        opener = opener_of(k.models, target.external, target.text)
    if opener is None:
        return None
    name = argument_of(call, opener.name)
    if opener.folders and not lies_below(k, function, name, opener.folders):
        return None
    kind = kind_of(function, call, opener)
    if kind == ATTACH and name is None:
        return None  # nothing to attach to: a manager's segment
    holders = holders_of(statement, call)
    if opener.handle is not None:
        holders = tuple(text for holder in holders for text in (f"{holder}.{opener.handle}", holder))
    track = argument_of(call, opener.track)
    untracked = isinstance(track, ir.Constant) and track.value is False
    return Opening(
        call,
        statement,
        kind,
        None if isinstance(name, ir.Constant) and name.kind == "NoneType" else name,
        holders,
        opener.tracked and not untracked,
        by_name=opener.flags is not None,
        removes_itself=opener.removes_itself,
    )


def left_behind(openings: Openings) -> Openings:
    """The openings without those of segments that go with their handle."""
    return {
        identity: tuple(opening for opening in opened if not opening.removes_itself)
        for identity, opened in openings.items()
    }


def _inherited(k: Knowledge, class_id: str) -> Opener | None:
    """A class of the project that derives from an opener; its own constructor may know other parameters."""
    for ancestor in k.links.mro(class_id):
        if ":" not in ancestor:
            opener = opener_of(k.models, ancestor, ancestor.rpartition(".")[2])
            if opener is not None:
                return _constructed(k, class_id, opener)
    return None


def _constructed(k: Knowledge, class_id: str, opener: Opener) -> Opener:
    own = k.links.method(class_id, "__init__")
    if own is None:
        return opener
    parameters = [p.name for p in k.links.ir(own).parameters if p.kind == "positional"][1:]

    def placed(argument: Argument | None) -> Argument | None:
        if argument is None:
            return None
        return argument[0], parameters.index(argument[0]) if argument[0] in parameters else None

    calls = set(k.links.facts(own).calls)
    return replace(
        opener,
        name=placed(opener.name) or opener.name,
        create=placed(opener.create),
        tracked=opener.tracked and "__init__" in calls and not calls & {"unregister", "shm_open"},
    )


def _handed_out(k: Knowledge, helper: str, opened: list[Opening]) -> Opening | None:
    """What a function opens and returns, as one opening; None where it returns none."""
    function = k.links.ir(helper)
    returned = [
        opening
        for opening in opened
        for statement in statements(function.body)
        if isinstance(statement, ir.Return) and statement.value is not None
        if is_result(statement.value, opening.call) or dotted(statement.value) in opening.holders
    ]
    if not returned or function.is_generator:
        return None
    kinds = {opening.kind for opening in returned}
    return replace(
        returned[0],
        kind=kinds.pop() if len(kinds) == 1 else EITHER,
        tracked=any(o.tracked for o in returned if o.kind != CREATE) or all(o.tracked for o in returned),
        helper=helper,
    )


def _through(k: Knowledge, helper: str, handed: Opening) -> Iterator[tuple[str, Opening]]:
    """The calls of a helper, as openings of their callers."""
    function = k.links.ir(helper)
    for caller in k.links.calling(function.name):
        calls = [
            call
            for call in calls_named(k, caller, function.name)
            if k.links.resolve(caller, call).functions == (helper,)
        ]
        for statement in statements(k.links.ir(caller).body) if calls else ():
            for part in expressions(statement):
                for e in walk(part):
                    if any(e is call for call in calls) and isinstance(e, ir.Call):
                        name = _name_given(function, handed.name, e)
                        yield (
                            caller,
                            replace(
                                handed,
                                call=e,
                                statement=statement,
                                name=name,
                                holders=holders_of(statement, e),
                            ),
                        )


def _name_given(helper: ir.Function, name: ir.Expr | None, call: ir.Call) -> ir.Expr | None:
    """The segment's name as the caller of a helper knows it: the argument for the parameter that it is."""
    if not isinstance(name, ir.Name):
        return name
    parameters = [p.name for p in helper.parameters if p.kind == "positional"]
    if helper.owner is not None and parameters[:1] in (["self"], ["cls"]):
        parameters = parameters[1:]
    position = parameters.index(name.id) if name.id in parameters else None
    return argument_of(call, (name.id, position)) or name

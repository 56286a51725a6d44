"""Attaches that may come before the segment is there, or before it has its size (RS305)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.exception_classes import handler_catches
from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_of, guarded_calls
from rslint.models.segment_queries import acknowledges, agrees_in, publishes
from rslint.project import ir
from rslint.project.text import last_name, render, statements
from rslint.segments.arguments import ATTACH, CREATE
from rslint.segments.openings import Opening, Openings
from rslint.segments.surroundings import stopped_here, tests_of

_WAITING = frozenset({"sleep", "wait", "wait_for", "flock", "lockf", "acquire", "retry", "poll"})


@dataclass(frozen=True)
class EarlyAttach:
    """An attach that nothing orders after the creation. `kind`: "branch" (one arm of a test makes, the other attaches)
    or "half-made" (the maker has opened the segment and not sized it yet)."""

    kind: str
    function: str
    site: Site
    statement: Site
    made: Site


def early_attaches(k: Knowledge, openings: Openings, concerned: tuple[str, ...]) -> Iterator[EarlyAttach]:
    """The racing attaches of a project, in order of place."""
    for identity in concerned:
        function = k.links.ir(identity)
        opened = [o for o in openings.get(identity, ()) if o.helper is None]
        made = [o for o in opened if o.kind == CREATE]
        for opening in opened:
            if opening.kind != ATTACH or not made:
                continue
            kind = _kind(k, function, opening, made[0])
            if kind is not None:
                site, statement = site_of(identity, opening.call), site_of(identity, opening.statement)
                yield EarlyAttach(kind, identity, site, statement, site_of(identity, made[0].call))


def _kind(k: Knowledge, function: ir.Function, attach: Opening, made: Opening) -> str | None:
    identity = function.identity
    for s in statements(function.body):
        if isinstance(s, ir.Try) and _holds(s.body, made.call):
            for handler in s.handlers:
                if _holds(handler.body, attach.call):
                    expected = handler_catches(k, identity, handler.types, "FileExistsError") == "yes"
                    waits = any(last_name(c.func) in _WAITING for c, _ in calls_of(k, identity))
                    return "half-made" if expected and not waits else None
    if render(attach.name) != render(made.name) or stopped_here(
        k, identity, attach.call, "FileNotFoundError"
    ):
        return None
    tests = {render(test) for test in tests_of(function, attach.call)}
    shared = tests & {render(test) for test in tests_of(function, made.call)}
    return "branch" if shared and not _waits_before(k, identity, attach.call) else None


def _holds(body: tuple[ir.Stmt, ...], call: ir.Call) -> bool:
    return any(one is call for one, _ in guarded_calls(body))


def _waits_before(k: Knowledge, identity: str, attach: ir.Call) -> bool:
    """Whether something before the attach waits for the maker: a collective, an answer, a message with the name."""
    for call, _ in calls_of(k, identity):
        if call.span.row >= attach.span.row:
            continue
        meaning = meaning_of(k, identity, call)
        target = meaning.target
        asked = (target.external, target.text, target.receiver_types)
        if meaning.operation is not None and agrees_in(k.models, meaning.operation):
            return True
        if "barrier" in target.text or acknowledges(k.models, *asked) or publishes(k.models, *asked):
            return True
    return False

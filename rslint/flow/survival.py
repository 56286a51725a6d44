"""What becomes of a process after an exception: does a caller swallow it, does a thread end, or the process die?"""

from __future__ import annotations

import msgspec

from rslint.flow.aftermath import guards, up_to, way_to, works_on
from rslint.flow.callers import called_name, near
from rslint.flow.exception_classes import handler_catches, passed_on
from rslint.flow.forest import Site
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import Around, calls_of, guarded_calls, swallows
from rslint.flow.record import CallSite, Step
from rslint.models import entry_name, starter_of, terminates
from rslint.project import ir
from rslint.project.modules import outside_production
from rslint.project.text import children, dotted, expressions, last_name, statements

DEPTH = 7


class Survival(msgspec.Struct, frozen=True, array_like=True):
    """`fate`: "swallowed" (the process lives on and its peers hang), "thread" (only a thread or task ends), "dies" (of
    the exception, or because its main function reports it and returns) or "unknown" (no caller is known). `steps`
    leads from the function up to the place that decides."""

    fate: str
    steps: tuple[Step, ...] = ()

    @property
    def lives(self) -> bool:
        return self.fate in ("swallowed", "thread")


def survival(k: Knowledge, identity: str, exception: str) -> Survival:
    """Walk the callers, nearest first, to the first that swallows; else the best that is known of the others.

    Callers in tests count for what stands in tests itself: what a test catches is no protection in production.
    """
    seen = {identity}
    frontier: list[tuple[str, str, tuple[Step, ...]]] = [(identity, exception, ())]
    died: Survival | None = None
    for _ in range(DEPTH):
        following: list[tuple[str, str, tuple[Step, ...]]] = []
        for function, raised, steps in frontier:
            if died is None and entry_name(k.models, _name(function)):
                died = Survival("dies", steps)
            for site in _uses_beside(k, function, raised, identity):
                fate, step = _decided(k, site, raised, identity)
                if fate in ("swallowed", "thread"):
                    return Survival(fate, (*steps, step))
                if fate == "dies":
                    died = died or Survival(fate, (*steps, step))
                elif site.site.function not in seen:
                    seen.add(site.site.function)
                    following.append((site.site.function, site.raised, (*steps, step)))
        if not following:
            break
        frontier = following
    return died or Survival("unknown")


def _decided(k: Knowledge, use: CallSite, exception: str, identity: str) -> tuple[str, Step]:
    """The fate that one use of a function decides, "unknown" where it is its caller's; `identity` is where the finding
    stands."""
    if use.how in ("thread", "task"):
        return "thread", Step(f"runs as a {use.how} of its own", use.site)
    if use.how == "process":
        return "dies", Step("is the main function of a process", use.site)
    if use.fate == "swallowed":
        return _caught(k, use.site, exception, identity)
    if use.fate == "kills":
        return "dies", Step("ends the process", use.site)
    return "unknown", Step("is called from here", use.site)


def caught_here(k: Knowledge, site: Site, exception: str) -> Survival:
    """What becomes of the process when the function itself swallows an exception of the call at `site`."""
    fate, step = _caught(k, site, exception, site.function)
    return Survival(fate, (step,) if fate == "dies" else ())


def _caught(k: Knowledge, site: Site, exception: str, identity: str) -> tuple[str, Step]:
    """The process lives on, unless its main function catches and has nothing more to do."""
    way = way_to(k.links.ir(site.function).body, site)
    stop, _ = _stop(k, site.function, guards(way), exception)
    ends = stop is not None and _is_main(k, site.function, exception, identity)
    if stop is not None and ends and not works_on(k, site.function, up_to(way, stop[0]), stop[1]):
        return "dies", Step("reports the exception and the process ends", site)
    return "swallowed", Step("swallows the exception", site)


def _is_main(k: Knowledge, function: str, exception: str, identity: str) -> bool:
    """Whether a process ends with the function: one is started with it, or it has the name of a main function and no
    caller that works on when it has returned."""
    uses = _uses_beside(k, function, exception, identity)
    if any(use.how in ("thread", "task") for use in uses):
        return False
    if any(use.how == "process" for use in uses):
        return True
    return entry_name(k.models, _name(function)) and not any(_works_after(k, use.site) for use in uses)


def _works_after(k: Knowledge, site: Site) -> bool:
    return works_on(k, site.function, way_to(k.links.ir(site.function).body, site))


def _name(identity: str) -> str:
    return identity.rpartition(":")[2].rpartition(".")[2]


def _uses_beside(k: Knowledge, function: str, exception: str, identity: str) -> tuple[CallSite, ...]:
    """The uses of a function that count for what stands in `identity`."""
    uses = uses_of(k, function, exception)
    if outside_production(identity.partition(":")[0]):
        return uses
    return tuple(use for use in uses if not outside_production(use.site.function.partition(":")[0]))


def uses_of(k: Knowledge, identity: str, exception: str) -> tuple[CallSite, ...]:
    """Where the function is called, handed to a thread or task, or kept for a dispatcher; in order of place."""
    key = (identity, exception)
    known = k.uses.get(key)
    if known is None:
        known = k.uses[key] = _uses(k, identity, exception)
    return known


def _uses(k: Knowledge, identity: str, exception: str) -> tuple[CallSite, ...]:
    name = called_name(identity)
    found: list[CallSite] = []
    for caller in near(k, k.links.calling(name), name, (identity,)):
        found += [site for site in sites_in(k, caller, exception, name) if site.target == identity]
    for caller in near(k, k.links.mentioning(name), name, (identity,)):
        found += _references(k, caller, name, identity, exception)
    return tuple(sorted(found, key=lambda s: (s.site.function, s.site.row, s.site.column)))


def sites_in(k: Knowledge, caller: str, exception: str, name: str | None = None) -> tuple[CallSite, ...]:
    """The calls of project functions in `caller` (only those spelled `name`, where given), with the fate of an
    exception that comes out of them."""
    key = f"{caller}!{exception}!{name or ''}"
    known = k.sites.get(key)
    if known is None:
        found: list[CallSite] = []
        for call, around in calls_of(k, caller):
            if name is not None and last_name(call.func) != name:
                continue
            targets = meaning_of(k, caller, call).target.functions
            if targets:
                how, at = _started(k, caller, call)
                fate, raised = "escapes", exception
                if how == "call":
                    fate, raised = fate_of(k, caller, around, exception)
                found += [CallSite(target, site_of(caller, at), how, fate, raised) for target in targets]
        known = k.sites[key] = tuple(found)
    return known


def _started(k: Knowledge, caller: str, coroutine: ir.Call) -> tuple[str, ir.Call]:
    """How a call is run: at once, or as a coroutine that a starter is given (`asyncio.create_task(pump(x))`)."""
    for call, _ in calls_of(k, caller):
        if any(part is coroutine for part in call.args):
            how = starter_of(k.models, *_starter(k, caller, call))
            return (how, call) if how is not None else ("call", coroutine)
    return "call", coroutine


def fate_of(k: Knowledge, identity: str, around: Around, exception: str) -> tuple[str, str]:
    """What the statements around a call make of an exception ("escapes", "swallowed" or "kills"), and which one it is
    then: a handler may raise another one instead."""
    stop, raised = _stop(k, identity, around, exception)
    if stop is None:
        return "escapes", raised
    return "kills" if stop[1] is not None and _kills(k, identity, stop[1]) else "swallowed", raised


def _stop(
    k: Knowledge, identity: str, around: Around, exception: str
) -> tuple[tuple[ir.Try | ir.With, ir.Handler | None] | None, str]:
    """The innermost statement that the exception does not come out of, and the handler that stops it there; and the
    exception that is stopped, or comes out of all."""
    for outer in around:
        if isinstance(outer, ir.With):
            if swallows(k, identity, outer, exception):
                return (outer, None), exception
            continue
        for handler in outer.handlers:
            if handler_catches(k, identity, handler.types, exception) != "no":
                label = passed_on(k, identity, handler, exception)
                if label is None or _kills(k, identity, handler):
                    return (outer, handler), exception
                exception = label
                break
    return None, exception


def _kills(k: Knowledge, identity: str, handler: ir.Handler) -> bool:
    for call, _ in guarded_calls(handler.body):
        target = meaning_of(k, identity, call).target
        if terminates(k.models, target.external, target.text):
            return True
    return False


def _references(k: Knowledge, caller: str, name: str, identity: str, exception: str) -> list[CallSite]:
    """Uses of the function as a value: targets of threads, callbacks, entries of dispatch tables."""
    function = k.links.ir(caller)
    found: list[CallSite] = []
    for statement in statements(function.body):
        for part in expressions(statement):
            for call, mention in _mentions(part, name):
                if identity not in k.links.resolve(caller, mention).functions:
                    continue
                site = site_of(caller, mention)
                how = starter_of(k.models, *_starter(k, caller, call)) if call is not None else None
                if how is not None:
                    found.append(CallSite(identity, site, how, "escapes", exception))
                elif isinstance(statement, ir.Assign):
                    found += _dispatched(k, caller, statement, identity, exception)
                elif call is not None:
                    found.append(CallSite(identity, site, "reference", *_fate_at(k, caller, call, exception)))
    return found


def _starter(k: Knowledge, caller: str, call: ir.Call) -> tuple[str | None, str]:
    target = meaning_of(k, caller, call).target
    return target.external, target.text


def _mentions(part: ir.Expr, name: str) -> list[tuple[ir.Call | None, ir.Expr]]:
    """Mentions of `name` as a value, each with the innermost call it is an argument of."""
    found: list[tuple[ir.Call | None, ir.Expr]] = []
    stack: list[tuple[ir.Expr, ir.Call | None]] = [(part, None)]
    while stack:
        e, call = stack.pop()
        if isinstance(e, ir.Name | ir.Attribute) and last_name(e) == name:
            found.append((call, e))
            continue
        if isinstance(e, ir.Call):
            if not isinstance(e.func, ir.Name | ir.Attribute):
                stack.append((e.func, call))
            elif isinstance(e.func, ir.Attribute):
                stack.append((e.func.value, call))
            stack.extend((argument, e) for argument in (*e.args, *(w.value for w in e.keywords)))
        else:
            stack.extend((inner, call) for inner in children(e))
    return found


def _dispatched(
    k: Knowledge, caller: str, statement: ir.Assign, identity: str, exception: str
) -> list[CallSite]:
    """The table a reference is kept in (`self.dispatch = {Request: self.handle}`) is called somewhere in the class."""
    found: list[CallSite] = []
    for target in statement.targets:
        name = dotted(target)
        if name is None or not name.startswith("self."):
            continue
        attribute = name.removeprefix("self.")
        owner = k.links.ir(caller).owner
        for user in sorted({*k.links.calling(attribute), *k.links.mentioning(attribute)}):
            function = k.links.ir(user)
            if function.owner is None or owner is None or not _related(k, function.owner, owner):
                continue
            entries = _entries(function, name)
            for call, around in calls_of(k, user):
                if _reads(call.func, name) or dotted(call.func) in entries:
                    fate = fate_of(k, user, around, exception)
                    found.append(CallSite(identity, site_of(user, call), "reference", *fate))
    return found


def _entries(function: ir.Function, table: str) -> set[str]:
    """Local names assigned from an entry of the table: `handler = self.handlers[kind]`, `.get(kind)`."""
    return {
        target.id
        for statement in statements(function.body)
        if isinstance(statement, ir.Assign) and statement.value is not None and _reads(statement.value, table)
        for target in statement.targets
        if isinstance(target, ir.Name)
    }


def _reads(e: ir.Expr, table: str) -> bool:
    """The table itself, `table[...]` or `table.get(...)`."""
    if isinstance(e, ir.Subscript):
        return dotted(e.value) == table
    if isinstance(e, ir.Call) and isinstance(e.func, ir.Attribute) and e.func.attr in ("get", "pop"):
        return dotted(e.func.value) == table
    return dotted(e) == table


def _related(k: Knowledge, left: str, right: str) -> bool:
    return left == right or left in k.links.mro(right) or right in k.links.mro(left)


def _fate_at(k: Knowledge, caller: str, call: ir.Call, exception: str) -> tuple[str, str]:
    for other, around in calls_of(k, caller):
        if other is call:
            return fate_of(k, caller, around, exception)
    return "escapes", exception

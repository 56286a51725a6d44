"""What code does with a handle: other names for it, removal of its segment, handing it on to somebody who keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rslint.flow.knowledge import Knowledge
from rslint.flow.meaning import meaning_of
from rslint.flow.reasons import calls_named, calls_of
from rslint.models.segment_queries import keeps, removal_of
from rslint.project import ir
from rslint.project.text import children, dotted, expressions, last_name, render, statements, walk
from rslint.segments.arguments import argument_of

DEPTH = 3
"""How many calls a removal may lie below the place that is looked at."""

Texts = frozenset[str]
NO_TEXTS: Texts = frozenset()


def handle_text(e: ir.Expr) -> str | None:
    """The dotted text of a handle: `shm`, `self.shm`, and `getattr(self, "shm", None)`."""
    if isinstance(e, ir.Call) and last_name(e.func) == "getattr" and len(e.args) >= 2:
        owner, attribute = dotted(e.args[0]), e.args[1]
        if owner is not None and isinstance(attribute, ir.Constant) and isinstance(attribute.value, str):
            return f"{owner}.{attribute.value}"
    return dotted(e)


def aliases(function: ir.Function, seeds: Iterable[str]) -> Texts:
    """The dotted texts by which a function may speak of what `seeds` hold, whatever the order of its statements."""
    found = set(seeds)
    while True:
        before = len(found)
        for statement in statements(function.body):
            for target, value in _bound(statement):
                if any(handle_text(one) in found for one in _alternatives(value)):
                    found.update(name for name in (dotted(target),) if name is not None)
        if len(found) == before:
            return frozenset(found)


def named_alike(function: ir.Function, names: Texts) -> Texts:
    """The names, and what the function makes of them: paths, lists of paths, the items of such a list."""
    found = set(names)
    while True:
        before = len(found)
        for s in statements(function.body):
            value = s.value if isinstance(s, ir.Assign) else s.iterable if isinstance(s, ir.For) else None
            if value is None or not spells(value, frozenset(found)):
                continue
            for target in (
                s.targets if isinstance(s, ir.Assign) else (s.target,) if isinstance(s, ir.For) else ()
            ):
                items = target.items if isinstance(target, ir.Collection) else (target,)
                found.update(text for item in items if (text := dotted(item)) not in (None, "_", "self"))
        if len(found) == before:
            return frozenset(found)


def _bound(s: ir.Stmt) -> Iterator[tuple[ir.Expr, ir.Expr]]:
    """Pairs of a target and what it is bound to; every item of a literal that a loop goes through."""
    for part in expressions(s):
        for e in walk(part):
            if isinstance(e, ir.NamedExpr):
                yield e.target, e.value
    if isinstance(s, ir.Assign) and s.value is not None and s.operator is None:
        for target in s.targets:
            if isinstance(target, ir.Collection) and isinstance(s.value, ir.Collection):
                yield from zip(target.items, s.value.items, strict=False)
            else:
                yield target, s.value
    elif isinstance(s, ir.For) and isinstance(s.iterable, ir.Collection):
        for item in s.iterable.items:
            pairs = isinstance(s.target, ir.Collection) and isinstance(item, ir.Collection)
            yield from zip(s.target.items, item.items, strict=False) if pairs else ((s.target, item),)  # type: ignore[union-attr]
    elif isinstance(s, ir.With):
        for context in s.items:
            if context.target is not None:
                yield context.target, context.context
                if isinstance(context.context, ir.Call) and len(context.context.args) == 1:
                    yield context.target, context.context.args[0]  # contextlib.closing


def _alternatives(value: ir.Expr) -> Iterator[ir.Expr]:
    match value:
        case ir.IfExp():
            yield from _alternatives(value.body)
            yield from _alternatives(value.orelse)
        case ir.BoolOp():
            for one in value.values:
                yield from _alternatives(one)
        case ir.NamedExpr() | ir.Await():
            yield from _alternatives(value.value)
        case _:
            yield value


def bare_mentions(e: ir.Expr, holders: Texts) -> Iterator[ir.Expr]:
    """Where an expression uses the handle itself, not something of it (`shm.buf`, `shm.name`)."""
    if handle_text(e) in holders:
        yield e
        return
    if isinstance(e, ir.Attribute) and dotted(e) is not None:
        return
    for part in children(e):
        if isinstance(e, ir.Call) and part is e.func:
            if not isinstance(part, ir.Attribute):
                yield from bare_mentions(part, holders)
            elif dotted(part) is None:
                yield from bare_mentions(part.value, holders)
            continue
        yield from bare_mentions(part, holders)


# Removal -------------------------------------------------------------------------------------------------------------


def removes(
    k: Knowledge, identity: str, call: ir.Call, holders: Texts, names: Texts, depth: int = DEPTH
) -> bool:
    """Whether a call removes the segment that `holders` hold or whose name is spelled as one of `names`, itself or by
    what it calls; conditions on the way are not asked."""
    if last_name(call.func) in k.models.segments.removal_names and _removes_itself(
        k, identity, call, holders, names
    ):
        return True
    if depth <= 0:
        return False
    target = meaning_of(k, identity, call).target
    for callee in target.functions[:4]:
        passed, spelled = _inside(k, call, k.links.ir(callee), holders, names)
        if (passed or spelled) and function_removes(k, callee, passed, spelled, depth - 1):
            return True
    return False


def function_removes(k: Knowledge, identity: str, holders: Texts, names: Texts, depth: int = DEPTH) -> bool:
    """Whether a function removes such a segment on some way through it."""

    def compute() -> bool:
        function = k.links.ir(identity)
        known = aliases(function, holders) if holders else holders
        spelled = named_alike(function, names) if names else names
        return any(removes(k, identity, call, known, spelled, depth) for call, _ in calls_of(k, identity))

    return k.links.remember(("segment removed", identity, holders, names, depth), compute)


def _removes_itself(k: Knowledge, identity: str, call: ir.Call, holders: Texts, names: Texts) -> bool:
    target = meaning_of(k, identity, call).target
    hit = removal_of(k.models, target.external, target.text, target.receiver_types)
    if hit is None:
        return False
    if hit.value is None:
        receiver = call.func.value if isinstance(call.func, ir.Attribute) else None
        if receiver is None:
            return False
        inner = receiver.args[0] if isinstance(receiver, ir.Call) and receiver.args else None
        return handle_text(receiver) in holders or (inner is not None and spells(inner, names))
    # By its name; a function of the module of one of the models, or a file's.
    given = argument_of(call, hit.value)
    if given is None and call.args:
        given = call.args[0]
    return given is not None and (
        spells(given, names) or any(_named_of(part, holders) for part in walk(given))
    )


def spells(e: ir.Expr, names: Texts) -> bool:
    """Whether an expression is, or is made of, one of these names."""
    return render(e) in names or any(dotted(part) in names for part in walk(e))


def _named_of(e: ir.Expr, holders: Texts) -> bool:
    return isinstance(e, ir.Attribute) and e.attr in ("name", "_name") and handle_text(e.value) in holders


def _inside(
    k: Knowledge, call: ir.Call, callee: ir.Function, holders: Texts, names: Texts
) -> tuple[Texts, Texts]:
    """The texts under which a callee knows the handle and the name: attributes of the same object, and arguments."""
    parameters = [p.name for p in callee.parameters if p.kind in ("positional", "keyword")]
    passed: set[str] = set()
    spelled: set[str] = set()
    receiver = dotted(call.func.value) if isinstance(call.func, ir.Attribute) else None
    if callee.owner is not None and parameters[:1] in (["self"], ["cls"]):
        own = parameters.pop(0)
        if receiver is not None:
            passed |= {own + h[len(receiver) :] for h in holders if h.startswith(f"{receiver}.")}
            spelled |= {own + n[len(receiver) :] for n in names if n.startswith(f"{receiver}.")}
    given = [*zip(parameters, call.args, strict=False)]
    given += [(w.name, w.value) for w in call.keywords if w.name is not None]
    for parameter, argument in given:
        if handle_text(argument) in holders:
            passed.add(parameter)
        elif spells(argument, names) or _named_of(argument, holders):
            spelled.add(parameter)
    return frozenset(passed), frozenset(spelled)


def class_removes(k: Knowledge, class_id: str, attribute: str) -> bool:
    """Whether a class, one above or below it, or anybody by the attribute's name, removes the segment it holds."""
    holder = frozenset({f"self.{attribute}"})
    related = [c for c in (*k.links.mro(class_id), *k.links.subclasses(class_id)) if ":" in c]
    for one in related:
        for _, method in k.links.class_facts(one).methods:
            if function_removes(k, method, holder, NO_TEXTS, 1):
                return True
    for function in k.links.calling("unlink"):
        for call in calls_named(k, function, "unlink"):
            if isinstance(call.func, ir.Attribute) and last_name(call.func.value) == attribute:
                return True
    return False


def destructor_removes(k: Knowledge, class_id: str, holders: Texts, names: Texts) -> bool:
    """Whether the class's `__del__` removes them: it runs for a half-built object too."""
    method = k.links.method(class_id, "__del__")
    return method is not None and function_removes(k, method, holders, names)


# Handing on ----------------------------------------------------------------------------------------------------------


def registers(k: Knowledge, identity: str, call: ir.Call, holders: Texts) -> bool:
    """Whether a call gives the removal to `atexit`, a finalizer, an exit stack."""
    target = meaning_of(k, identity, call).target
    if not keeps(k.models, target.external, target.text):
        return False
    arguments = [*call.args, *[word.value for word in call.keywords]]
    return any(_takes_over(k, identity, argument, holders) for argument in arguments)


def hands_on(k: Knowledge, identity: str, call: ir.Call, holders: Texts) -> bool:
    """Whether a call gives the handle to somebody who keeps it: a container, an object that is built with it, a
    function of the project that stores it."""
    target = meaning_of(k, identity, call).target
    arguments = [*call.args, *[word.value for word in call.keywords]]
    given = [argument for argument in arguments if any(True for _ in bare_mentions(argument, holders))]
    if not given:
        return any(_named_of(argument, holders) for argument in arguments) and _stores(call)
    if target.constructs is not None or _stores(call):
        return True
    return any(_is_kept(k, callee, call, holders) for callee in target.functions[:4])


_STORING = frozenset({
    "append", "appendleft", "add", "put", "put_nowait", "insert", "extend", "update", "setdefault", "register", "set",
    "setattr", "__setitem__", "track", "push", "partial",
})  # fmt: skip


def _stores(call: ir.Call) -> bool:
    return last_name(call.func) in _STORING


def _takes_over(k: Knowledge, identity: str, e: ir.Expr, holders: Texts) -> bool:
    """What is to be called later is the removal, speaks of the handle, or is a function that removes it."""
    inner = e.body if isinstance(e, ir.Lambda) else e
    if any(handle_text(part) in holders for part in walk(inner)):
        return True
    if dotted(e) is None:
        return False
    return any(function_removes(k, f, holders, NO_TEXTS) for f in k.links.resolve(identity, e).functions[:4])


def _is_kept(k: Knowledge, callee: str, call: ir.Call, holders: Texts) -> bool:
    """Whether a function of the project stores, returns or passes on what it is given."""
    function = k.links.ir(callee)
    passed, _ = _inside(k, call, function, holders, NO_TEXTS)
    passed = frozenset(text for text in passed if "." not in text)
    if not passed:
        return False
    for statement in statements(function.body):
        if not isinstance(statement, ir.Assign | ir.Return) or statement.value is None:
            continue
        if not any(True for _ in bare_mentions(statement.value, passed)):
            continue
        if isinstance(statement, ir.Return) or any(not isinstance(t, ir.Name) for t in statement.targets):
            return True
    return any(_stores(inner) and hands_on(k, callee, inner, passed) for inner, _ in calls_of(k, callee))

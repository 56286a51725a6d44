"""Failure folds into the flag: what raises on some rank sets the success flag that a reduction shares anyway.

The reduction then runs on every rank and no collective is added. Behind it the failing rank raises its own
exception, to the handlers it reached before; its peers see the reduced flag fail and go on as after any other
failure of theirs. That is in step only if no further collective follows, which is checked here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from rslint.finding import Applicability
from rslint_rules.divergence.repair import names
from rslint_rules.divergence.repair.plan import Insert, Plan, Wrap, start
from rslint_rules.divergence.repair.site import Site, own_nodes
from rslint_rules.divergence.repair.torch_calls import GROUP_POSITIONS, last_name

_ALL_MUST_HOLD = frozenset({"MIN", "PRODUCT", "BAND"})
_ONE_IS_ENOUGH = frozenset({"MAX", "SUM", "BOR"})
_NAMES_A_FAILURE = re.compile(r"(?<![a-z])(fail|failed|failure|failures|error|errors|errored)(?![a-z])")
_NAMES_A_SUCCESS = re.compile(
    r"(?<![a-z])(ok|success|succeeded|successful|flag|done|good|valid|healthy)(?![a-z])"
)
_CONVERSIONS = frozenset({"int", "float", "bool"})
_MESSAGE = "Set the flag on failure, so that every rank takes part in the reduction"


def _operation(call: ast.Call) -> str:
    """The reduction's name (SUM if none is given), "" if it is no constant of `ReduceOp`."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "op"] or call.args[1:2]
    if given and isinstance(given[0], ast.Attribute) and "ReduceOp" in ast.unparse(given[0].value):
        return given[0].attr
    return "" if given else "SUM"


def _failing_value(element: ast.expr, operation: str) -> tuple[str, str] | None:
    """(flag, value) such that the reduction fails when `flag` has `value`; None when that is not clear."""
    inverted = False
    while True:
        if (isinstance(element, ast.List) and len(element.elts) == 1) or (
            isinstance(element, ast.Call)
            and isinstance(element.func, ast.Name)
            and element.func.id in _CONVERSIONS
            and len(element.args) == 1
            and not element.keywords
        ):
            element = element.elts[0] if isinstance(element, ast.List) else element.args[0]
        elif isinstance(element, ast.UnaryOp) and isinstance(element.op, ast.Not):
            inverted, element = not inverted, element.operand
        elif isinstance(element, ast.IfExp) and _zero_and_one(element):
            assert isinstance(element.body, ast.Constant)
            inverted, element = inverted == bool(element.body.value), element.test
        else:
            break
    if not isinstance(element, ast.Name):
        return None
    fails_at = "False" if not inverted else "True"
    names_failure = bool(_NAMES_A_FAILURE.search(element.id.lower()))
    if operation in _ALL_MUST_HOLD and names_failure == inverted:
        return element.id, fails_at
    if operation in _ONE_IS_ENOUGH and names_failure != inverted:
        return element.id, "True" if not inverted else "False"
    return None


def _zero_and_one(choice: ast.IfExp) -> bool:
    ends = (choice.body, choice.orelse)
    values = [
        end.value for end in ends if isinstance(end, ast.Constant) and isinstance(end.value, int | float)
    ]
    return sorted(values) == [0, 1]


def _flag_of(
    tensor: str, statements: Sequence[ast.stmt], operation: str
) -> tuple[ast.Assign, str, str] | None:
    """The statement that makes the reduced tensor, the flag it is made of and the flag's failing value."""
    makers = [s for s in statements if tensor in names.bound([s])]
    if len(makers) != 1 or not isinstance(makers[0], ast.Assign) or len(makers[0].targets) != 1:
        return None
    value = makers[0].value
    if not isinstance(makers[0].targets[0], ast.Name) or not isinstance(value, ast.Call) or not value.args:
        return None
    if ast.unparse(value.func) not in ("torch.tensor", "tensor"):
        return None
    found = _failing_value(value.args[0], operation)
    return None if found is None else (makers[0], *found)


def _reduction_block(site: Site) -> tuple[Sequence[ast.stmt], int] | None:
    """The block and index of the reduction: a sibling of what raises, or inside one plain `if` beside it."""
    path = site.collective_path
    if len(path) == 2 and isinstance(path[0].statement, ast.If) and path[1].field == "body":
        if path[0].statement.orelse:
            return None
    elif len(path) != 1:
        return None
    step = path[-1]
    is_statement = isinstance(step.statement, ast.Expr) and step.statement.value is site.collective
    return (step.block, step.index) if is_statement else None


def fold(site: Site, follows_another: bool) -> Plan | None:
    """The repair; None unless the reduced tensor is made of one clear flag.

    `follows_another`: the ranks that do not fail run another collective behind the reduction.
    """
    reduction = _reduction_block(site)
    if (
        follows_another
        or reduction is None
        or last_name(site.collective) != "all_reduce"
        or _runs_again(site)
    ):
        return None
    if (
        not site.collective.args
        or not isinstance(site.collective.args[0], ast.Name)
        or _asynchronous(site.collective)
    ):
        return None
    tensor = site.collective.args[0].id
    block, index = reduction
    before_it = list(block[:index])
    same_block = block is site.block
    found = _flag_of(tensor, before_it, _operation(site.collective))
    if found is None:
        return _fold_into_tensor(site, tensor)
    maker, flag, failing = found
    end = site.block.index(maker) if same_block else site.collective_index
    region = site.block[site.first : end]
    between = [*site.block[end : site.collective_index], *([] if same_block else before_it)]
    if not region or site.last >= end or not _is_local_flag(site, region, flag):
        return None
    if not _is_boolean(site, flag, maker):
        return None
    outside = site.block[site.collective_index] if not same_block else None
    if not _independent(between, region, flag, site.collective, outside):
        return None
    return _plan(site, region, f"{flag} = {failing}")


def _fold_into_tensor(site: Site, tensor: str) -> Plan | None:
    """`ok = torch.ones(1)` before what may raise: the reduced tensor is itself the flag."""
    region = site.block[site.first : site.collective_index]
    outside = [site.block[site.collective_index]] if len(site.collective_path) > 1 else []
    makers = [s for s in own_nodes(site.function) if isinstance(s, ast.stmt) and tensor in names.bound([s])]
    if len(makers) != 1 or makers[0] not in site.block[: site.first] or not isinstance(makers[0], ast.Assign):
        return None
    operation, value = _operation(site.collective), _filled_with(makers[0].value)
    if (operation in _ALL_MUST_HOLD and value == 1) or (operation in _ONE_IS_ENOUGH and value == 0):
        failing = f"{tensor}.fill_({0 if value else 1})"
    else:
        return None
    if tensor in names.read(region) or outside or set(names.bound(region)) & names.read([site.collective]):
        return None
    return None if _leaves(region) else _plan(site, region, failing)


def _filled_with(value: ast.expr) -> int | None:
    """1 for `torch.ones(1)` and `torch.tensor([1])`, 0 for their like; None for anything else."""
    if not isinstance(value, ast.Call) or not value.args:
        return None
    text, first = ast.unparse(value.func), value.args[0]
    if text in ("torch.ones", "torch.zeros"):
        return (
            (1 if text == "torch.ones" else 0) if ast.unparse(first) in ("1", "(1,)", "[1]", "()") else None
        )
    if text == "torch.tensor":
        inner = first.elts[0] if isinstance(first, ast.List) and len(first.elts) == 1 else first
        if isinstance(inner, ast.Constant) and isinstance(inner.value, int) and inner.value in (0, 1):
            return inner.value
    return None


def _leaves(statements: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue)
        for statement in statements
        for node in (statement, *own_nodes(statement))
    )


def _runs_again(site: Site) -> bool:
    """Whether a loop or the rest of the function leads to another collective."""
    if any(isinstance(step.statement, ast.For | ast.While) for step in site.outer):
        return True
    behind = [s for step in (*site.outer, site.collective_path[0]) for s in step.block[step.index + 1 :]]
    return any(
        isinstance(node, ast.Call) and last_name(node) in GROUP_POSITIONS
        for statement in behind
        for node in (statement, *own_nodes(statement))
    )


def _is_boolean(site: Site, flag: str, maker: ast.Assign) -> bool:
    """Whether the flag is True or False: setting it must change neither the tensor's type nor its meaning."""
    values = [
        node.value
        for node in own_nodes(site.function)
        if isinstance(node, ast.Assign) and node.lineno < maker.lineno and flag in names.bound([node])
    ]
    if values and all(map(_boolean, values)):
        return True
    assert isinstance(maker.value, ast.Call)
    inner = ast.unparse(maker.value.args[0])
    typed = inner not in (flag, f"[{flag}]") or any(
        keyword.arg == "dtype" for keyword in maker.value.keywords
    )
    named = _NAMES_A_SUCCESS.search(flag.lower()) or _NAMES_A_FAILURE.search(flag.lower())
    return typed and bool(named)


def _boolean(value: ast.expr) -> bool:
    if isinstance(value, ast.BoolOp):
        return all(map(_boolean, value.values))
    if isinstance(value, ast.UnaryOp):
        return isinstance(value.op, ast.Not)
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in ("bool", "all", "any", "isinstance")
    return isinstance(value, ast.Compare) or (
        isinstance(value, ast.Constant) and isinstance(value.value, bool)
    )


def _asynchronous(call: ast.Call) -> bool:
    return any(keyword.arg in ("async_op", None) for keyword in call.keywords) or len(call.args) > 3


def _is_local_flag(site: Site, region: Sequence[ast.stmt], flag: str) -> bool:
    """Whether the flag says how the region went: a plain local set in the region or before it."""
    if any(isinstance(n, ast.Global | ast.Nonlocal) and flag in n.names for n in ast.walk(site.function)):
        return False
    return flag in names.bound(region) or flag in names.bound(site.block[: site.first])


def _independent(
    between: Sequence[ast.stmt],
    region: Sequence[ast.stmt],
    flag: str,
    collective: ast.Call,
    holder: ast.stmt | None,
) -> bool:
    """Whether what runs between the region and the reduction needs only the flag of what the region binds."""
    unbound = set(names.bound(region)) - {flag}
    reads = names.read([*between, collective, *([holder.test] if isinstance(holder, ast.If) else [])])
    return not (unbound & reads) and not _leaves(between)


def _plan(site: Site, region: Sequence[ast.stmt], failing: str) -> Plan:
    taken = names.used(site.function, site.module)
    error, failure = names.handler(site, taken), names.free("local_failure", taken)
    trailer = f"except Exception as {error}:\n    {failure} = {error}\n    {failing}\n"
    holder = site.block[site.collective_index]
    inserts = (
        Insert(start(region[0]), f"{failure} = None\n"),
        Insert(start(holder), f"if {failure} is not None:\n    raise {failure}\n", after=True),
    )
    return Plan(
        Applicability.SAFE, _MESSAGE, (Wrap(start(region[0]), start(region[-1]), "try:", trailer),), inserts
    )

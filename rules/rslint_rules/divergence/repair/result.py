"""The envelope in the runtime's words: `name = broadcast_result(lambda: …, src=…, group=…)`.

It stands for the whole passage "the leader produces one value, a list of one carries it, everybody takes it
out", and for nothing else. `broadcast_result` takes the two broadcasts that the list took; it needs a group
that accepts CPU tensors, which the source does not show, so the form is unsafe.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from rslint.finding import Applicability
from rslint_rules.divergence.repair import names
from rslint_rules.divergence.repair.envelope import LIST_BROADCAST, is_leader_test
from rslint_rules.divergence.repair.plan import Import, Plan, Wrap, start
from rslint_rules.divergence.repair.site import Site, own_nodes
from rslint_rules.divergence.repair.torch_calls import last_name

_MESSAGE = "Let broadcast_result produce and broadcast, so that a failure is raised on every rank"


@dataclass(frozen=True)
class _Passage:
    """The statements `block[first]` to `block[last]`, the value the leader makes, everybody's name for it."""

    first: int
    last: int
    value: ast.expr
    name: str


def _single(statement: ast.stmt) -> tuple[ast.expr, ast.expr] | None:
    """(target, value) of an assignment to one target."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0], statement.value
    return None


def _is_slot(expression: ast.expr, listed: str) -> bool:
    return ast.unparse(expression) == f"{listed}[0]"


def _is_placeholder(statement: ast.stmt, name: str, value: str) -> bool:
    return ast.unparse(statement) == f"{name} = {value}"


def _passage(site: Site) -> _Passage | None:
    block, choice, holder = site.block, site.block[site.first], site.block[site.collective_index]
    if site.first != site.last or not isinstance(choice, ast.If) or len(choice.body) != 1:
        return None
    if isinstance(choice.test, ast.BoolOp) or not is_leader_test(choice.test):
        return None
    made = _single(choice.body[0])
    payload = site.collective.args[0] if site.collective.args else None
    if made is None or not isinstance(payload, ast.Name) or not isinstance(holder, ast.Expr):
        return None
    if holder.value is not site.collective or site.collective_index + 1 >= len(block):
        return None
    taken = _single(block[site.collective_index + 1])
    if taken is None or not isinstance(taken[0], ast.Name) or not _is_slot(taken[1], payload.id):
        return None
    first = _beginning(site, choice, made[0], payload.id)
    if first is None:
        return None
    return _Passage(first, site.collective_index + 1, made[1], taken[0].id)


def _beginning(site: Site, choice: ast.If, target: ast.expr, listed: str) -> int | None:
    """Where the passage begins; None when something else happens on its way."""
    between = list(site.block[site.first + 1 : site.collective_index])
    if _is_slot(target, listed):
        variable, filled = listed, "[None]"
        fits = not between
    elif isinstance(target, ast.Name):
        variable, filled = target.id, "None"
        fits = len(between) == 1 and _is_placeholder(between[0], listed, f"[{target.id}]")
    else:
        return None
    if not fits:
        return None
    if choice.orelse:
        alone = len(choice.orelse) == 1 and _is_placeholder(choice.orelse[0], variable, filled)
        return site.first if alone and filled == "None" else None
    before = site.block[site.first - 1] if site.first else None
    return site.first - 1 if before is not None and _is_placeholder(before, variable, filled) else None


def _outlives(site: Site, passage: _Passage) -> bool:
    """Whether a name that the passage no longer binds is used outside of it."""
    gone = set(names.bound(site.block[passage.first : passage.last + 1])) - {passage.name}
    inside = {
        id(node)
        for statement in site.block[passage.first : passage.last + 1]
        for node in (statement, *own_nodes(statement))
    }
    return any(
        isinstance(node, ast.Name) and node.id in gone and id(node) not in inside
        for node in ast.walk(site.function)
    )


def _commented(text_rows: Sequence[str], first: ast.stmt, last: ast.stmt) -> bool:
    return any("#" in row for row in text_rows[first.lineno - 1 : last.end_lineno])


def result(site: Site, runtime_module: str, text_rows: Sequence[str]) -> Plan | None:
    """`broadcast_result` in place of the passage; None for another shape or where comments would be lost."""
    passage = _passage(site) if last_name(site.collective) == LIST_BROADCAST else None
    if passage is None or _outlives(site, passage):
        return None
    statements = site.block[passage.first : passage.last + 1]
    if _commented(text_rows, statements[0], statements[-1]):
        return None
    if names.bound([passage.value]) or names.read([passage.value]) & set(names.bound(statements)):
        return None
    given: dict[str | None, str] = {key.arg: ast.unparse(key.value) for key in site.collective.keywords}
    given.update(zip(("src", "group"), map(ast.unparse, site.collective.args[1:3]), strict=False))
    if set(given) - {"src", "group"} or len(site.collective.args) > 3:
        return None
    arguments = [f"lambda: {ast.unparse(passage.value)}", f"src={given.get('src', '0')}"]
    if "group" in given:
        arguments.append(f"group={given['group']}")
    call = f"{passage.name} = broadcast_result({', '.join(arguments)})\n"
    wrap = Wrap(start(statements[0]), start(statements[-1]), "", call)
    return Plan(
        Applicability.UNSAFE, _MESSAGE, (wrap,), imports=(Import(runtime_module, "broadcast_result"),)
    )

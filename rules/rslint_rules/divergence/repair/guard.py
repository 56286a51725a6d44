"""The guard: ranks agree on the outcome before the collective that a failure would skip.

The agreement is an `all_gather_object` on the collective's own group: it works on every backend, and it
carries the exception, so that every rank raises one that the same handlers accept. An added collective makes
it unsafe.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

from rslint.finding import Applicability
from rslint_rules.divergence.repair import names
from rslint_rules.divergence.repair.additions import ERROR_COPY
from rslint_rules.divergence.repair.envelope import is_leader_test
from rslint_rules.divergence.repair.plan import Import, Insert, Plan, Wrap, start
from rslint_rules.divergence.repair.site import Site, own_nodes, ways_out
from rslint_rules.divergence.repair.torch_calls import GROUP_POSITIONS, group_of, last_name, torch_alias

_PLAIN = (
    ast.Name, ast.Attribute, ast.Call, ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp,
    ast.expr_context, ast.cmpop, ast.boolop, ast.unaryop, ast.keyword,
)  # fmt: skip
_MESSAGE = "Agree on the outcome before the collective and raise on every rank (one small extra collective)"
_RUNTIME_MESSAGE = "Run it under rank_guard, which raises on every rank (one small extra collective)"


def _repeatable(expression: ast.expr | None) -> bool:
    """Whether an expression may be evaluated twice: names, attributes, tests, calls without arguments."""
    return expression is None or all(
        isinstance(node, _PLAIN) and not (isinstance(node, ast.Call) and node.args)
        for node in ast.walk(expression)
    )


def _reached_by_all(site: Site) -> bool:
    """Whether the block runs on every rank as far as its own function shows: no rank test leads into it."""
    return not any(
        isinstance(step.statement, ast.If) and is_leader_test(step.statement.test) for step in site.outer
    )


def _region(site: Site) -> Sequence[ast.stmt] | None:
    """What may raise; None if it holds a collective of its own or a way past the agreement."""
    region = site.block[site.first : site.last + 1]
    calls = (node for s in region for node in (s, *own_nodes(s)) if isinstance(node, ast.Call))
    if any(last_name(call) in GROUP_POSITIONS for call in calls) or ways_out(region):
        return None
    return region


def _condition(site: Site) -> ast.expr | None:
    """The test of the plain `if` around the collective (a world-size guard), None if there is none."""
    holder = site.collective_path[0].statement
    return holder.test if len(site.collective_path) == 2 and isinstance(holder, ast.If) else None


def _placeable(site: Site, group: ast.expr | None) -> bool:
    """Whether the agreement can run where the region ends, on the same group and under the same condition."""
    condition = _condition(site)
    if len(site.collective_path) > 1 and (condition is None or site.collective_path[1].field != "body"):
        return False
    rebound = set(names.bound(site.block[site.first : site.collective_index + 1]))
    wanted = [each for each in (group, condition) if each is not None]
    return not (names.read(wanted) & rebound) and _repeatable(condition)


def guard(site: Site, runtime_module: str | None) -> Plan | None:
    """The repair before any collective of torch.distributed; `rank_guard` when a runtime module is given."""
    alias = torch_alias(site.module)
    if alias is None or not _reached_by_all(site):
        return None
    known, group = group_of(site.collective, alias, site.module)
    region = _region(site)
    if not known or region is None or not _repeatable(group) or not _placeable(site, group):
        return None
    if runtime_module is not None:
        if _condition(site) is not None:
            return None
        header = f"with rank_guard({'' if group is None else ast.unparse(group)}):"
        wrap = Wrap(start(region[0]), start(region[-1]), header)
        imports = (Import(runtime_module, "rank_guard"),)
        return Plan(Applicability.UNSAFE, _RUNTIME_MESSAGE, (wrap,), imports=imports)
    return _plan(site, region, alias, group)


def _plan(site: Site, region: Sequence[ast.stmt], alias: str, group: ast.expr | None) -> Plan:
    taken = names.used(site.function, site.module)
    error, failure = names.handler(site, taken), names.free("failure", taken)
    failures = names.free("failures", taken)
    own = names.free(f"own_{failure}", taken)
    on = "" if group is None else ast.unparse(group)
    behind = f", group={on}" if on else ""
    trailer = f"except Exception as {error}:\n    {own}, {failure} = {error}, {ERROR_COPY}({error})\n"
    agreement = (
        f"{failures} = [None] * {alias}.get_world_size({on})\n"
        f"{alias}.all_gather_object({failures}, {failure}{behind})\n"
        f"{failure} = next((each for each in {failures} if each is not None), None)\n"
    )
    condition = _condition(site)
    if condition is not None:
        agreement = f"if {ast.unparse(condition)}:\n" + textwrap.indent(agreement, "    ")
    agreement += f"if {failure} is not None:\n    raise {failure} if {own} is None else {own}\n"
    inserts = (
        Insert(start(region[0]), f"{own} = {failure} = None\n"),
        Insert(start(region[-1]), agreement, after=True),
    )
    wrap = Wrap(start(region[0]), start(region[-1]), "try:", trailer)
    return Plan(Applicability.UNSAFE, _MESSAGE, (wrap,), inserts, needs_error_copy=True)

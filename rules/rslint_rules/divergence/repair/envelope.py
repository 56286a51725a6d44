"""The result envelope: the leader's failure travels in the object broadcast it would have skipped.

One more element in the broadcast list carries None or the failure; no collective is added. After the
broadcast every rank raises: the leader its own exception, the others a copy of it (or of its nearest base
type that pickles), which the same handlers accept. Without a failure the list is as it was before the
broadcast and after it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rslint.finding import Applicability
from rslint_rules.divergence.repair import names
from rslint_rules.divergence.repair.additions import ERROR_COPY
from rslint_rules.divergence.repair.plan import Append, Insert, Plan, Wrap, start
from rslint_rules.divergence.repair.site import Site, own_nodes, ways_out
from rslint_rules.divergence.repair.torch_calls import last_name

LIST_BROADCAST = "broadcast_object_list"
_LEADER = re.compile(
    r"(?<![a-z])(rank|leader|main_process|master|first_rank|src|source|process_index)(?![a-z])"
)
_MESSAGE = "Send the leader's failure in the broadcast and raise it on every rank"


@dataclass(frozen=True)
class _Broadcast:
    """One object broadcast: its call, the statement that is the call, and the list it carries."""

    call: ast.Call
    statement: ast.stmt
    payload: ast.expr

    @property
    def rest(self) -> tuple[str, ...]:
        """The arguments behind the list (source, group), by which two broadcasts are compared."""
        keywords = sorted(ast.unparse(keyword) for keyword in self.call.keywords)
        return (ast.unparse(self.call.func), *map(ast.unparse, self.call.args[1:]), *keywords)


def broadcasts_in(statements: Sequence[ast.stmt]) -> list[_Broadcast] | None:
    """Object broadcasts among the statements; None when one is no statement of its own with a plain list."""
    found: list[_Broadcast] = []
    calls = 0
    for outer in statements:
        for node in (outer, *own_nodes(outer)):
            calls += isinstance(node, ast.Call) and last_name(node) == LIST_BROADCAST
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and last_name(node.value) == LIST_BROADCAST
                and node.value.args
                and _plain_payload(node.value.args[0])
            ):
                found.append(_Broadcast(node.value, node, node.value.args[0]))
    return found if len(found) == calls else None


def _plain_payload(payload: ast.expr) -> bool:
    if isinstance(payload, ast.List):
        return not any(isinstance(element, ast.Starred) for element in payload.elts)
    return isinstance(payload, ast.Name)


def is_leader_test(test: ast.expr) -> bool:
    text = ast.unparse(test)
    return bool(_LEADER.search(text.lower()))


@dataclass(frozen=True)
class _Shape:
    """Where the leader produces, and the broadcasts that carry the result."""

    choice: ast.If
    arm: Sequence[ast.stmt]
    other: Sequence[ast.stmt]
    first: int  # the statements of `arm` that may raise, to be wrapped
    last: int
    between: tuple[ast.stmt, ...]  # between the wrapped statements and the (shared) broadcast, on the leader
    shared: _Broadcast | None
    leaders: _Broadcast | None
    peers: _Broadcast | None


def _arms(choice: ast.If, arm: Sequence[ast.stmt]) -> tuple[Sequence[ast.stmt], Sequence[ast.stmt]] | None:
    if arm is choice.body:
        return choice.body, choice.orelse
    return (choice.orelse, choice.body) if arm is choice.orelse else None


def _shared_shape(site: Site) -> _Shape | None:
    """`if leader: produce`, then one broadcast in the same block for all ranks."""
    choice = site.block[site.first]
    if site.first != site.last or not isinstance(choice, ast.If) or any(len(path) < 2 for path in site.paths):
        return None
    arms = _arms(choice, site.paths[0][1].block)
    if arms is None or any(path[1].block is not site.paths[0][1].block for path in site.paths):
        return None
    holder = site.block[site.collective_index]
    carrying = broadcasts_in([holder])
    plain = site.collective_path[-1].statement is holder or (
        isinstance(holder, ast.If) and not holder.orelse and site.collective_path[-1].block is holder.body
    )
    if not carrying or len(carrying) != 1 or carrying[0].call is not site.collective:
        return None
    if not plain or broadcasts_in([choice]) != []:
        return None
    if not isinstance(carrying[0].payload, ast.Name):
        return None
    between = tuple(site.block[site.first + 1 : site.collective_index])
    if isinstance(holder, ast.If):
        if holder.body[0] is not carrying[0].statement or not _only_takes_all(holder.body[1:]):
            return None
        between = (*between, ast.Expr(holder.test))
    first = min(path[1].index for path in site.paths)
    return _Shape(choice, *arms, first, len(arms[0]) - 1, between, carrying[0], None, None)


def _two_armed_shape(site: Site) -> _Shape | None:
    """`if leader: produce; broadcast` and `else: broadcast`."""
    if not site.outer or not isinstance(site.outer[-1].statement, ast.If):
        return None
    choice = site.outer[-1].statement
    arms = _arms(choice, site.block)
    if arms is None:
        return None
    arm, other = arms
    leaders, peers = broadcasts_in(arm), broadcasts_in(other)
    if (
        not leaders
        or not peers
        or len(leaders) != 1
        or len(peers) != 1
        or leaders[0].call is not site.collective
    ):
        return None
    if leaders[0].rest != peers[0].rest or peers[0].statement not in other:
        return None
    if not isinstance(peers[0].payload, ast.Name):
        return None
    last = site.collective_index - 1
    return _Shape(choice, arm, other, site.first, last, (), None, leaders[0], peers[0])


def _carries(statements: Sequence[ast.stmt], payload: ast.expr, produced: frozenset[str]) -> bool | None:
    """Whether the produced names reach the payload untouched; None when they are used in any other way.

    Touched means: used in an operation that could fail for the None that stands in for a missing value.
    """
    carried = set(produced)
    for statement in (*statements, ast.Expr(payload)):
        for node in (statement, *own_nodes(statement)):
            for child in ast.iter_child_nodes(node):
                if not (
                    isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load) and child.id in carried
                ):
                    continue
                if isinstance(node, ast.IfExp) and child is node.test:
                    return None
                if not isinstance(node, ast.List | ast.Tuple | ast.Dict | ast.IfExp | ast.Assign | ast.Expr):
                    return None
        if names.read([statement]) & carried:
            carried.update(names.bound([statement]))
    return bool(names.read([payload]) & carried)


def _unchanged(wrapped: Sequence[ast.stmt], before: ast.stmt | None) -> frozenset[str]:
    """Names that `before` sets to None and that keep it when the one wrapped assignment fails."""
    placeholder = isinstance(before, ast.Assign) and ast.unparse(before.value) == "None"
    single = len(wrapped) == 1 and isinstance(wrapped[0], ast.Assign)
    return frozenset(names.bound([before])) if before is not None and placeholder and single else frozenset()


def _stand_ins(
    shape: _Shape, payload: ast.expr, needed: frozenset[str], before: ast.stmt | None
) -> str | None:
    """Statements that bind what the wrapped ones may leave unbound; None if a list's length is not clear."""
    wrapped = shape.arm[shape.first : shape.last + 1]
    lines: list[str] = []
    plain: list[str] = []
    unchanged = _unchanged(wrapped, before) - frozenset(names.bound(shape.arm[: shape.first]))
    for name in names.bound(wrapped):
        if name not in needed or name in unchanged:
            continue
        if isinstance(payload, ast.Name) and name == payload.id:
            length = _display_length(wrapped, name)
            if length is None:
                return None
            lines.append(f"{name} = [{', '.join(['None'] * length)}]")
        else:
            plain.append(name)
    if plain:
        lines.append(" = ".join([*plain, "None"]))
    return "\n".join(lines)


def _display_length(statements: Sequence[ast.stmt], name: str) -> int | None:
    lengths = [
        len(node.value.elts)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List) and _plain_payload(node.value)
        else None
        for statement in statements
        for node in (statement, *own_nodes(statement))
        if isinstance(node, ast.stmt) and not hasattr(node, "body") and name in names.bound([node])
    ]
    return lengths[0] if len(lengths) == 1 else None


def _resized(statements: Sequence[ast.stmt], payload: ast.expr) -> bool:
    """Whether a method (append, extend …) may change the payload's length in the statements."""
    return isinstance(payload, ast.Name) and any(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == payload.id
        for statement in statements
        for node in (statement, *own_nodes(statement))
    )


def _returns(statements: Sequence[ast.stmt]) -> list[ast.stmt] | None:
    """The returns among the statements; None when the statements leave in another way as well."""
    raises = any(isinstance(node, ast.Raise) for s in statements for node in (s, *own_nodes(s)))
    found: list[ast.stmt] = [node for node in ways_out(statements) if isinstance(node, ast.Return)]
    return None if raises or len(found) != len(ways_out(statements)) else found


def envelope(site: Site) -> Plan | None:
    """The result envelope for a leader that produces before an object broadcast; None for other shapes."""
    shape = _two_armed_shape(site) or _shared_shape(site)
    if shape is None or not is_leader_test(shape.choice.test) or _elif(shape.choice):
        return None
    carrier = shape.shared or shape.leaders
    if carrier is None:
        return None
    wrapped = shape.arm[shape.first : shape.last + 1]
    produced = frozenset(names.bound(shape.arm if shape.shared else shape.arm[: shape.last + 1]))
    if isinstance(carrier.payload, ast.Name) and _stores_into(shape.arm, carrier.payload.id):
        produced |= {carrier.payload.id}
    if not _carries(shape.between, carrier.payload, produced) or _resized(wrapped, carrier.payload):
        return None
    returns = _returns(shape.between)
    needed = names.read([*shape.between, carrier.payload])
    around = site.block if shape.shared else site.outer[-1].block
    index = around.index(shape.choice)
    stand_ins = _stand_ins(shape, carrier.payload, needed, around[index - 1] if index else None)
    if returns is None or stand_ins is None or ways_out(wrapped):
        return None
    return _plan(site, shape, carrier, returns, stand_ins)


def _elif(choice: ast.If) -> bool:
    orelse = choice.orelse
    return len(orelse) == 1 and isinstance(orelse[0], ast.If) and orelse[0].col_offset == choice.col_offset


def _stores_into(statements: Sequence[ast.stmt], name: str) -> bool:
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        for statement in statements
        for node in (statement, *own_nodes(statement))
    )


def _behind(block: Sequence[ast.stmt], statement: ast.stmt) -> Sequence[ast.stmt]:
    return block[block.index(statement) + 1 :]


def _only_takes_all(statements: Sequence[ast.stmt]) -> bool:
    return all(map(_only_takes, statements))


def _only_takes(statement: ast.stmt) -> bool:
    """`name = received` or `name = received[0]`: cannot fail for the stand-in of a missing value."""
    if not isinstance(statement, ast.Assign) or not all(isinstance(t, ast.Name) for t in statement.targets):
        return False
    value = statement.value
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        value = value.value
    return isinstance(value, ast.Name)


def _plan(site: Site, shape: _Shape, carrier: _Broadcast, returns: list[ast.stmt], stand_ins: str) -> Plan:
    taken = names.used(site.function, site.module)
    error, failure = names.handler(site, taken), names.free("failure", taken)
    own = names.free(f"own_{failure}", taken)
    body = f"{own}, {failure} = {error}, {ERROR_COPY}({error})"
    trailer = f"except Exception as {error}:\n" + "".join(
        f"    {line}\n" for line in (body, *stand_ins.split("\n")) if line
    )
    raising = f"if {failure} is not None:\n    raise {failure} if {own} is None else {own}\n"
    wrap = Wrap(start(shape.arm[shape.first]), start(shape.arm[shape.last]), "try:", trailer)
    inserts = [Insert(start(shape.choice), f"{own} = {failure} = None\n")]
    inserts += [Insert(start(node), f"if {own} is not None:\n    raise {own}\n") for node in returns]
    appends: list[Append] = []
    for broadcast in filter(None, (shape.shared, shape.leaders, shape.peers)):
        receives = broadcast is not shape.leaders
        if isinstance(broadcast.payload, ast.List):
            appends.append(Append(start(broadcast.payload), failure))
            continue
        listed = ast.unparse(broadcast.payload)
        inserts.append(Insert(start(broadcast.statement), f"{listed}.append({failure})\n"))
        taking = f"{failure} = {listed}.pop()\n" if receives else f"{listed}.pop()\n"
        if broadcast is shape.shared and broadcast.statement in site.block:
            taking += raising
        inserts.append(Insert(start(broadcast.statement), taking, after=True))
    if shape.shared is not None and shape.shared.statement not in site.block:
        inserts.append(Insert(start(site.block[site.collective_index]), raising, after=True))
    if shape.shared is None and shape.peers is not None:
        holder = site.block[site.collective_index]
        tails = (*_behind(shape.arm, holder), *_behind(shape.other, shape.peers.statement))
        if _only_takes_all(tails):
            inserts.append(Insert(start(shape.choice), raising, after=True))
        else:
            inserts.append(Insert(start(holder), raising, after=True))
            inserts.append(Insert(start(shape.peers.statement), raising, after=True))
    return Plan(Applicability.SAFE, _MESSAGE, (wrap,), tuple(inserts), tuple(appends), needs_error_copy=True)

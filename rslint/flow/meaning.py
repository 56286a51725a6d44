"""What one call means to process groups: a collective of the models, a function of the project, or neither."""

from __future__ import annotations

import msgspec

from rslint.flow.knowledge import Knowledge
from rslint.models import axis_of, collective_of
from rslint.project import ir
from rslint.project.links import Target
from rslint.project.text import render


class Meaning(msgspec.Struct, frozen=True):
    """`operation` names the collective the call is itself, `axis` its group's axis ("?" where the group is not told);
    `agrees` are the arguments that hold the same value everywhere afterwards, `result_agrees` whether the result does;
    `exit` tells when it runs if the call is a context whose exit is the collective, `captures` that an error of a
    callback argument does not skip the operation; `members` lists the ranks of a group that the call makes."""

    target: Target
    operation: str | None = None
    axis: str = "?"
    agrees: tuple[ir.Expr, ...] = ()
    result_agrees: bool = False
    captures: bool = False
    exit: str | None = None
    members: ir.Expr | None = None


def meaning_of(k: Knowledge, identity: str, call: ir.Call) -> Meaning:
    """The meaning of a call in the function `identity`, computed once."""
    table = k.meanings.setdefault(identity, {})
    known = table.get(id(call))
    if known is None:
        known = table[id(call)] = _meaning(k, identity, call)
    return known


def _meaning(k: Knowledge, identity: str, call: ir.Call) -> Meaning:
    target = k.links.resolve(identity, call)
    collective = collective_of(k.models, target.external, target.text, target.receiver_types)
    if collective is None:
        return Meaning(target)
    listed = given(call, collective.members)
    if listed and isinstance(alone := given(call, collective.members_alone), ir.Constant) and alone.value:
        return Meaning(target, members=listed)
    group = _argument(call, collective.group_position, collective.group_keyword)
    if collective.receiver_is_group:
        axis = axis_of(k.models, target.text.rpartition(".")[0])
    elif group is None:
        axis = "world"
    else:
        axis = axis_of(k.models, render(group))
    agrees = []
    for name, position in collective.agrees:
        argument = _argument(call, position, name)
        if argument is not None:
            agrees.append(argument)
    return Meaning(
        target,
        collective.kind,
        axis,
        tuple(agrees),
        collective.result_agrees,
        bool(collective.captures),
        collective.at_exit,
        listed,
    )


def given(call: ir.Call, argument: tuple[str, int | None] | None) -> ir.Expr | None:
    """What is given for an argument; None where nothing is, or None itself."""
    value = None if argument is None else _argument(call, argument[1], argument[0])
    return None if isinstance(value, ir.Constant) and value.kind == "NoneType" else value


def _argument(call: ir.Call, position: int | None, keyword: str | None) -> ir.Expr | None:
    for argument in call.keywords:
        if argument.name is not None and argument.name == keyword:
            return argument.value
    if position is not None and position < len(call.args):
        argument_ = call.args[position]
        return None if isinstance(argument_, ir.Starred) else argument_
    return None

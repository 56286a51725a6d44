"""How one file calls torch.distributed: the name it knows it by, and the group a collective is given."""

from __future__ import annotations

import ast

GROUP_POSITIONS = {
    "all_gather": 2, "all_gather_into_tensor": 2, "all_gather_object": 2, "all_reduce": 2, "all_to_all": 2,
    "all_to_all_single": 4, "barrier": 0, "broadcast": 2, "broadcast_object_list": 2, "gather": 3,
    "gather_object": 3, "reduce": 3, "reduce_scatter": 3, "reduce_scatter_tensor": 3, "scatter": 3,
    "scatter_object_list": 3,
}  # fmt: skip
"""torch.distributed's collectives and the position of their `group` parameter (torch 2.4 to 2.13)."""


def last_name(call: ast.Call) -> str:
    """`f` for `f(…)`, `a.f(…)` and `g().f(…)`; "" for anything else."""
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def torch_alias(module: ast.Module) -> str | None:
    """The text by which the module's top level knows `torch.distributed`, None if it does not."""
    for node in module.body:
        if isinstance(node, ast.Import):
            for each in node.names:
                if each.name == "torch.distributed":
                    return each.asname or each.name
        elif isinstance(node, ast.ImportFrom) and node.module == "torch" and not node.level:
            for each in node.names:
                if each.name == "distributed":
                    return each.asname or each.name
    if any(
        isinstance(n, ast.Import) and any(a.name == "torch" and not a.asname for a in n.names)
        for n in module.body
    ):
        return "torch.distributed"
    return None


def group_of(call: ast.Call, alias: str, module: ast.Module) -> tuple[bool, ast.expr | None]:
    """(known, group): the group expression of a torch collective, None for the default group."""
    text = ast.unparse(call.func)
    name = text.rpartition(".")[2]
    imported = any(
        isinstance(n, ast.ImportFrom)
        and n.module == "torch.distributed"
        and any(a.name == text for a in n.names)
        for n in module.body
    )
    if name not in GROUP_POSITIONS or not (text == f"{alias}.{name}" or imported):
        return False, None
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        return False, None
    given = [keyword.value for keyword in call.keywords if keyword.arg == "group"]
    given += call.args[GROUP_POSITIONS[name] : GROUP_POSITIONS[name] + 1]
    return True, given[0] if given else None

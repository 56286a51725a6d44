"""Comparisons of a rank with the bounds of its range, which come out alike on every rank."""

from __future__ import annotations

from collections.abc import Callable

from rslint.project import ir


def is_range_check(e: ir.Compare, is_size: Callable[[ir.Expr], bool]) -> bool:
    """`0 <= rank < world_size` is true of every rank there is. The caller knows that a rank is compared; `is_size`
    tells the number of all ranks."""
    operands = (e.left, *e.comparators)
    pairs = zip(operands, e.operators, operands[1:], strict=False)
    return all(_in_range(left, operator, right, is_size) for left, operator, right in pairs)


def _in_range(left: ir.Expr, operator: str, right: ir.Expr, is_size: Callable[[ir.Expr], bool]) -> bool:
    if is_size(right) or is_size(left):
        return operator in ("<", "<=", ">", ">=")
    if isinstance(left, ir.Constant) and left.value == 0:
        return operator in ("<=", ">")
    return isinstance(right, ir.Constant) and right.value == 0 and operator in (">=", "<")

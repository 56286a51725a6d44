"""Lowers one expression of `ast` into the intermediate representation."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rslint.project import ir

DEPTH_LIMIT = 100
"""Expressions nested deeper than this become `Other("too-deep")`: whoever walks the tree may recurse
safely."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.And: "and", ast.Or: "or", ast.Not: "not",
    ast.USub: "-", ast.UAdd: "+", ast.Invert: "~", ast.Add: "+", ast.Sub: "-", ast.Mult: "*",
    ast.MatMult: "@",
    ast.Div: "/", ast.Mod: "%", ast.Pow: "**", ast.LShift: "<<", ast.RShift: ">>", ast.BitOr: "|",
    ast.BitXor: "^", ast.BitAnd: "&", ast.FloorDiv: "//",
}  # fmt: skip


def operator_text(operator: ast.AST) -> str:
    """The operator as it is spelled in source."""
    return _OPERATORS[type(operator)]


def span_of(node: Any) -> ir.Span:
    """The node's place."""
    return ir.Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def lower_expression(node: Any, depth: int = 0) -> ir.Expr:
    """The expression as IR; never raises RecursionError."""
    span = ir.Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
    if depth > DEPTH_LIMIT:
        return ir.Other(span, "too-deep", ())
    if type(node) is ast.Name:  # half of all expressions
        return ir.Name(span, node.id)
    return _LOWERINGS.get(type(node), _unknown)(node, span, depth + 1)


def lower_optional(node: ast.expr | None, depth: int = 0) -> ir.Expr | None:
    """As `lower_expression`, and None for None."""
    return None if node is None else lower_expression(node, depth)


def lower_all(nodes: Sequence[ast.expr], depth: int = 0) -> tuple[ir.Expr, ...]:
    """Every expression of a sequence, in order."""
    if len(nodes) < 2:
        return (lower_expression(nodes[0], depth),) if nodes else ()
    return tuple([lower_expression(node, depth) for node in nodes])


def constant(value: object, span: ir.Span) -> ir.Constant:
    """A literal; values that cannot be serialised (bytes, big integers, lone surrogates) are left out."""
    kept: str | int | float | bool | None = None
    if isinstance(value, str):
        kept = value if value.isascii() or not _LONE_SURROGATE.search(value) else None
    elif isinstance(value, (bool, float)):
        kept = value
    elif isinstance(value, int):
        kept = value if -(2**63) <= value < 2**63 else None
    return ir.Constant(span, type(value).__name__, kept)


def _constant(node: ast.Constant, span: ir.Span, depth: int) -> ir.Expr:
    value = node.value
    if type(value) is str and value.isascii():
        return ir.Constant(span, "str", value)
    return constant(value, span)


def _attribute(node: ast.Attribute, span: ir.Span, depth: int) -> ir.Expr:
    return ir.Attribute(span, lower_expression(node.value, depth), node.attr)


def _call(node: ast.Call, span: ir.Span, depth: int) -> ir.Expr:
    func, args, keywords = lower_expression(node.func, depth), lower_all(node.args, depth), node.keywords
    if not keywords:
        return ir.Call(span, func, args, ())
    named = [ir.Keyword(word.arg, lower_expression(word.value, depth)) for word in keywords]
    return ir.Call(span, func, args, tuple(named))


def _compare(node: ast.Compare, span: ir.Span, depth: int) -> ir.Expr:
    operators = tuple([operator_text(operator) for operator in node.ops])
    left = lower_expression(node.left, depth)
    return ir.Compare(span, left, operators, lower_all(node.comparators, depth))


def _bool_op(node: ast.BoolOp, span: ir.Span, depth: int) -> ir.Expr:
    return ir.BoolOp(span, operator_text(node.op), lower_all(node.values, depth))


def _unary_op(node: ast.UnaryOp, span: ir.Span, depth: int) -> ir.Expr:
    return ir.UnaryOp(span, operator_text(node.op), lower_expression(node.operand, depth))


def _bin_op(node: ast.BinOp, span: ir.Span, depth: int) -> ir.Expr:
    left = lower_expression(node.left, depth)
    return ir.BinOp(span, left, operator_text(node.op), lower_expression(node.right, depth))


def _if_exp(node: ast.IfExp, span: ir.Span, depth: int) -> ir.Expr:
    test, body = lower_expression(node.test, depth), lower_expression(node.body, depth)
    return ir.IfExp(span, test, body, lower_expression(node.orelse, depth))


def _subscript(node: ast.Subscript, span: ir.Span, depth: int) -> ir.Expr:
    return ir.Subscript(span, lower_expression(node.value, depth), lower_expression(node.slice, depth))


def _slice(node: ast.Slice, span: ir.Span, depth: int) -> ir.Expr:
    parts = [part for part in (node.lower, node.upper, node.step) if part is not None]
    return ir.Other(span, "slice", lower_all(parts, depth))


def _display(kind: str) -> Callable[..., ir.Expr]:
    def lower(node: Any, span: ir.Span, depth: int) -> ir.Expr:
        return ir.Collection(span, kind, lower_all(node.elts, depth))

    return lower


def _dict(node: ast.Dict, span: ir.Span, depth: int) -> ir.Expr:
    items: list[ir.Expr] = []
    for key, value in zip(node.keys, node.values, strict=True):
        lowered = lower_expression(value, depth)
        if key is None:
            items.append(ir.Starred(span_of(value), lowered))
        else:
            items += (lower_expression(key, depth), lowered)
    return ir.Collection(span, "dict", tuple(items))


def _comprehension(kind: str) -> Callable[..., ir.Expr]:
    def lower(node: Any, span: ir.Span, depth: int) -> ir.Expr:
        elements = (node.key, node.value) if kind == "dict" else (node.elt,)
        generators = tuple(
            ir.Generator(
                lower_expression(clause.target, depth),
                lower_expression(clause.iter, depth),
                lower_all(clause.ifs, depth),
                bool(clause.is_async),
            )
            for clause in node.generators
        )
        return ir.Comprehension(span, kind, lower_all(elements, depth), generators)

    return lower


def parameter_nodes(arguments: ast.arguments) -> list[tuple[ast.arg, str]]:
    """All parameters in the order they are written, with their kinds as in `ir.Parameter`."""
    found = [(node, "positional") for node in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg:
        found.append((arguments.vararg, "args"))
    if arguments.kwonlyargs:
        found += [(node, "keyword") for node in arguments.kwonlyargs]
    if arguments.kwarg:
        found.append((arguments.kwarg, "kwargs"))
    return found


def _lambda(node: ast.Lambda, span: ir.Span, depth: int) -> ir.Expr:
    names = tuple([parameter.arg for parameter, _ in parameter_nodes(node.args)])
    return ir.Lambda(span, names, lower_expression(node.body, depth))


def _wrapping(kind: Callable[[ir.Span, ir.Expr], ir.Expr]) -> Callable[..., ir.Expr]:
    def lower(node: Any, span: ir.Span, depth: int) -> ir.Expr:
        return kind(span, lower_expression(node.value, depth))

    return lower


def _yield(node: ast.Yield, span: ir.Span, depth: int) -> ir.Expr:
    return ir.Yield(span, lower_optional(node.value, depth))


def _named_expr(node: ast.NamedExpr, span: ir.Span, depth: int) -> ir.Expr:
    return ir.NamedExpr(span, *lower_all((node.target, node.value), depth))


def _joined(node: ast.JoinedStr, span: ir.Span, depth: int) -> ir.Expr:
    return ir.Other(span, "fstring", lower_all(_without_literals(node.values), depth))


def _formatted(node: ast.FormattedValue, span: ir.Span, depth: int) -> ir.Expr:
    return ir.Other(span, "fstring", lower_all(_without_literals((node.value, node.format_spec)), depth))


def _unknown(node: ast.expr, span: ir.Span, depth: int) -> ir.Expr:
    """Template strings and whatever a later Python adds: only the parts matter."""
    kind = "template" if type(node).__name__ == "TemplateStr" else "unknown"
    return ir.Other(span, kind, lower_all(_without_literals(ast.iter_child_nodes(node)), depth))


def _without_literals(nodes: Iterable[ast.AST | None]) -> list[ast.expr]:
    return [node for node in nodes if isinstance(node, ast.expr) and not isinstance(node, ast.Constant)]


_LOWERINGS: dict[type[ast.AST], Callable[..., ir.Expr]] = {
    ast.Constant: _constant,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.Compare: _compare,
    ast.BoolOp: _bool_op,
    ast.UnaryOp: _unary_op,
    ast.BinOp: _bin_op,
    ast.IfExp: _if_exp,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
    ast.Tuple: _display("tuple"),
    ast.List: _display("list"),
    ast.Set: _display("set"),
    ast.Dict: _dict,
    ast.ListComp: _comprehension("list"),
    ast.SetComp: _comprehension("set"),
    ast.DictComp: _comprehension("dict"),
    ast.GeneratorExp: _comprehension("generator"),
    ast.Lambda: _lambda,
    ast.Await: _wrapping(ir.Await),
    ast.Yield: _yield,
    ast.YieldFrom: _wrapping(ir.YieldFrom),
    ast.NamedExpr: _named_expr,
    ast.Starred: _wrapping(ir.Starred),
}

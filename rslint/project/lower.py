"""Lowers functions and module top levels from `ast` into the intermediate representation.

All functions of a file are lowered from its tree where it is indexed; each is decoded when it is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rslint.project import ir
from rslint.project.definitions import DEFINITIONS, Definition, imported_names
from rslint.project.lower_expression import (
    DEPTH_LIMIT,
    constant,
    lower_all,
    lower_expression,
    lower_optional,
    operator_text,
    span_of,
)
from rslint.project.scope_tree import Scope, nested_scopes


@dataclass(frozen=True)
class Setting:
    """What lowering one body needs to know: module, and the identities of nested definitions by id."""

    module: str
    is_package: bool
    identities: dict[int, str]


def lower_scope(scope: Scope, is_package: bool = False) -> ir.Function:
    """Lower a parsed `def`, the body of a `class` as the function that executes it, or a module's top level;
    definitions in it are `Define` statements."""
    if isinstance(scope.node, ast.Module):
        return _lower_module(scope, scope.node, is_package)
    node = scope.node
    is_class = isinstance(node, ast.ClassDef)
    return ir.Function(
        identity=scope.identity,
        name=node.name,
        owner=scope.owner or None,
        parameters=() if isinstance(node, ast.ClassDef) else _parameters(node.args),
        decorators=lower_all(node.decorator_list),
        returns=None if isinstance(node, ast.ClassDef) else lower_optional(node.returns),
        body=_block(node.body, _setting(scope, is_package), 0),
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=scope.uses.may_yield and not is_class and has_yield(node.body),
        span=span_of(node),
    )


def _lower_module(scope: Scope, tree: ast.Module, is_package: bool) -> ir.Function:
    last = tree.body[-1] if tree.body else None
    end = (last.end_lineno or 1, last.end_col_offset or 0) if last else (1, 0)
    return ir.Function(
        identity=scope.identity,
        name="",
        owner=None,
        parameters=(),
        decorators=(),
        returns=None,
        body=_block(tree.body, _setting(scope, is_package), 0),
        is_async=False,
        is_generator=False,
        span=ir.Span(1, 0, *end),
    )


def lower_file(top: Scope, is_package: bool = False) -> dict[str, ir.Function]:
    """Every function, method and module top level of one parsed file by identity, classes' bodies included."""
    return {scope.identity: lower_scope(scope, is_package) for scope in (top, *nested_scopes(top))}


def has_yield(body: Sequence[ast.AST]) -> bool:
    """Whether a function with this body is a generator: nested functions' yields are their own."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (*DEFINITIONS, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _setting(scope: Scope, is_package: bool) -> Setting:
    identities = {id(inner.node): inner.identity for inner in scope.inner}
    return Setting(scope.identity.partition(":")[0], is_package, identities)


def _parameters(arguments: ast.arguments) -> tuple[ir.Parameter, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    found = [
        _parameter(node, "positional", value)
        for node, value in zip(positional, missing + list(arguments.defaults), strict=True)
    ]
    if arguments.vararg:
        found.append(_parameter(arguments.vararg, "args"))
    found += [
        _parameter(node, "keyword", value)
        for node, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        found.append(_parameter(arguments.kwarg, "kwargs"))
    return tuple(found)


def _parameter(node: ast.arg, kind: str, default: ast.expr | None = None) -> ir.Parameter:
    return ir.Parameter(node.arg, kind, lower_optional(node.annotation), lower_optional(default))


def _block(body: Sequence[ast.stmt], setting: Setting, depth: int) -> tuple[ir.Stmt, ...]:
    return tuple([_statement(node, setting, depth) for node in body]) if body else ()


def _statement(node: Any, setting: Setting, depth: int) -> ir.Stmt:
    span = ir.Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
    if depth > DEPTH_LIMIT:
        return ir.ExprStmt(span, ir.Other(span, "too-deep", ()))
    return _STATEMENTS.get(type(node), _unknown)(node, span, setting, depth + 1)


def _expression_statement(node: ast.Expr, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.ExprStmt(span, lower_expression(node.value))


def _assign(node: ast.Assign, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Assign(span, lower_all(node.targets), lower_expression(node.value))


def _annotated(node: ast.AnnAssign, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    value = lower_optional(node.value)
    return ir.Assign(span, (lower_expression(node.target),), value, lower_expression(node.annotation))


def _augmented(node: ast.AugAssign, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    target, value = lower_expression(node.target), lower_expression(node.value)
    return ir.Assign(span, (target,), value, None, operator_text(node.op))


def _type_alias(node: Any, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    target, value = lower_all((node.name, node.value))
    return ir.Assign(span, (target,), value)


def _return(node: ast.Return, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Return(span, lower_optional(node.value))


def _raise(node: ast.Raise, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Raise(span, lower_optional(node.exc), lower_optional(node.cause))


def _assert(node: ast.Assert, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Assert(span, lower_expression(node.test), lower_optional(node.msg))


def _delete(node: ast.Delete, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Delete(span, lower_all(node.targets))


def _if(node: ast.If, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    test = lower_expression(node.test)
    return ir.If(span, test, _block(node.body, setting, depth), _block(node.orelse, setting, depth))


def _while(node: ast.While, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    test = lower_expression(node.test)
    return ir.While(span, test, _block(node.body, setting, depth), _block(node.orelse, setting, depth))


def _for(node: ast.For | ast.AsyncFor, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    target, iterable = lower_expression(node.target), lower_expression(node.iter)
    body, orelse = _block(node.body, setting, depth), _block(node.orelse, setting, depth)
    return ir.For(span, target, iterable, body, orelse, isinstance(node, ast.AsyncFor))


def _try(node: Any, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    handlers = tuple(
        ir.Handler(
            span_of(handler),
            lower_optional(handler.type),
            handler.name,
            _block(handler.body, setting, depth),
        )
        for handler in node.handlers
    )
    body, orelse = _block(node.body, setting, depth), _block(node.orelse, setting, depth)
    final = _block(node.finalbody, setting, depth)
    return ir.Try(span, body, handlers, orelse, final, not isinstance(node, ast.Try))


def _with(node: ast.With | ast.AsyncWith, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    items = tuple(
        ir.WithItem(
            lower_expression(item.context_expr),
            lower_optional(item.optional_vars),
        )
        for item in node.items
    )
    return ir.With(span, items, _block(node.body, setting, depth), isinstance(node, ast.AsyncWith))


def _match(node: ast.Match, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    cases = tuple(_case(case, setting, depth) for case in node.cases)
    return ir.Match(span, lower_expression(node.subject), cases)


def _case(case: ast.match_case, setting: Setting, depth: int) -> ir.Case:
    values: list[ir.Expr] = []
    captures: list[str] = []
    pending: list[ast.AST] = [case.pattern]
    while pending:
        pattern = pending.pop()
        if isinstance(pattern, ast.expr):
            values.append(lower_expression(pattern))
            continue
        if isinstance(pattern, ast.MatchSingleton):
            values.append(constant(pattern.value, span_of(pattern)))
        name = (
            getattr(pattern, "rest", None)
            if isinstance(pattern, ast.MatchMapping)
            else getattr(pattern, "name", None)
        )
        if isinstance(name, str):
            captures.append(name)
        pending.extend(reversed(list(ast.iter_child_nodes(pattern))))
    last = case.body[-1]
    return ir.Case(
        values=tuple(values),
        captures=tuple(captures),
        guard=lower_optional(case.guard),
        body=_block(case.body, setting, depth),
        irrefutable=case.guard is None
        and isinstance(case.pattern, ast.MatchAs)
        and case.pattern.pattern is None,
        span=ir.Span(
            case.pattern.lineno,
            case.pattern.col_offset,
            (last.end_lineno or last.lineno),
            last.end_col_offset or 0,
        ),
    )


def _import(node: ast.Import | ast.ImportFrom, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Import(span, imported_names(node, setting.module, setting.is_package))


def _scope(node: ast.Global | ast.Nonlocal, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    return ir.Scope(span, "global" if isinstance(node, ast.Global) else "nonlocal", tuple(node.names))


def _define(node: Definition, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    if isinstance(node, ast.ClassDef):
        evaluated = [*node.bases, *(word.value for word in node.keywords)]
    else:
        evaluated = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
    identity = setting.identities.get(id(node), "")
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    decorators = lower_all(node.decorator_list)
    return ir.Define(span, node.name, identity, kind, decorators, lower_all(evaluated))


def _jump(kind: str) -> Callable[..., ir.Stmt]:
    def lower(node: ast.stmt, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
        return ir.Jump(span, kind)

    return lower


def _unknown(node: ast.stmt, span: ir.Span, setting: Setting, depth: int) -> ir.Stmt:
    parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return ir.ExprStmt(span, ir.Other(span, "unknown", lower_all(parts)))


_STATEMENTS: dict[type[ast.AST], Callable[..., ir.Stmt]] = {
    ast.Expr: _expression_statement,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.Delete: _delete,
    ast.If: _if,
    ast.While: _while,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.Try: _try,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Match: _match,
    ast.Import: _import,
    ast.ImportFrom: _import,
    ast.Global: _scope,
    ast.Nonlocal: _scope,
    ast.FunctionDef: _define,
    ast.AsyncFunctionDef: _define,
    ast.ClassDef: _define,
    ast.Pass: _jump("pass"),
    ast.Break: _jump("break"),
    ast.Continue: _jump("continue"),
}
if hasattr(ast, "TryStar"):
    _STATEMENTS[ast.TryStar] = _try
if hasattr(ast, "TypeAlias"):
    _STATEMENTS[ast.TypeAlias] = _type_alias

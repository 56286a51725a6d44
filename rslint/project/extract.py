"""Extracts a file's facts from its scopes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from rslint.project.bindings import annotation_text, attribute_bindings, bindings_of, plain_name
from rslint.project.definitions import dotted_text, first_row, imported_names
from rslint.project.facts import BindingFacts, ClassFacts, FileFacts, FunctionFacts, ParameterFacts
from rslint.project.lower_expression import parameter_nodes
from rslint.project.scope_tree import Scope, nested_scopes
from rslint.project.uses import Uses

_PROPERTIES = frozenset({"property", "cached_property", "functools.cached_property", "abc.abstractproperty"})


def extract_facts(top: Scope, is_package: bool) -> FileFacts:
    """The facts of one parsed file, of which `top` is the scope."""
    module = top.identity.removesuffix(":")
    imports = [pair for node in top.uses.imports for pair in imported_names(node, module, is_package)]
    renamed = _renamed(imports)
    functions: list[FunctionFacts] = []
    classes: list[ClassFacts] = []
    bindings = _global_bindings(top.uses, top.identity, top.uses.bound)
    for scope in nested_scopes(top):
        if isinstance(scope.node, ast.ClassDef):
            classes.append(_class_facts(scope, scope.node))
        else:
            inner = [pair for node in scope.uses.imports for pair in imported_names(node, module, is_package)]
            functions.append(_function_facts(scope, scope.node, {**renamed, **_renamed(inner)}))
            bindings += _global_bindings(scope.uses, scope.identity, scope.uses.declared_global)
    functions.sort(key=lambda facts: (facts.row, facts.identity))
    classes.sort(key=lambda facts: (facts.row, facts.identity))
    return FileFacts(
        module=module,
        is_package=is_package,
        imports=tuple(dict.fromkeys(pair for pair in imports if pair[0] != "*")),
        stars=tuple(dict.fromkeys(target for name, target in imports if name == "*")),
        globals=tuple(bindings),
        classes=tuple(classes),
        functions=(_top_level(top, renamed), *functions),
    )


def _renamed(imports: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What is imported under another name (`import b as c`): the name where it comes from."""
    origins = ((name, target.rpartition(".")[2]) for name, target in imports)
    return {name: origin for name, origin in origins if name not in ("*", origin)}


def _calls(uses: Uses, renamed: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(uses.calls | {renamed[name] for name in uses.calls & renamed.keys()}))


def _top_level(top: Scope, renamed: Mapping[str, str]) -> FunctionFacts:
    body, uses = top.node.body, top.uses
    end_row = body[-1].end_lineno or 1 if body else 1
    return FunctionFacts(
        identity=top.identity,
        name="",
        owner="",
        row=1,
        end_row=end_row,
        parameters=(),
        returns="",
        decorators=(),
        is_async=False,
        is_generator=False,
        is_property=False,
        is_abstract=False,
        calls=_calls(uses, renamed),
        mentions=tuple(sorted(uses.mentions | uses.attributes)),
        stores=tuple(sorted(uses.stores | uses.bound | uses.changed)),
    )


def _function_facts(scope: Scope, node: Any, renamed: Mapping[str, str]) -> FunctionFacts:
    uses = scope.uses
    parameters = _parameter_facts(node.args)
    local = (uses.bound | {parameter.name for parameter in parameters}) - uses.declared_global
    decorators = tuple([dotted_text(decorator) for decorator in node.decorator_list])
    stores = uses.stores | (uses.bound & uses.declared_global) | (uses.changed - local)
    defined = {inner.name for inner in scope.inner}
    return FunctionFacts(
        identity=scope.identity,
        name=node.name,
        owner=scope.owner,
        row=first_row(node),
        end_row=node.end_lineno,
        parameters=parameters,
        returns=annotation_text(node.returns),
        decorators=decorators,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=uses.may_yield,
        is_property=any(decorator in _PROPERTIES for decorator in decorators),
        is_abstract=_is_abstract(node, decorators),
        calls=_calls(uses, renamed),
        mentions=tuple(sorted((uses.mentions - (local - defined)) | uses.attributes)),
        stores=tuple(sorted(stores)),
    )


def _parameter_facts(arguments: ast.arguments) -> tuple[ParameterFacts, ...]:
    return tuple(
        [
            ParameterFacts(node.arg, kind, annotation_text(node.annotation))
            for node, kind in parameter_nodes(arguments)
        ]
    )


def _is_abstract(node: Any, decorators: tuple[str, ...]) -> bool:
    if any(
        decorator.rpartition(".")[2] in ("abstractmethod", "abstractproperty") for decorator in decorators
    ):
        return True
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    return dotted_text(body[0].exc).removesuffix("()") == "NotImplementedError"


def _class_facts(scope: Scope, node: ast.ClassDef) -> ClassFacts:
    methods: list[tuple[str, str]] = []
    attributes: list[BindingFacts] = []
    for statement in scope.uses.assignments:
        attributes += bindings_of(statement, "", plain_name)
    for method in scope.inner:
        if isinstance(method.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            methods.append((method.name, method.identity))
            arguments = [*method.node.args.posonlyargs, *method.node.args.args]
            if arguments:
                attributes += attribute_bindings(method.uses.assignments, method.identity, arguments[0].arg)
    return ClassFacts(
        identity=scope.identity,
        name=node.name,
        function=scope.function,
        row=first_row(node),
        end_row=node.end_lineno or node.lineno,
        bases=tuple(text for text in map(_base_text, node.bases) if text),
        decorators=tuple(dotted_text(decorator) for decorator in node.decorator_list),
        methods=tuple(methods),
        attributes=tuple(attributes),
    )


def _base_text(node: ast.expr) -> str:
    while isinstance(node, ast.Subscript):
        node = node.value
    return dotted_text(node)


def _global_bindings(uses: Uses, function: str, names: set[str]) -> list[BindingFacts]:
    if not names:
        return []
    return [
        binding
        for node in uses.assignments
        for binding in bindings_of(node, function, plain_name)
        if binding.name in names
    ]

"""Extracts a file's facts from its tree in one pass over every function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rslint.project.bindings import annotation_text, attribute_bindings, bindings_of, plain_name
from rslint.project.definitions import (
    DEFINITIONS,
    Definition,
    definitions,
    dotted_text,
    first_row,
    imported_names,
    own_statements,
)
from rslint.project.facts import BindingFacts, ClassFacts, FileFacts, FunctionFacts, ParameterFacts
from rslint.project.lower_expression import parameter_nodes

_MUTATORS = """
append appendleft add clear discard extend insert pop popitem popleft put remove setdefault update
"""
_NOT_CHILDREN = """
ctx op ops id attr arg name names level module lineno type_comment kind annotation returns asname rest
is_async conversion simple tag type_params kwd_attrs
"""
MUTATORS = frozenset(_MUTATORS.split())
_PROPERTIES = frozenset({"property", "cached_property", "functools.cached_property", "abc.abstractproperty"})
_CHILDREN: dict[type[ast.AST], tuple[str, ...]] = {
    kind: tuple(name for name in kind._fields if name not in _NOT_CHILDREN.split())
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
for _kind in (ast.Constant, ast.MatchSingleton):
    _CHILDREN[_kind] = ()  # what they hold are plain values


@dataclass
class Uses:
    """What one scope does with names, collected while its nodes are visited."""

    calls: set[str] = field(default_factory=set)
    mentions: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    declared_global: set[str] = field(default_factory=set)
    assignments: list[ast.stmt] = field(default_factory=list)
    is_generator: bool = False


def extract_facts(tree: ast.Module, module: str, is_package: bool) -> FileFacts:
    """The facts of one parsed file."""
    imports: list[tuple[str, str]] = []
    for node in own_statements(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports += imported_names(node, module, is_package)
    functions: list[FunctionFacts] = []
    classes: list[ClassFacts] = []
    bindings: list[BindingFacts] = []
    top = collect_uses(tree.body)
    identity = module + ":"
    functions.append(_top_level(identity, tree, top))
    bindings += _global_bindings(top, identity, top.bound)
    pending: list[tuple[Sequence[ast.AST], str, str, str]] = [(tree.body, identity, "", identity)]
    while pending:
        body, prefix, owner, function = pending.pop()
        for definition, name in definitions(body):
            inner = prefix + name
            if isinstance(definition, ast.ClassDef):
                classes.append(_class_facts(definition, inner, function))
                pending.append((definition.body, inner + ".", inner, function))
            else:
                uses = collect_uses(definition.body)
                functions.append(_function_facts(definition, inner, owner, uses))
                bindings += _global_bindings(uses, inner, uses.declared_global)
                pending.append((definition.body, inner + ".", "", inner))
    functions[1:] = sorted(functions[1:], key=lambda facts: (facts.row, facts.identity))
    classes.sort(key=lambda facts: (facts.row, facts.identity))
    return FileFacts(
        module=module,
        is_package=is_package,
        imports=tuple(dict.fromkeys(pair for pair in imports if pair[0] != "*")),
        stars=tuple(dict.fromkeys(target for name, target in imports if name == "*")),
        globals=tuple(bindings),
        classes=tuple(classes),
        functions=tuple(functions),
    )


def collect_uses(body: Iterable[ast.AST]) -> Uses:
    """Visit one scope's nodes iteratively; nested definitions contribute decorators, defaults and bases
    alone."""
    uses = Uses()
    pending: list[Any] = list(body)
    while pending:
        node = pending.pop()
        kind = node.__class__
        if kind is ast.Constant:
            continue
        if kind is ast.Name:
            (uses.mentions if node.ctx.__class__ is ast.Load else uses.bound).add(node.id)
            continue
        if kind is ast.Call:
            _visit_call(node, uses, pending)
            continue
        if kind is ast.Attribute:
            if node.ctx.__class__ is ast.Load:
                uses.attributes.add(node.attr)
            else:
                uses.stores.add(node.attr)
            _visit_receiver(node.value, uses, pending)
            continue
        handle = _SPECIAL.get(kind)
        if handle is not None:
            handle(node, uses, pending)
            if kind in DEFINITIONS:
                continue
        for name in _CHILDREN[kind]:
            child = getattr(node, name, None)
            if child.__class__ is list:
                pending += [item for item in child if item is not None]
            elif child is not None:
                pending.append(child)
    return uses


def _visit_call(node: ast.Call, uses: Uses, pending: list[Any]) -> None:
    func = node.func
    if func.__class__ is ast.Attribute:
        uses.calls.add(func.attr)
        receiver = func.value
        if func.attr in MUTATORS:
            _visit_change(receiver, uses)
        _visit_receiver(receiver, uses, pending)
    elif func.__class__ is ast.Name:
        uses.calls.add(func.id)
    else:
        pending.append(func)
    pending += node.args
    for keyword in node.keywords:
        pending.append(keyword.value)


def _visit_receiver(node: ast.AST, uses: Uses, pending: list[Any]) -> None:
    """The object an attribute is taken of: its names are receivers, not values that are passed on."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if node.__class__ is not ast.Name:
        pending.append(node)


def _visit_change(node: ast.AST, uses: Uses) -> None:
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        uses.stores.add(node.attr)
    elif isinstance(node, ast.Name):
        uses.changed.add(node.id)


def _visit_subscript(node: ast.Subscript, uses: Uses, pending: list[Any]) -> None:
    if node.ctx.__class__ is not ast.Load:
        _visit_change(node.value, uses)


def _visit_definition(node: Definition, uses: Uses, pending: list[Any]) -> None:
    uses.bound.add(node.name)
    pending += node.decorator_list
    if isinstance(node, ast.ClassDef):
        pending += node.bases
        pending += [keyword.value for keyword in node.keywords]
    else:
        pending += node.args.defaults
        pending += [default for default in node.args.kw_defaults if default is not None]


def _visit_scope(node: ast.Global, uses: Uses, pending: list[Any]) -> None:
    uses.declared_global.update(node.names)


def _visit_yield(node: ast.AST, uses: Uses, pending: list[Any]) -> None:
    uses.is_generator = True


def _visit_assignment(node: ast.stmt, uses: Uses, pending: list[Any]) -> None:
    uses.assignments.append(node)


def _visit_import(node: ast.Import | ast.ImportFrom, uses: Uses, pending: list[Any]) -> None:
    uses.bound.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)


_SPECIAL: dict[type[ast.AST], Any] = {
    ast.Subscript: _visit_subscript,
    ast.FunctionDef: _visit_definition,
    ast.AsyncFunctionDef: _visit_definition,
    ast.ClassDef: _visit_definition,
    ast.Global: _visit_scope,
    ast.Yield: _visit_yield,
    ast.YieldFrom: _visit_yield,
    ast.Assign: _visit_assignment,
    ast.AnnAssign: _visit_assignment,
    ast.With: _visit_assignment,
    ast.AsyncWith: _visit_assignment,
    ast.Import: _visit_import,
    ast.ImportFrom: _visit_import,
}


def _top_level(identity: str, tree: ast.Module, uses: Uses) -> FunctionFacts:
    end_row = tree.body[-1].end_lineno or 1 if tree.body else 1
    return FunctionFacts(
        identity=identity,
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
        calls=tuple(sorted(uses.calls)),
        mentions=tuple(sorted(uses.mentions | uses.attributes)),
        stores=tuple(sorted(uses.stores | uses.bound | uses.changed)),
    )


def _function_facts(node: Any, identity: str, owner: str, uses: Uses) -> FunctionFacts:
    parameters = _parameter_facts(node.args)
    local = (uses.bound | {parameter.name for parameter in parameters}) - uses.declared_global
    decorators = tuple(dotted_text(decorator) for decorator in node.decorator_list)
    stores = uses.stores | (uses.bound & uses.declared_global) | (uses.changed - local)
    return FunctionFacts(
        identity=identity,
        name=node.name,
        owner=owner,
        row=first_row(node),
        end_row=node.end_lineno,
        parameters=parameters,
        returns=annotation_text(node.returns),
        decorators=decorators,
        is_async=isinstance(node, ast.AsyncFunctionDef),
        is_generator=uses.is_generator,
        is_property=any(decorator in _PROPERTIES for decorator in decorators),
        is_abstract=_is_abstract(node, decorators),
        calls=tuple(sorted(uses.calls)),
        mentions=tuple(sorted((uses.mentions - (local - _defined(node.body))) | uses.attributes)),
        stores=tuple(sorted(stores)),
    )


def _defined(body: Sequence[ast.AST]) -> set[str]:
    return {definition.name for definition, _ in definitions(body)}


def _parameter_facts(arguments: ast.arguments) -> tuple[ParameterFacts, ...]:
    keywords = {id(node) for node in arguments.kwonlyargs}

    def kind(node: ast.arg) -> str:
        if node is arguments.vararg:
            return "args"
        if node is arguments.kwarg:
            return "kwargs"
        return "keyword" if id(node) in keywords else "positional"

    return tuple(
        ParameterFacts(node.arg, kind(node), annotation_text(node.annotation))
        for node in parameter_nodes(arguments)
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


def _class_facts(node: ast.ClassDef, identity: str, function: str) -> ClassFacts:
    methods: list[tuple[str, str]] = []
    attributes: list[BindingFacts] = []
    for statement in own_statements(node.body):
        attributes += bindings_of(statement, "", plain_name)
    for definition, name in definitions(node.body):
        if isinstance(definition, ast.ClassDef):
            continue
        method = f"{identity}.{name}"
        methods.append((definition.name, method))
        arguments = [*definition.args.posonlyargs, *definition.args.args]
        if arguments:
            attributes += attribute_bindings(definition, method, arguments[0].arg)
    return ClassFacts(
        identity=identity,
        name=node.name,
        function=function,
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
    ordered = sorted(uses.assignments, key=lambda node: (node.lineno, node.col_offset))
    return [
        binding
        for node in ordered
        for binding in bindings_of(node, function, plain_name)
        if binding.name in names
    ]

"""Extracts how names and attributes get their values, as the short texts that facts keep."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from rslint.project.definitions import dotted_text
from rslint.project.facts import BindingFacts


def attribute_bindings(assignments: Iterable[ast.stmt], identity: str, receiver: str) -> list[BindingFacts]:
    """Bindings a method's assignments make of attributes of its `receiver`."""

    def attribute_name(target: ast.AST) -> str:
        if (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id == receiver
        ):
            return target.attr
        return ""

    return [
        binding for statement in assignments for binding in bindings_of(statement, identity, attribute_name)
    ]


def plain_name(target: ast.AST) -> str:
    return target.id if isinstance(target, ast.Name) else ""


def bindings_of(node: ast.AST, function: str, name_of: Any) -> list[BindingFacts]:
    """Bindings one statement makes of the targets that `name_of` names."""
    found: list[BindingFacts] = []
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                values: list[ast.AST] = list(getattr(node.value, "elts", ()))
                pairs = list(zip(target.elts, values, strict=True)) if len(values) == len(target.elts) else []
            else:
                pairs = [(target, node.value)]
            for one, value in pairs:
                if name := name_of(one):
                    found += [BindingFacts(name, function, text, "") for text in value_texts(value)]
    elif isinstance(node, ast.AnnAssign):
        if name := name_of(node.target):
            texts = value_texts(node.value) if node.value is not None else []
            annotation = annotation_text(node.annotation)
            found += [BindingFacts(name, function, text, annotation) for text in texts or [""]]
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        for item in node.items:
            if item.optional_vars is not None and (name := name_of(item.optional_vars)):
                found += [
                    BindingFacts(name, function, text, "", True) for text in value_texts(item.context_expr)
                ]
    return found


def value_texts(node: ast.AST, depth: int = 0) -> list[str]:
    """Every candidate of a value: the arms of `a if c else b` and `a or b`."""
    if depth > 20:
        return []
    if isinstance(node, ast.IfExp):
        return [*value_texts(node.body, depth + 1), *value_texts(node.orelse, depth + 1)]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in value_texts(value, depth + 1)]
    if isinstance(node, (ast.Await, ast.NamedExpr)):
        return value_texts(node.value, depth + 1)
    text = _value_text(node)
    return [text] if text else []


def _value_text(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and node.args and dotted_text(node.func).rpartition(".")[2] == "partial":
        return f"{dotted_text(node.func)}({dotted_text(node.args[0])})"
    if isinstance(node, (ast.List, ast.Set, ast.Tuple)) and node.elts:
        return _wrapped("[{}]", node.elts[0])
    if isinstance(node, (ast.ListComp, ast.SetComp)):
        return _wrapped("[{}]", node.elt)
    if isinstance(node, ast.Dict) and node.values:
        return _wrapped("{{0: {}}}", node.values[0])
    if isinstance(node, ast.DictComp):
        return _wrapped("{{0: {}}}", node.value)
    if isinstance(node, ast.Subscript):
        value = dotted_text(node.value)
        return f"{value}[0]" if value else ""
    return dotted_text(node)


def _wrapped(form: str, node: ast.AST) -> str:
    text = dotted_text(node)
    return form.format(text) if text else ""


def annotation_text(node: ast.expr | None, depth: int = 0) -> str:
    """An annotation as source text; a string annotation's own text; "" where it holds anything unusual."""
    if node is None or depth > 8:
        return ""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else str(node.value) if node.value is None else ""
    if isinstance(node, ast.Subscript):
        return f"{annotation_text(node.value, depth + 1)}[{annotation_text(node.slice, depth + 1)}]"
    if isinstance(node, ast.BinOp):
        return f"{annotation_text(node.left, depth + 1)} | {annotation_text(node.right, depth + 1)}"
    if isinstance(node, (ast.Tuple, ast.List)):
        inner = ", ".join(annotation_text(item, depth + 1) or "None" for item in node.elts)
        return inner if isinstance(node, ast.Tuple) else f"[{inner}]"
    return dotted_text(node)

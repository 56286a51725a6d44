"""The scopes of a file: what each function and class defines, and what each definition is called.

Identities are made here alone. A name defined again in the same scope (a branch on the platform, a property's setter)
gets "@2", "@3" … in source order. `@overload` declarations have no body and are left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rslint.project.definitions import Definition, is_overload
from rslint.project.uses import Uses, collect_uses


@dataclass(frozen=True)
class Scope:
    """A module, function or class, with what its own body does with names.

    `owner` is the class it stands in directly, "" without one; `function` the function or module around it; `inner`
    are the definitions in it, in source order.
    """

    node: ast.Module | Definition
    identity: str
    owner: str
    function: str
    uses: Uses
    inner: tuple[Scope, ...]

    @property
    def name(self) -> str:
        """The definition's name, "" for a module."""
        return "" if isinstance(self.node, ast.Module) else self.node.name


def file_scope(tree: ast.Module, module: str) -> Scope:
    """The scope of a parsed file, all others inside it."""
    return scope_of(tree, module + ":")


def scope_of(node: ast.Module | Definition, identity: str, owner: str = "", function: str = "") -> Scope:
    """The scope of a module or definition; indentation bounds how deep others are nested in it."""
    uses = collect_uses(node.body)
    prefix = identity if isinstance(node, ast.Module) else identity + "."
    outer, around = (identity, function) if isinstance(node, ast.ClassDef) else ("", identity)
    inner = [scope_of(one, prefix + name, outer, around) for one, name in _named(uses.definitions)]
    return Scope(node, identity, owner, function, uses, tuple(inner))


def nested_scopes(scope: Scope) -> Iterator[Scope]:
    """Every scope below this one."""
    pending = [scope]
    while pending:
        current = pending.pop()
        yield from current.inner
        pending += current.inner


def _named(found: Iterable[Definition]) -> Iterator[tuple[Definition, str]]:
    seen: dict[str, int] = {}
    for node in found:
        if not (node.decorator_list and is_overload(node)):
            count = seen[node.name] = seen.get(node.name, 0) + 1
            yield node, node.name if count == 1 else f"{node.name}@{count}"

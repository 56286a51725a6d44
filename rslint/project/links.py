"""Links of a project: which functions a call may reach, which types a value may have, who uses a name."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import msgspec

from rslint.project import evaluation, hierarchy, members
from rslint.project.anatomy import Dissected
from rslint.project.common_names import COMMON_METHODS
from rslint.project.entities import LINKS, Entities, Entity, is_type_name
from rslint.project.facts import BindingFacts, ClassFacts, FunctionFacts
from rslint.project.index import Index
from rslint.project.ir import (
    Attribute,
    Await,
    Call,
    Constant,
    Expr,
    Function,
    Name,
    NamedExpr,
    Return,
    Stmt,
    Subscript,
)
from rslint.project.scopes import LocalNames, local_names
from rslint.project.source import Source
from rslint.project.store import FactStore, module_of
from rslint.project.text import statements

T = TypeVar("T")

_SHORTEST_FALLBACK = 6
_MOST_DEFINITIONS = 2
_CALLED_AS = {"torch.nn.Module": "forward", "torch.nn.modules.module.Module": "forward"}
"""Calling an instance of these external classes calls the named method of the project's subclass."""


class Target(msgspec.Struct, frozen=True):
    """What a call or reference reaches.

    `functions` are project functions, sorted; a class gives its `__init__` and `constructs`. `external` is
    the dotted name where it leaves the project; a call inside it is written `()`. `text` is the dotted
    text as written. `certainty`: "exact", "hierarchy" (one of several candidates), "name" (found by a
    method name that is defined at most twice) or "none".
    """

    functions: tuple[str, ...]
    external: str | None
    text: str
    receiver_types: tuple[str, ...]
    constructs: str | None
    certainty: str


class Links:
    """Lazily resolved, memoised answers about one index. Each is a function of the index alone: answers
    depend neither on the order of files nor on what was asked before."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.store = FactStore(index)
        self._memory: dict[Hashable, Any] = {}
        self.pending: set[Hashable] = set()  # questions that are being answered, to see circles
        self._locals: dict[str, LocalNames] = {}
        self._top_level: dict[str, dict[str, list[Entity]]] = {}
        self._globals: dict[str, dict[str, list[BindingFacts]]] = {}

    # What is known ------------------------------------------------------------------------------------------

    @property
    def function_ids(self) -> tuple[str, ...]:
        """Every function of the project, sorted."""
        return self.remember("function_ids", self._function_ids)

    def _function_ids(self) -> tuple[str, ...]:
        found: list[str] = []
        for module in self.index.lowered:
            facts = self.store.facts(module)
            found += [function.identity for function in facts.functions] if facts else []
        return tuple(sorted(found))

    def functions_of(self, module: str) -> tuple[str, ...]:
        """The functions of one module in source order, its top level left out."""
        facts = self.store.facts(module)
        return tuple(function.identity for function in facts.functions[1:]) if facts else ()

    def facts(self, function: str) -> FunctionFacts:
        """A function's facts. Raises KeyError for unknown identities."""
        facts = self.store.function(function)
        if facts is None:
            raise KeyError(function)
        return facts

    def ir(self, function: str) -> Function:
        """A function's IR; a ClassId gives the class body as a function. Raises KeyError for unknown
        identities."""
        return self.store.lowered(function)

    def anatomy(self, function: str) -> tuple[Dissected, ...]:
        """The statements of a function with the expressions they evaluate. Raises KeyError for unknown identities."""
        return self.store.dissected(function)

    def source(self, identity: str) -> Source:
        """The source of a module, function or class. Raises KeyError for unknown modules."""
        return self.store.source(identity)

    def calling(self, name: str) -> tuple[str, ...]:
        """Functions that contain a call whose last name is `name`, sorted."""
        return self.store.calling(name)

    def modules_naming(self, word: str) -> tuple[str, ...]:
        """The modules in whose text the word occurs."""
        return self.store.modules_with(word)

    def modules_defining(self, name: str) -> tuple[str, ...]:
        """The modules that define a function or method of this name."""
        return self.store.modules_defining(name)

    def mentioning(self, name: str) -> tuple[str, ...]:
        """Functions that use `name` as a value, not as a callee, sorted."""
        return self.store.mentioning(name)

    def storing(self, attribute: str) -> tuple[str, ...]:
        """Functions that store to, delete or mutate `<expr>.attribute`, or the module global of that name,
        sorted."""
        return self.store.storing(attribute)

    def storing_in(self, module: str, name: str) -> tuple[str, ...]:
        """The functions of one module that store to an attribute or global of this name, in source order."""
        return self.store.storing_in(module, name)

    # Classes ------------------------------------------------------------------------------------------------

    def class_facts(self, class_id: str) -> ClassFacts:
        """A class's facts. Raises KeyError for unknown identities."""
        facts = self.store.class_facts(class_id)
        if facts is None:
            raise KeyError(class_id)
        return facts

    def mro(self, class_id: str) -> tuple[str, ...]:
        """The class and its ancestors: ClassIds and external dotted names."""
        return hierarchy.mro(self, class_id)

    def subclasses(self, class_id: str) -> tuple[str, ...]:
        """All project classes below this one, transitively, sorted."""
        return hierarchy.subclasses(self, class_id)

    def method(self, class_id: str, name: str) -> str | None:
        """The function that `name` means on an exact instance of the class."""
        return next(iter(hierarchy.inherited_methods(self, self.mro(class_id), name)), None)

    # Resolution ---------------------------------------------------------------------------------------------

    def resolve(self, function: str, expression: Expr) -> Target:
        """What a call, or a reference to something callable, in `function` reaches."""
        callee = expression.func if isinstance(expression, Call) else expression
        receivers: Entities = ()
        if isinstance(callee, Attribute):
            receivers = self.evaluate(function, callee.value, LINKS)
            found = evaluation.members_of(self, receivers, callee.attr, LINKS)
        else:
            found = self.evaluate(function, callee, LINKS)
        reached: set[str] = set()
        external: list[str] = []
        constructs: list[str] = []
        exact = True
        for entity in found:
            if entity.kind == "function":
                reached.add(entity.name)
                exact = exact and entity.exact
            elif entity.kind == "class":
                constructs.append(entity.name)
                reached.update(hierarchy.inherited_methods(self, self.mro(entity.name), "__init__"))
            elif entity.kind == "instance":
                reached.update(self._called_as(entity))
            elif entity.kind in ("external", "object"):
                external.append(entity.name if entity.kind == "external" else f"{entity.name}.__call__")
        certainty = "exact" if exact and len(reached) + len(external) <= 1 else "hierarchy"
        if not found and (named := self._by_name(callee, receivers)):
            reached.update(named)
            certainty = "name"
        elif not reached and not external and not constructs:
            certainty = "none"
        if not constructs:
            constructs = [name for name in external if is_type_name(name)]
        return Target(
            functions=tuple(sorted(reached)),
            external=external[0] if external else None,
            text=text_of(callee),
            receiver_types=type_names(receivers),
            constructs=constructs[0] if constructs else None,
            certainty=certainty,
        )

    def type_of(self, function: str, expression: Expr) -> tuple[str, ...]:
        """ClassIds and external dotted types the expression's value may have, in order of discovery."""
        return type_names(self.evaluate(function, expression, LINKS))

    def _called_as(self, entity: Entity) -> tuple[str, ...]:
        order = self.mro(entity.name)
        if found := hierarchy.inherited_methods(self, order, "__call__"):
            return found
        name = next((_CALLED_AS[ancestor] for ancestor in order if ancestor in _CALLED_AS), None)
        return hierarchy.inherited_methods(self, order, name) if name else ()

    def _by_name(self, callee: Expr, receivers: Entities) -> tuple[str, ...]:
        if not isinstance(callee, Attribute) or any(e.kind not in ("instance", "super") for e in receivers):
            return ()
        name = callee.attr
        if len(name) < _SHORTEST_FALLBACK or name.startswith("__") or name in COMMON_METHODS:
            return ()
        return self.remember(("by name", name), lambda: self._methods_called(name))

    def _methods_called(self, name: str) -> tuple[str, ...]:
        defined: list[FunctionFacts] = []
        for module in self.store.modules_defining(name):
            facts = self.store.facts(module)
            defined += [function for function in facts.functions if function.name == name] if facts else []
        if len(defined) > _MOST_DEFINITIONS:
            return ()
        return tuple(sorted(function.identity for function in defined if function.owner))

    # What the parts of resolution ask -----------------------------------------------------------------------

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value computed for this key, once."""
        try:
            value: T = self._memory[key]
        except KeyError:
            value = self._memory[key] = compute()
        return value

    def evaluate(self, function: str, expression: Expr, depth: int) -> Entities:
        """The entities an expression may denote."""
        return evaluation.evaluate(self, function, expression, depth)

    def entered(self, function: str, context: Expr, depth: int) -> Entities:
        """What `with context as name` binds."""
        return evaluation.entered(self, function, context, depth)

    def iterated(self, function: str, iterable: Expr, position: int, depth: int) -> Entities:
        """What `for … in iterable` binds."""
        return evaluation.iterated(self, function, iterable, position, depth)

    def unpacked(self, function: str, value: Expr, position: int, depth: int) -> Entities:
        """What the item at `position` of an unpacked call's result is."""
        return evaluation.unpacked(self, function, value, position, depth)

    def returned(self, function: str, depth: int) -> Entities:
        """What a project function returns."""
        return evaluation.returned(self, function, depth)

    def member(self, entity: Entity, name: str, depth: int) -> Entities:
        """What `entity.name` denotes."""
        return members.member_entities(self, entity, name, depth)

    def owner_of(self, function: str) -> str | None:
        """The class a method stands in directly."""
        facts = self.store.function(function)
        return facts.owner or None if facts else None

    def scope_of_class(self, class_id: str) -> str:
        """The function or module top level a class statement stands in."""
        facts = self.store.class_facts(class_id)
        return facts.function if facts else module_of(class_id) + ":"

    def local_names(self, function: str) -> LocalNames:
        """The local bindings of a function."""
        if function not in self._locals:
            self._locals[function] = local_names(self.ir(function), self.anatomy(function))
        return self._locals[function]

    def returned_values(self, function: str) -> tuple[Expr, ...]:
        """The expressions a function returns, without constants."""
        return self.remember(("return values", function), lambda: _returned_values(self.ir(function).body))

    def top_level(self, module: str, name: str) -> list[Entity]:
        """The functions and classes a module defines under this name."""
        if module not in self._top_level:
            table: dict[str, list[Entity]] = {}
            facts = self.store.facts(module)
            for kind, defined in (("function", facts.functions), ("class", facts.classes)) if facts else ():
                for one in defined:
                    if one.name and "." not in one.identity.partition(":")[2]:
                        table.setdefault(one.name, []).append(Entity(kind, one.identity))
            self._top_level[module] = table
        return self._top_level[module].get(name, [])

    def bound_names(self, module: str) -> frozenset[str]:
        """The names a module imports or assigns at its top level, whatever they hold."""
        return self.remember(("bound", module), lambda: self._bound_names(module))

    def _bound_names(self, module: str) -> frozenset[str]:
        facts = self.store.facts(module)
        if facts is None:
            return frozenset()
        return frozenset([*(name for name, _ in facts.imports), *facts.functions[0].stores])

    def global_bindings(self, module: str, name: str) -> list[BindingFacts]:
        """The ways a module's global of this name is assigned."""
        if module not in self._globals:
            table: dict[str, list[BindingFacts]] = {}
            facts = self.store.facts(module)
            for binding in facts.globals if facts else ():
                table.setdefault(binding.name, []).append(binding)
            self._globals[module] = table
        return self._globals[module].get(name, [])

    def attribute_bindings(self, class_id: str, name: str) -> tuple[BindingFacts, ...]:
        """The ways a class (not its bases) assigns an attribute."""
        facts = self.store.class_facts(class_id)
        return tuple(binding for binding in facts.attributes if binding.name == name) if facts else ()


def type_names(entities: Entities) -> tuple[str, ...]:
    """The types among entities: ClassIds and external dotted names; a class stands for itself."""
    kinds = ("instance", "object", "container", "class", "super")
    return tuple(dict.fromkeys(entity.name for entity in entities if entity.kind in kinds))


def text_of(expression: Expr) -> str:
    """The dotted text as written: calls without arguments, subscripts as `[…]`; "" for anything else."""
    if isinstance(expression, Name):
        return expression.id
    if isinstance(expression, Attribute):
        value = text_of(expression.value)
        return f"{value}.{expression.attr}" if value else expression.attr
    if isinstance(expression, Call):
        value = text_of(expression.func)
        return f"{value}()" if value else ""
    if isinstance(expression, Subscript):
        value = text_of(expression.value)
        return f"{value}[…]" if value else ""
    return text_of(expression.value) if isinstance(expression, (Await, NamedExpr)) else ""


def _returned_values(body: tuple[Stmt, ...]) -> tuple[Expr, ...]:
    values = [s.value for s in statements(body) if isinstance(s, Return) and s.value is not None]
    return tuple(value for value in values if not isinstance(value, Constant))

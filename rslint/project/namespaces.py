"""Names to entities: modules, imports and re-exports, module globals, the scopes around a function."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from rslint.project.annotations import annotation_entities, parsed_text
from rslint.project.entities import Entities, Entity, instance_of, unique
from rslint.project.facts import BindingFacts
from rslint.project.scopes import LocalBinding
from rslint.project.store import module_of

if TYPE_CHECKING:
    from rslint.project.links import Links

_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))


def name_entities(links: Links, function: str, name: str, depth: int) -> Entities:
    """What a name denotes in a function: its own bindings, the functions around it, the module, builtins."""
    return links.remember(
        ("name", function, name, depth), lambda: _name_entities(links, function, name, depth)
    )


def _name_entities(links: Links, function: str, name: str, depth: int) -> Entities:
    module = module_of(function)
    if depth <= 0:
        return ()
    scope = function
    while not scope.endswith(":"):
        if links.store.function(scope) is not None:
            local = links.local_names(scope)
            bindings = local.bindings.get(name)
            if bindings:
                found = [binding_entities(links, scope, binding, depth - 1) for binding in bindings]
                return unique(entity for group in found for entity in group)
            for star in local.stars:
                if imported := dotted_entities(links, f"{star}.{name}", depth - 1):
                    return imported
        scope = enclosing(scope)
    found_in_module = module_entities(links, module, name, depth - 1)
    if found_in_module:
        return found_in_module
    return (Entity("external", f"builtins.{name}"),) if name in _BUILTINS else ()


def enclosing(identity: str) -> str:
    """The identity one level out: "m:C.f" gives "m:C", "m:f" gives "m:"."""
    module, _, qualified = identity.partition(":")
    return f"{module}:{qualified.rpartition('.')[0]}"


def binding_entities(links: Links, function: str, binding: LocalBinding, depth: int) -> Entities:
    """What one local binding can hold."""
    if depth <= 0:
        return ()
    expression = binding.expression
    if binding.kind == "parameter":
        return _parameter_entities(links, function, binding, depth)
    if binding.kind == "import":
        return dotted_entities(links, binding.text, depth)
    if binding.kind == "define":
        return (Entity("class" if binding.position else "function", binding.text),)
    if expression is None or binding.kind == "opaque":
        return ()
    if binding.kind == "value":
        return links.evaluate(function, expression, depth)
    if binding.kind == "unpacked":
        return links.unpacked(function, expression, binding.position, depth)
    if binding.kind == "entered":
        return links.entered(function, expression, depth)
    if binding.kind == "annotation":
        return annotation_entities(links, function, expression, depth)
    if binding.kind == "raised":
        return instance_of(links.evaluate(function, expression, depth), exact=False)
    return links.iterated(function, expression, binding.position, depth)


def _parameter_entities(links: Links, function: str, binding: LocalBinding, depth: int) -> Entities:
    facts = links.store.function(function)
    if facts is not None and facts.owner and binding.position == 0 and "staticmethod" not in facts.decorators:
        is_class = "classmethod" in facts.decorators or facts.name in ("__new__", "__init_subclass__")
        return (Entity("class" if is_class else "instance", facts.owner, exact=False),)
    if binding.expression is None:
        return ()
    found = annotation_entities(links, function, binding.expression, depth)
    if binding.text in ("args", "kwargs"):
        return (
            Entity("container", "builtins.tuple" if binding.text == "args" else "builtins.dict", True, found),
        )
    return found


def module_entities(links: Links, module: str, name: str, depth: int) -> Entities:
    """What `module.name` denotes, for a module of the project; () when it has no such name."""
    return links.remember(
        ("module", module, name, depth), lambda: _module_entities(links, module, name, depth)
    )


def _module_entities(links: Links, module: str, name: str, depth: int) -> Entities:
    if depth <= 0:
        return ()
    found = list(links.top_level(module, name))
    facts = links.store.facts(module)
    if facts is not None:
        targets = [
            target for bound, target in facts.imports if bound == name and target != f"{module}.{name}"
        ]
        for target in targets:
            found += dotted_entities(links, target, depth - 1)
        if not found:
            for binding in links.global_bindings(module, name):
                found += recorded_entities(links, binding.function, binding, depth - 1)
        if not found:
            for star in facts.stars:
                if links.store.is_module(star) and star != module:
                    found += module_entities(links, star, name, depth - 1)
    if not found and links.store.is_module(f"{module}.{name}"):
        found.append(Entity("module", f"{module}.{name}"))
    return unique(found)


def recorded_entities(links: Links, scope: str, binding: BindingFacts, depth: int) -> Entities:
    """What one recorded binding of a module global, class attribute or instance attribute can hold."""
    if depth <= 0:
        return ()
    found: list[Entity] = []
    if binding.annotation and (annotation := parsed_text(binding.annotation)) is not None:
        found += annotation_entities(links, scope, annotation, depth)
    if binding.value and (value := parsed_text(binding.value)) is not None:
        found += (
            links.entered(scope, value, depth) if binding.entered else links.evaluate(scope, value, depth)
        )
    return unique(found)


def dotted_entities(links: Links, dotted: str, depth: int) -> Entities:
    """What an absolute dotted name denotes; external where it leaves the project."""
    if depth <= 0:
        return ()
    if not links.store.is_module(dotted.partition(".")[0]):
        return (Entity("external", dotted),)
    parts = dotted.split(".")
    found: Entities = (Entity("module", parts[0]),)
    for part in parts[1:]:
        found = unique(inner for entity in found for inner in links.member(entity, part, depth - 1))
    return found

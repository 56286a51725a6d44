"""Gives out facts, sources and functions, each decoded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from rslint.project import ir
from rslint.project.anatomy import Dissected, anatomy
from rslint.project.facts import ClassFacts, FileFacts, FunctionFacts
from rslint.project.index import Index, decode_functions
from rslint.project.source import Source, Unreadable, read_source

_DECODER = msgspec.msgpack.Decoder(FileFacts)
_FUNCTION = msgspec.msgpack.Decoder(ir.Function)


def module_of(identity: str) -> str:
    """The module of a FunctionId or ClassId."""
    return identity.partition(":")[0]


class FactStore:
    """Lazy views of an index. What is given out depends on the index alone, never on what was asked
    before."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._facts: dict[str, FileFacts | None] = {}
        self._functions: dict[str, dict[str, FunctionFacts]] = {}
        self._classes: dict[str, dict[str, ClassFacts]] = {}
        self._sources: dict[str, Source] = {}
        self._bodies: dict[str, Mapping[str, msgspec.Raw]] = {}
        self._lowered: dict[str, ir.Function] = {}
        self._dissected: dict[str, tuple[Dissected, ...]] = {}
        self._called: dict[str, dict[str, list[str]]] = {}
        self._mentioned: dict[str, dict[str, list[str]]] = {}
        self._stored: dict[str, dict[str, list[str]]] = {}
        self._packages = {
            name[:end]
            for name in index.files
            for end in (position for position, character in enumerate(name) if character == ".")
        }

    def is_module(self, name: str) -> bool:
        """Whether the name is a module, package or namespace package of the project."""
        return name in self.index.files or name in self._packages

    def facts(self, module: str) -> FileFacts | None:
        """The module's facts; None for unknown modules and files that cannot be parsed."""
        if module not in self._facts:
            self._facts[module] = self._load(module)
        return self._facts[module]

    def _load(self, module: str) -> FileFacts | None:
        encoded = self.index.facts.get(module)
        return None if encoded is None else _DECODER.decode(encoded)

    def function(self, identity: str) -> FunctionFacts | None:
        """A function's facts by identity."""
        module = module_of(identity)
        if module not in self._functions:
            facts = self.facts(module)
            self._functions[module] = {f.identity: f for f in facts.functions} if facts else {}
        return self._functions[module].get(identity)

    def class_facts(self, identity: str) -> ClassFacts | None:
        """A class's facts by identity."""
        module = module_of(identity)
        if module not in self._classes:
            facts = self.facts(module)
            self._classes[module] = {f.identity: f for f in facts.classes} if facts else {}
        return self._classes[module].get(identity)

    def source(self, identity: str) -> Source:
        """The source of a module, function or class. Raises KeyError for modules the project does not
        have."""
        module = module_of(identity)
        if module not in self._sources:
            source = read_source(self.index.files[module], self.index.data[module])
            if isinstance(source, Unreadable):
                raise KeyError(f"{module}: {source.reason}")
            self._sources[module] = source
        return self._sources[module]

    def lowered(self, identity: str) -> ir.Function:
        """The function's IR (for a ClassId, its body as a function). Raises KeyError for unknown
        identities."""
        if identity not in self._lowered:
            self._lowered[identity] = self._lower(identity)
        return self._lowered[identity]

    def _lower(self, identity: str) -> ir.Function:
        module = module_of(identity)
        if module not in self._bodies:
            encoded = self.index.lowered.get(module)
            self._bodies[module] = {} if encoded is None else decode_functions(encoded)
        body = self._bodies[module].get(identity)
        if body is not None:
            return _FUNCTION.decode(body)
        raise KeyError(identity)

    def dissected(self, identity: str) -> tuple[Dissected, ...]:
        """The statements of a function with their expressions. Raises KeyError for unknown identities."""
        if identity not in self._dissected:
            self._dissected[identity] = anatomy(self.lowered(identity))
        return self._dissected[identity]

    def modules_with(self, word: str) -> tuple[str, ...]:
        """The modules whose bytes hold the word."""
        return tuple(self.index.words.get(word, ()))

    def modules_defining(self, name: str) -> tuple[str, ...]:
        """The modules that define a function or method of this name."""
        return tuple(self.index.defined.get(name, ()))

    def modules_deriving(self, name: str) -> tuple[str, ...]:
        """The modules in which a class may derive from one called `name`."""
        return tuple(self.index.bases.get(name, ()))

    def calling(self, name: str) -> tuple[str, ...]:
        """Functions that call something whose last name is `name`."""
        return self._using(self.index.called.get(name, ()), name, self._called, lambda facts: facts.calls)

    def mentioning(self, name: str) -> tuple[str, ...]:
        """Functions that use `name` as a value."""
        return self._using(self.modules_with(name), name, self._mentioned, lambda facts: facts.mentions)

    def storing(self, name: str) -> tuple[str, ...]:
        """Functions that store to an attribute or module global called `name`."""
        return self._using(self.modules_with(name), name, self._stored, lambda facts: facts.stores)

    def storing_in(self, module: str, name: str) -> tuple[str, ...]:
        """The functions of one module, its top level left out, that store to an attribute or global `name`."""
        found = self._table(module, self._stored, lambda facts: facts.stores).get(name, ())
        return tuple(identity for identity in found if not identity.endswith(":"))

    def _using(
        self,
        modules: Sequence[str],
        name: str,
        tables: dict[str, dict[str, list[str]]],
        names_of: Callable[[FunctionFacts], tuple[str, ...]],
    ) -> tuple[str, ...]:
        found: list[str] = []
        for module in modules:
            table = tables.get(module)
            found += (self._table(module, tables, names_of) if table is None else table).get(name, ())
        return tuple(sorted(found))

    def _table(
        self,
        module: str,
        tables: dict[str, dict[str, list[str]]],
        names_of: Callable[[FunctionFacts], tuple[str, ...]],
    ) -> dict[str, list[str]]:
        if module not in tables:
            table: dict[str, list[str]] = {}
            facts = self.facts(module)
            for function in facts.functions if facts else ():
                for used in names_of(function):
                    table.setdefault(used, []).append(function.identity)
            tables[module] = table
        return tables[module]

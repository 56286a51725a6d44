"""What one file says about itself: frozen, serialisable records to link by before anything is lowered.

Texts of values keep only what typing needs: names, attributes, calls without arguments (`a.b().c`), the
first argument of `partial`, and displays with one element (`[Worker()]`, `{0: Worker()}`). "" stands for
anything else.
"""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What all records share: frozen, compared by value, encoded as arrays, never part of a cycle."""


class ParameterFacts(Record, frozen=True, array_like=True):
    """`kind` as in `ir.Parameter`; `annotation` is source text, "" without one."""

    name: str
    kind: str
    annotation: str


class FunctionFacts(Record, frozen=True, array_like=True):
    """One def. `row` counts from 1 and is the first decorator's; `end_row` is included.

    `calls` are the last names of what it calls, of what is imported under another name both; `mentions` the
    names and attributes it uses as values, not as callees (its own locals left out); `stores` the attributes
    and module globals it stores to, deletes, or changes by a mutating method. `is_abstract`: declared so, or
    the body does nothing but raise NotImplementedError.
    """

    identity: str
    name: str
    owner: str
    row: int
    end_row: int
    parameters: tuple[ParameterFacts, ...]
    returns: str
    decorators: tuple[str, ...]
    is_async: bool
    is_generator: bool
    is_property: bool
    is_abstract: bool
    calls: tuple[str, ...]
    mentions: tuple[str, ...]
    stores: tuple[str, ...]


class BindingFacts(Record, frozen=True, array_like=True):
    """One way a module global or an attribute gets its value.

    `function` is the function that assigns it ("" at class level): texts are resolved in its scope.
    `entered` says the value is what `with <value> as …` yields.
    """

    name: str
    function: str
    value: str
    annotation: str
    entered: bool = False


class ClassFacts(Record, frozen=True, array_like=True):
    """One class. `bases` and `decorators` are dotted texts resolved in the scope of `function`, the def or
    module around it; `methods` are (name, FunctionId) pairs in source order, repeated names included."""

    identity: str
    name: str
    function: str
    row: int
    end_row: int
    bases: tuple[str, ...]
    decorators: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    attributes: tuple[BindingFacts, ...]


class FileFacts(Record, frozen=True, array_like=True):
    """One module. `imports` are the module-level (bound name, absolute dotted target) pairs, `stars` the
    modules imported with `*`, `globals` the ways its globals are assigned, in source order. `functions`
    starts with the module's top level."""

    module: str
    is_package: bool
    imports: tuple[tuple[str, str], ...]
    stars: tuple[str, ...]
    globals: tuple[BindingFacts, ...]
    classes: tuple[ClassFacts, ...]
    functions: tuple[FunctionFacts, ...]


def defined_names(facts: FileFacts) -> set[str]:
    """The names of the functions a file defines, methods included."""
    return {function.name for function in facts.functions[1:]}


def base_names(facts: FileFacts) -> set[str]:
    """The last names of its classes' bases; for an imported one (`Base as B`) also the name at its origin."""
    found = {base.rpartition(".")[2] for one in facts.classes for base in one.bases}
    found |= {target.rpartition(".")[2] for name, target in facts.imports if name in found}
    return found


def called_names(facts: FileFacts) -> set[str]:
    """The last names of everything the file calls."""
    return {name for function in facts.functions for name in function.calls}

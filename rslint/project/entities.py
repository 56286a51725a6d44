"""What an expression can denote: functions, classes, instances, modules, containers, external names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Entity(NamedTuple):
    """One candidate.

    `kind` is "function" (FunctionId), "class" (ClassId), "instance" (of a ClassId), "super" (of a
    ClassId), "module" (of the project), "external" (dotted name outside the project), "object" (instance
    of an external type), or "container" (`name` its type, `inner` its elements). `exact` is False where a
    subclass may stand in. For bound external methods of a container, `inner` are the container's elements.
    """

    kind: str
    name: str
    exact: bool = True
    inner: tuple[Entity, ...] = ()


Entities = tuple[Entity, ...]

LINKS = 10
"""How many bindings, re-exports, attributes and return values one answer may follow."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONTAINERS = _words(
    "list List set Set frozenset FrozenSet deque Deque Sequence MutableSequence Iterable Iterator Collection "
    "AsyncIterable AsyncIterator Generator AsyncGenerator KeysView ValuesView AbstractSet MutableSet"
)
MAPPINGS = _words(
    "dict Dict Mapping MutableMapping defaultdict DefaultDict OrderedDict WeakValueDictionary ChainMap"
)
TRANSPARENT = _words(
    "Optional Union Final ClassVar Annotated Required NotRequired ReadOnly InitVar Awaitable Coroutine"
)
LOWER_CASE_TYPES = _words(
    "socket.socket collections.deque collections.defaultdict threading.local array.array datetime.datetime "
    "datetime.date datetime.timedelta mmap.mmap itertools.count numpy.ndarray torch.device torch.dtype "
    "weakref.ref"
)
BUILTIN_TYPES = _words(
    "bool bytearray bytes complex dict float frozenset int list memoryview object range set slice str tuple"
)
PASS_THROUGH = _words(
    "builtins.list builtins.set builtins.tuple builtins.sorted builtins.reversed builtins.iter "
    "builtins.frozenset builtins.filter collections.deque copy.copy copy.deepcopy"
)
ELEMENT_METHODS = _words("get pop popleft popitem setdefault __getitem__ __next__")
VIEW_METHODS = _words("values copy")


def unique(entities: Iterable[Entity]) -> Entities:
    """Without repetitions, in the order found."""
    return tuple(dict.fromkeys(entities))


def instance_of(entities: Iterable[Entity], exact: bool) -> Entities:
    """What instances of these classes are."""
    found: list[Entity] = []
    for entity in entities:
        if entity.kind == "class":
            found.append(Entity("instance", entity.name, exact))
        elif entity.kind == "external":
            found.append(Entity("object", entity.name, exact))
    return tuple(found)


def elements(entities: Iterable[Entity]) -> Entities:
    """The elements of containers."""
    return unique(inner for entity in entities if entity.kind == "container" for inner in entity.inner)


def is_type_name(dotted: str) -> bool:
    """Whether calling this external name makes an instance of it, by the convention of capitalised
    classes."""
    last = dotted.rpartition(".")[2]
    if dotted.startswith("builtins."):
        return last in BUILTIN_TYPES or last[:1].isupper()
    return last[:1].isupper() or dotted in LOWER_CASE_TYPES


def container_type(name: str) -> str:
    """The concrete type whose methods a container annotated with this last name has."""
    if name in MAPPINGS:
        return "builtins.dict"
    kind = name.lower()
    if kind == "deque":
        return "collections.deque"
    return f"builtins.{kind}" if kind in ("set", "frozenset", "tuple") else "builtins.list"

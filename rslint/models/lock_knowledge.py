"""What models know of locks, compiled: constructors, names, what is made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rslint.models import schema
from rslint.models.patterns import Names, names


@dataclass(frozen=True)
class LockModels:
    """`constructors` give the kind of lock ("thread", "task") by dotted name; the patterns match last names."""

    constructors: Mapping[str, str]
    types: Names
    variables: Names
    no_locks: frozenset[str]
    makers: Names
    enders: frozenset[str]
    phases: Names
    keys: Names


def compile_locks(files: Sequence[schema.ModelFile]) -> LockModels:
    """Put the tables of all files together."""
    tables = [table for file in files for table in file.lock]
    return LockModels(
        constructors=MappingProxyType(
            {name: table.kind or "thread" for table in tables for name in table.names}
        ),
        types=names(pattern for table in tables for pattern in table.types),
        variables=names(pattern for table in tables for pattern in table.patterns),
        no_locks=frozenset(name for file in files for table in file.no_lock for name in table.names),
        makers=names(name for file in files for table in file.once for name in table.makers),
        enders=frozenset(name for file in files for table in file.once for name in table.enders),
        phases=names(name for file in files for table in file.once for name in table.phases),
        keys=names(name for file in files for table in file.once for name in table.keys),
    )

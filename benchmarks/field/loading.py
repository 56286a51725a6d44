"""Imports named modules of a released tree as they are, and lets stand-ins take the place of all else around them.

A released module imports half of its project, GPU extensions and servers, most of which the function under test never
touches. What is not named as real is a stand-in: it can be imported, subclassed, used in annotations and tested with
isinstance. It cannot be called. So no verdict rests on what a stand-in happened to answer.
"""

from __future__ import annotations

import importlib
import sys
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


class StandInCalled(BaseException):
    """The code under test needs something that is not there.

    No Exception: the code under test catches those, and would take this one for the failure under test.
    """


class _StandInType(ABCMeta):
    """Type of stand-ins: only subclasses that the released code defines make instances."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "_stand_in" in cls.__dict__:
            raise StandInCalled(f"{cls.__module__}.{cls.__qualname__} is a stand-in and was called")
        return super().__call__(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        # Members, of an enumeration say; a subclass of the released code has its own or none.
        if name.startswith("__") or "_stand_in" not in cls.__dict__:
            raise AttributeError(name)
        member = _stand_in(cls.__module__, f"{cls.__qualname__}.{name}")
        setattr(cls, name, member)
        return member

    def __or__(cls, other: Any) -> Any:
        return cls

    def __ror__(cls, other: Any) -> Any:
        return cls

    def __getitem__(cls, item: Any) -> Any:
        return cls


def _stand_in(module: str, qualname: str) -> _StandInType:
    name = qualname.rpartition(".")[2]
    return _StandInType(name, (), {"__module__": module, "__qualname__": qualname, "_stand_in": True})


class _StandInModule(ModuleType):
    """A module that has every name: a submodule where that is real or given, else a stand-in."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        finder: ReleasedModules = self.__dict__["_finder"]
        full = f"{self.__name__}.{name}"
        if finder.leads_to(full):
            return importlib.import_module(full)
        member = _stand_in(self.__name__, name)
        setattr(self, name, member)
        return member


class ReleasedModules(MetaPathFinder, Loader):
    """Finds what `load` names; every other module of these distributions is a stand-in."""

    def __init__(
        self, tree: Path, real: Sequence[str], absent: Sequence[str], given: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._tree = tree
        self._real = frozenset(real)
        self._given = given
        self._tops = frozenset(name.partition(".")[0] for name in (*real, *absent, *given))
        self._named = (*real, *given)

    def leads_to(self, name: str) -> bool:
        """Whether the module is real or given, or a package around one that is."""
        return any(named == name or named.startswith(f"{name}.") for named in self._named)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._tops:
            return None
        if fullname not in self._real:
            return ModuleSpec(fullname, self, is_package=True)
        place = self._tree.joinpath(*fullname.split("."))
        package = place / "__init__.py"
        file = package if package.is_file() else place.with_suffix(".py")
        if not file.is_file():
            raise ModuleNotFoundError(f"{self._tree.name} has no module {fullname}", name=fullname)
        return spec_from_file_location(fullname, file)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _StandInModule(spec.name)
        module.__dict__["_finder"] = self
        module.__dict__.update(self._given.get(spec.name, {}))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: a stand-in makes its names when they are asked for."""


def load(
    tree: str,
    *real: str,
    absent: Sequence[str] = (),
    given: Mapping[str, Mapping[str, Any]] | None = None,
) -> Any:
    """Import released modules from `tree`, for the rest of this process, and return the first.

    Args:
        tree: the folder that `releases.tree` returned.
        real: dotted names of the modules that run as released; packages around them do not run.
        absent: distributions beside the project's own that are stand-ins, installed or not: `zmq`, `triton` …
        given: by module, the names that the script itself answers for, where a stand-in would be called.

    Raises:
        ModuleNotFoundError: when the tree has no such module, or it imports what is neither installed nor `absent`.
    """
    sys.meta_path.insert(0, ReleasedModules(Path(tree), real, absent, given or {}))
    return importlib.import_module(real[0])

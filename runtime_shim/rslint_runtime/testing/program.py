"""Loads the program under test in a rank, afresh, under the name that it has in the caller."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.util
import inspect
import pickle
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from rslint_runtime.testing import wire
from rslint_runtime.testing.file_names import shown

# How many of a file's functions an error lists.
_NAMED = 5


class NoSuchFunction(LookupError):
    """The request names a file or function that is not there, or cannot be called as ranks call it."""


def load(request: wire.RunRequest) -> ModuleType:
    """The module of the function under test, and all others whose functions were sent by value."""
    module = _loaded(request.sent.module_name, Path(request.sent.program), request.rewrites_asserts)
    for name, path in request.sent.modules:
        _loaded(name, Path(path), request.rewrites_asserts)
    return module


def function(request: wire.RunRequest, program: ModuleType) -> Any:
    """The function under test."""
    sent = request.sent
    if sent.pickled is not None:
        return pickle.loads(sent.pickled)
    found: Any = program
    for part in sent.qualname.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise NoSuchFunction(
            f"{shown(sent.program)} has no function {sent.qualname!r}; {_functions_of(program, sent.qualname)}"
        )
    if not callable(found):
        raise NoSuchFunction(
            f"{sent.qualname!r} in {shown(sent.program)} is a {type(found).__name__}, no function"
        )
    return found


def _functions_of(program: ModuleType, wanted: str) -> str:
    """The functions that the file defines, those spelled most like the wanted one first."""
    own = [
        name
        for name, value in vars(program).items()
        if inspect.isfunction(value) and value.__module__ == program.__name__
    ]
    if not own:
        return "it has none"
    own.sort(key=lambda name: -difflib.SequenceMatcher(None, wanted, name).ratio())
    more = f" and {len(own) - _NAMED} more" if len(own) > _NAMED else ""
    return f"it has {', '.join(own[:_NAMED])}{more}"


def check_call(function: Any, arguments: tuple[Any, ...]) -> None:
    """Whether the function can be called like that, told before ranks wait for each other; NoSuchFunction if not."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise NoSuchFunction(
            f"{name} is a generator function: a call of it runs nothing; exhaust it in another one"
        )
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        raise NoSuchFunction(
            f"{name} is called as (rank, world_size, *args), here with {len(arguments)} arguments: {error}"
        ) from None
    except ValueError:
        return  # it has no signature that could be looked at


def _loaded(name: str, path: Path, rewrites_asserts: bool) -> ModuleType:
    """By name where that leads to the same file, else from the file."""
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or "").resolve() == path:
        return known
    spec = _found_by_name(name, path)
    by_name = spec is not None
    if spec is None:
        spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NoSuchFunction(f"{path} is no Python file")
    if not by_name:
        sys.path.insert(0, str(path.parent))
        _load_parents(name, path)
    elif not rewrites_asserts:
        return importlib.import_module(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if name == "__mp_main__":
        sys.modules["__main__"] = module  # classes of the caller's script were pickled under this name
        # As of a script: what a rank spawns loads it by its path, no import finds the name.
        module.__spec__ = None
    if rewrites_asserts:
        exec(_with_rewritten_asserts(path), module.__dict__)
    else:
        spec.loader.exec_module(module)
    return module


def _found_by_name(name: str, path: Path) -> ModuleSpec | None:
    if name == "__mp_main__":
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    same = spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path
    return spec if same else None


def _load_parents(name: str, path: Path) -> None:
    """Make the packages of a dotted name known that is importable only where pytest's importlib mode made it so."""
    parents = name.split(".")[:-1]
    for length in range(1, len(parents) + 1):
        package = ".".join(parents[:length])
        with contextlib.suppress(ImportError, ValueError):
            importlib.import_module(package)
        if package in sys.modules:
            continue
        folder = path.parents[len(parents) - length]
        source = folder / "__init__.py"
        if source.is_file():
            spec = importlib.util.spec_from_file_location(
                package, source, submodule_search_locations=[str(folder)]
            )
            assert spec is not None
            assert spec.loader is not None
            sys.modules[package] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[package])
        else:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [str(folder)]


def _with_rewritten_asserts(path: Path) -> Any:
    """The module's code with asserts that tell the values they compared, as pytest has it in the caller."""
    from _pytest.assertion.rewrite import rewrite_asserts

    source = path.read_bytes()
    tree = ast.parse(source, filename=str(path))
    rewrite_asserts(tree, source, str(path))
    return compile(tree, str(path), "exec", dont_inherit=True)

"""`rslint shim`: what it writes and says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rslint.project.config import Config, load_config
from rslint.project.modules import name_modules
from rslint.project.roots import root_above
from rslint.shim.vendor import VendorError, state_of, vendor

CURRENT, NOT_CURRENT, WRONG_USE = 0, 1, 2


def shim(options: argparse.Namespace) -> int:
    """Write the library into the project, or tell whether it is current: 0 yes, 1 no, 2 wrong use."""
    path = options.vendor or (options.check if isinstance(options.check, Path) else None)
    if path is None or (options.vendor and isinstance(options.check, Path)):
        print(
            "error: name one file: `rslint shim --vendor PATH` or `rslint shim --check PATH`", file=sys.stderr
        )
        return WRONG_USE
    try:
        return _check(path, options) if options.check else _vendor(path, options)
    except VendorError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USE


def _check(path: Path, options: argparse.Namespace) -> int:
    found = state_of(path, options.parts)
    print(found.message)
    return CURRENT if found.state == "current" else NOT_CURRENT


def _vendor(path: Path, options: argparse.Namespace) -> int:
    if path.suffix != ".py" or path.is_dir():
        raise VendorError(f"{path}: it is to be a Python file; name one, for example package/rank_safety.py")
    before = vendor(path, options.parts, force=options.force)
    what = state_of(path).message.partition(": current: ")[2]
    print(f"{path}: {'already current' if before.state == 'current' else 'written'}: {what}")
    module, config = _module_of(path.absolute())
    if config.runtime_module != module:
        print("Let fixes import it, in pyproject.toml:\n\n[tool.rslint]")
        print(f'fix-style = "runtime"\nruntime-module = "{module}"')
    return CURRENT


def _module_of(path: Path) -> tuple[str, Config]:
    """The name under which the project imports the file, and the project's configuration."""
    root = root_above(path.parent)
    config = load_config(root.configuration) if root.configuration else Config()
    packages = [folder / "__init__.py" for folder in path.parents if root.path in (folder, *folder.parents)]
    files = [path, *(file for file in packages if file.is_file())]
    named = {file.path: file.module for file in name_modules(root.path, config.src, files)}
    return named[path], config

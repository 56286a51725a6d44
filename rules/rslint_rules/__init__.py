"""The rules that come with rslint, one file each, in folders by family."""

from __future__ import annotations

import importlib
import pkgutil
import re

from rslint.rule import Rule

_RULE_FILE = re.compile(r"rs[0-9]{3}_")


def rules() -> tuple[Rule, ...]:
    """Every rule of this package, ordered by code: each family's modules `rs<number>_<name>`, which offer it as RULE.

    What only repairs need (libcst) is imported by no rule before it has a finding to repair.
    """
    found: list[Rule] = []
    for family in pkgutil.iter_modules(__path__):
        if family.ispkg:
            package = importlib.import_module(f"{__name__}.{family.name}")
            for module in pkgutil.iter_modules(package.__path__, prefix=f"{package.__name__}."):
                if _RULE_FILE.match(module.name.rpartition(".")[2]):
                    found.append(importlib.import_module(module.name).RULE)
    return tuple(sorted(found, key=lambda rule: rule.code))

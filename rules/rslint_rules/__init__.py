"""The rules that come with rslint, one file each, in folders by family."""

from __future__ import annotations

import importlib
import pkgutil

from rslint.rule import Rule


def rules() -> tuple[Rule, ...]:
    """Every rule of this package, ordered by code. A module offers its rule under the name RULE."""
    found: list[Rule] = []
    for module in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
        if not module.ispkg:
            rule = getattr(importlib.import_module(module.name), "RULE", None)
            if isinstance(rule, Rule):
                found.append(rule)
    return tuple(sorted(found, key=lambda rule: rule.code))

"""Finds the installed rules and says which of them a selection turns on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from rslint.project.config import ConfigError
from rslint.rule import Rule

GROUP = "rslint.rules"
ALL = "ALL"


def load_rules() -> tuple[Rule, ...]:
    """Every rule that an installed distribution offers under `rslint.rules`, ordered by code.

    An entry point names a `Rule`, or a callable that returns several. Raises ConfigError for a package that
    cannot be imported and for a code that two rules claim.
    """
    found: dict[str, tuple[Rule, str]] = {}
    for point in _entry_points():
        for rule in _rules_of(point):
            if rule.code in found:
                other = found[rule.code][1]
                raise ConfigError(
                    f"{rule.code}: offered by {other} and by {point.value}; uninstall one of the two"
                )
            found[rule.code] = (rule, point.value)
    return tuple(rule for _, (rule, _) in sorted(found.items()))


def _entry_points() -> list[EntryPoint]:
    """The group's entry points; an editable install may list its own twice."""
    unique = {(point.name, point.value): point for point in entry_points(group=GROUP)}
    return [unique[key] for key in sorted(unique)]


def _rules_of(point: EntryPoint) -> tuple[Rule, ...]:
    try:
        offered = point.load()
        rules = (offered,) if isinstance(offered, Rule) else tuple(offered())
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"rules of {point.value} cannot be loaded: {error}; reinstall or uninstall it"
        ) from None
    strangers = [rule for rule in rules if not isinstance(rule, Rule)]
    if strangers:
        raise ConfigError(f"{point.value} offers {strangers[0]!r}, which is no rslint.rule.Rule; correct it")
    return rules


@dataclass(frozen=True)
class Selection:
    """What a user selects. An empty `select` means every rule; `preview` lets what is in preview through."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    preview: bool = False


def enabled_codes(rules: Iterable[Rule], selection: Selection) -> frozenset[str]:
    """The codes of the rules that are on. Of a `select` and an `ignore` that both match, the longer one
    decides, as in ruff; of equal ones `ignore`."""
    wanted = (*selection.select, *selection.extend_select)
    if not selection.select:
        wanted = (ALL, *wanted)
    return frozenset(
        rule.code
        for rule in rules
        if (selection.preview or not rule.preview)
        and _weight(rule.code, wanted) > _weight(rule.code, selection.ignore)
    )


def _weight(code: str, selectors: Iterable[str]) -> int:
    """How closely the best of some selectors names a code; -1 when none does."""
    return max((0 if item == ALL else len(item) for item in selectors if matches(code, item)), default=-1)


def matches(code: str, selector: str) -> bool:
    return selector == ALL or code.startswith(selector)


def check_selectors(rules: Iterable[Rule], selectors: Iterable[str], origin: str) -> None:
    """Raise ConfigError for the first selector that names no installed rule."""
    codes = [rule.code for rule in rules]
    for selector in selectors:
        if not any(matches(code, selector) for code in codes):
            near = difflib.get_close_matches(selector, codes, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f'{origin}: unknown code "{selector}"; {hint}`rslint rules` lists all')


def rule_named(rules: Iterable[Rule], code: str) -> Rule | None:
    """The rule with a code or a name."""
    return next((rule for rule in rules if code in (rule.code, rule.name)), None)

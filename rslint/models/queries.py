"""The questions the analyses ask of the models. All are pure; answers are remembered."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from rslint.models.knowledge import Collective, Models, RankTest
from rslint.models.patterns import last_part

T = TypeVar("T")

_WORD = re.compile(r"[a-z0-9_]+")
_COMPARED = re.compile(r"(?P<left>.+?) (?P<operator>==|!=|<=|>=|<|>) (?P<right>.+)")
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SEVERAL = {
    (">", 0): True, (">", 1): True, (">=", 1): True, (">=", 2): True, ("!=", 0): True, ("!=", 1): True,
    ("==", 0): False, ("==", 1): False, ("<=", 0): False, ("<=", 1): False, ("<", 1): False, ("<", 2): False,
}  # fmt: skip
_NOT_ALONE = {("!=", "-1"): True, ("==", "-1"): False, (">", "-1"): True, ("<=", "-1"): False}
"""-1 is the rank of a run without others."""
_PLACES = frozenset({"world", "local", "node"})
_PARTS = {"tp": ("ep",)}
_SILENT_WITHOUT_GROUP = frozenset({"pp", "cp", "ep", "dp", "sp", "cfg"})


@dataclass(frozen=True)
class RankPredicate:
    """A value that is this rank, or (`boolean`) a test of it.

    `axis` is that of the group it counts in, "?" where the text does not tell. `group` is the argument that
    names the group: keyword and position.
    """

    axis: str
    boolean: bool
    group: tuple[str, int | None] | None = None


@dataclass(frozen=True)
class Raising:
    """Why a call may raise on one rank alone.

    `strength` counts from 1 (strongest) to 5; `certainty` is "model" where a dotted name or a type told,
    "name" where only the spelling did.
    """

    kind: str
    strength: int
    exceptions: tuple[str, ...]
    certainty: str


@dataclass(frozen=True)
class LocalState:
    """What a call asks of this process or machine alone."""

    kind: str


def _remember(
    question: Callable[[Models, str, str | None], T], models: Models, text: str, dotted: str | None
) -> T:
    key = (question, text, dotted)
    try:
        return cast(T, models.memory[key])
    except KeyError:
        answer = models.memory[key] = question(models, text, dotted)
        return answer


def collective_of(
    models: Models, dotted: str | None, text: str, receiver_types: tuple[str, ...] = ()
) -> Collective | None:
    """The collective a call is, by its dotted external name, its spelling or its receiver."""
    last = text.rpartition(".")[2] or text
    if last not in models.collective_names and (
        dotted is None or dotted.rpartition(".")[2] not in models.collective_names
    ):
        return None
    hit = models.collectives.find(dotted, text, receiver_types)
    return None if hit is None else hit.value


def rank_predicate(models: Models, text: str, dotted: str | None) -> RankPredicate | None:
    """Whether a name, attribute or call (without its brackets) is a rank or a test of it.

    `text` is dotted source text such as `self.tp_rank` or `get_pp_group().is_last_rank`, `dotted` its name
    outside the project. Values that only sound like a rank (`lora_rank`, upper-case flags) are none.
    """
    return _remember(_rank_predicate, models, text, dotted)


def _rank_predicate(models: Models, text: str, dotted: str | None) -> RankPredicate | None:
    if dotted in models.not_rank_functions:
        return None
    known = models.ranks.get(dotted or text)
    if known is None:
        last = last_part(text)
        if last in models.not_ranks or text.rpartition(".")[2].isupper():
            return None
        known = _remember(_named_like_a_rank, models, last, None)
    if known is None:
        return None
    spelled = axis_of(models, text)
    axis = spelled if spelled != "?" else known.axis or "?"
    return RankPredicate(axis, known.boolean, known.group)


def _named_like_a_rank(models: Models, last: str, _: str | None) -> RankTest | None:
    return next((test for patterns, test in models.rank_patterns if last in patterns), None)


def axis_of(models: Models, text: str) -> str:
    """The axis of a group expression, by the last name in it that tells; "?" where none does.

    A name that speaks of two axes (`dp_cp_group`) tells nothing; `local_tp_rank` speaks of tp.
    """
    return _remember(_axis_of, models, text, None)


def _axis_of(models: Models, text: str, _: str | None) -> str:
    if text == "None":
        return "world"
    for word in reversed(_WORD.findall(text.lower())):
        axes = {models.axis_of_word[found] for found in models.axis_words.findall(word)}
        narrow = axes - _PLACES if len(axes) > 1 else axes
        if len(narrow) == 1:
            return narrow.pop()
        if axes:
            return "?"
    return "?"


def refines(narrow: str, wide: str) -> bool:
    """Whether groups of one axis are parts of those of another: `attn_tp` of `tp`, and `ep` of `tp`."""
    return narrow.endswith(f"_{wide}") or narrow in _PARTS.get(wide, ())


def axes_compatible(predicate: str, group: str) -> bool:
    """Whether a test on one axis may come out differently on the ranks of one group of another axis."""
    if predicate in ("world", "local", "node", "?") or predicate == group or group == "world":
        return True
    if group == "?":
        return not any(predicate == axis or refines(predicate, axis) for axis in _SILENT_WITHOUT_GROUP)
    return refines(predicate, group) or refines(group, predicate)


def raising(
    models: Models,
    dotted: str | None,
    text: str,
    receiver_types: tuple[str, ...],
    has_keyword: frozenset[str],
) -> Raising | None:
    """Why a call that leaves the project may raise on one rank alone; None where nothing says so."""
    if dotted in models.silents.exact and dotted not in models.raisings.exact:
        return None
    hit = models.raisings.find(dotted, text, receiver_types)
    if hit is None and has_keyword:
        conditional = models.conditional_raisings.find(dotted, text, receiver_types)
        if conditional is not None and not conditional.value.keywords.isdisjoint(has_keyword):
            traits = conditional.value
            return Raising(traits.kind, traits.strength, traits.exceptions, conditional.certainty)
    if hit is None or (hit.certainty == "name" and _remember(_contradicted, models, text, dotted)):
        return None
    traits = hit.value
    return Raising(traits.kind, traits.strength, traits.exceptions, hit.certainty)


def _contradicted(models: Models, text: str, dotted: str | None) -> bool:
    """Whether what is known of a call speaks against what its spelling suggests."""
    silent = dotted is not None and models.silents.named(dotted) is not None
    return silent or text in models.uniform_attributes


def silent(models: Models, dotted: str | None, text: str) -> bool:
    """Whether a call is never a reason to raise on one rank alone."""
    return models.silents.find(dotted, text) is not None


def local_state(
    models: Models, dotted: str | None, text: str, receiver_types: tuple[str, ...] = ()
) -> LocalState | None:
    """What of its own process or machine a call asks for."""
    hit = models.states.find(dotted, text, receiver_types)
    if hit is None or (hit.certainty == "name" and text in models.uniform_attributes):
        return None
    return LocalState(hit.value)


def uniform(models: Models, dotted: str | None, text: str) -> bool:
    """Whether a call or attribute is the same on all ranks: sizes of groups, configuration, environment."""
    return _remember(_uniform, models, text, dotted)


def _uniform(models: Models, text: str, dotted: str | None) -> bool:
    if models.uniforms.find(dotted, text) is not None or text in models.uniform_attributes:
        return True
    return is_world_size(models, text)


def is_world_size(models: Models, text: str) -> bool:
    """Whether the text names the size of a group: `world_size`, `self.tp_size`, `dist.get_world_size()`."""
    last = last_part(text).removeprefix("get_")
    if last in models.world_sizes:
        return True
    return last.endswith("_size") and models.axis_words.fullmatch(last.removesuffix("_size")) is not None


def world_size_name(models: Models, name: str) -> bool:
    """Whether a value assigned to this name is a size or a count and no longer a rank."""
    return last_part(name) in models.size_names


def world_size_test(models: Models, text: str) -> bool | None:
    """The outcome, with several ranks, of a condition that only asks whether there are; None for others.

    `text` is one operand without `not`: `world_size > 1`, `1 == self.tp_size`, `dist.is_initialized()`,
    `local_rank != -1`.
    """
    return _remember(_world_size_test, models, text, None)


def _world_size_test(models: Models, text: str, _: str | None) -> bool | None:
    compared = _COMPARED.fullmatch(text)
    if compared is None:
        bare = text.removesuffix("()")
        return True if bare in models.world_predicates or last_part(bare) in models.world_predicates else None
    left, operator, right = compared["left"], compared["operator"], compared["right"]
    if left.isdigit():
        left, operator, right = right, _MIRRORED[operator], left
    if (operator, right) in _NOT_ALONE:
        known = rank_predicate(models, left, None)
        return _NOT_ALONE[operator, right] if known is not None and not known.boolean else None
    if not right.isdigit() or not is_world_size(models, left):
        return None
    return _SEVERAL.get((operator, int(right)))


def agreement_decorator(models: Models, text: str) -> bool:
    """Whether a decorator, as written, declares that the function's results are the same on all ranks."""
    known = models.agreement_decorators.get(last_part(text.partition("(")[0]))
    return known is not None and (known.results is None or known.results.search(text) is not None)


def collective_decorator(models: Models, text: str) -> str | None:
    """The virtual collective that calls of a function with this decorator are; None for others."""
    head = text.partition("(")[0]
    known = models.agreement_decorators.get(last_part(head))
    return last_part(head) if known is not None and known.collective else None


def agreeing_name(models: Models, name: str) -> bool:
    """Whether a function of this name leaves its arguments and result the same on all ranks."""
    last = last_part(name)
    return last in models.agreeing_functions and last not in models.disagreeing_functions


def terminates(models: Models, dotted: str | None, text: str) -> bool:
    """Whether the call ends this process or its parent, so that peers are not left waiting for long."""
    return models.terminating.find(dotted, text) is not None


def starter_of(models: Models, dotted: str | None, text: str) -> str | None:
    """What a call starts with the function it is given: "thread", "task", "process"; None: nothing."""
    hit = models.starters.find(dotted, text)
    return None if hit is None else hit.value


def entry_name(models: Models, name: str) -> bool:
    """Whether a function of this name is by convention the main function of a process."""
    return name in models.entries

"""The questions the analyses of segments ask of the models. All are pure; answers are remembered."""

from __future__ import annotations

from rslint.models.knowledge import Models
from rslint.models.patterns import Hit, last_part
from rslint.models.segment_tables import Argument, Opener


def opener_of(models: Models, dotted: str | None, text: str, types: tuple[str, ...] = ()) -> Opener | None:
    """What a call opens, by its dotted external name or its spelling."""
    hit = models.segments.openers.find(dotted, text, types)
    return None if hit is None else hit.value


def removal_of(
    models: Models, dotted: str | None, text: str, types: tuple[str, ...] = ()
) -> Hit[Argument | None] | None:
    """Whether a call removes the name of a segment: by the argument that is told, or on its receiver (None)."""
    return models.segments.removals.find(dotted, text, types)


def keeps(models: Models, dotted: str | None, text: str) -> bool:
    """Whether a call takes over what it is given to be called later."""
    return models.segments.keepers.find(dotted, text) is not None


def untracks(models: Models, dotted: str | None, text: str) -> bool:
    """Whether a call takes a handle from the resource tracker, or keeps one from it."""
    return models.segments.untracking.find(dotted, text) is not None


def fills(models: Models, dotted: str | None, text: str, types: tuple[str, ...] = ()) -> bool:
    """Whether a call copies into a segment or reserves its memory: what fails where memory or the mount is short."""
    return models.segments.fillings.find(dotted, text, types) is not None


def publishes(models: Models, dotted: str | None, text: str, types: tuple[str, ...] = ()) -> bool | None:
    """Whether a call hands its arguments to other processes: as a collective (True), to one of them (False)."""
    hit = models.segments.publications.find(dotted, text, types)
    return None if hit is None else hit.value


def acknowledges(models: Models, dotted: str | None, text: str, types: tuple[str, ...] = ()) -> bool:
    """Whether a call waits for an answer or an end of another process."""
    return models.segments.acknowledgements.find(dotted, text, types) is not None


def agrees_in(models: Models, operation: str) -> bool:
    """Whether every rank has entered this collective when it ends, its source included."""
    return operation.lower() in models.segments.agreeing_operations


def owner_test(models: Models, name: str) -> bool:
    """Whether a name, by convention, tells who made or who may remove a thing: `is_creator`, `self._owner`."""
    return last_part(name) in models.segments.owner_tests


def unique_name(models: Models, text: str) -> bool:
    """Whether what a name is made of makes it one of its own: a UUID, a process id."""
    return text.lower() in models.segments.unique_names

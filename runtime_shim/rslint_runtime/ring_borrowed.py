"""A message that is lent out for the time of a `with` block. As a class, since a generator would take twice as long."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

__all__ = ["Borrowed"]


class Borrowed:
    """Enters with `borrow()`, leaves with `give_back(view)`, whatever the block has raised."""

    __slots__ = ("_borrow", "_give_back", "_view")

    def __init__(self, borrow: Callable[[], memoryview], give_back: Callable[[memoryview], None]) -> None:
        self._borrow, self._give_back = borrow, give_back

    def __enter__(self) -> memoryview:
        self._view = self._borrow()
        return self._view

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back(self._view)

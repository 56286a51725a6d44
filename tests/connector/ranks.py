"""What each rank does in a test of the connector: the steps of one row of the table, one after the other.

Runs on the ranks. Every rank answers with one word per step that calls the connector: `TF` for two keys of
which the first was granted, a number for `exists`, `lost=a,b` for the keys that are known to be lost.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch.distributed as dist

CONNECTOR = Path(__file__).parents[2] / "fixtures" / "RS101" / "connector"
PAGE_BYTES = 64
PAGES = 16
REPLIES: dict[str, tuple[str, dict[str, Any]]] = {
    "no-mask": ("StartWriteCache", {"block_mask": {}}),
    "short-mask": ("StartWriteCache", {"block_mask": {"bool_masks": {"values": [False]}}}),
    "text-mask": ("StartWriteCache", {"block_mask": {"bool_masks": {"values": "no"}}}),
    "no-locations": ("StartWriteCache", {"locations": []}),
}


class Rank:
    """One rank's connector with its host memory; `step` carries out one step of a row."""

    def __init__(self, rank: int, variant: str, endpoint: str, instance_id: str, storage: str) -> None:
        sys.path.insert(0, str(CONNECTOR))
        client, self._transfer = importlib.import_module("client"), importlib.import_module("transfer")
        self._rank, self._storage = rank, Path(storage)
        self._instance_id = instance_id
        self._debug = client.DebugClient(endpoint)
        self._pages = self._transfer.HostPages(PAGES, PAGE_BYTES)
        group = dist.group.WORLD
        manager, transfer = client.ManagerClient(endpoint), self._transfer.TransferClient(storage)
        self._connector = importlib.import_module(variant).CacheConnector(
            instance_id, manager, transfer, self._pages, group
        )

    def step(self, text: str) -> str | None:
        name, *arguments = text.split()
        handler: Callable[[Sequence[str]], str | None] = getattr(self, f"_{name}")
        return handler(arguments)

    def _set(self, arguments: Sequence[str]) -> str:
        prefix, keys = _split(arguments)
        for page, key in enumerate(keys):
            self._pages.buffer(page)[:] = self._content(key)
        return _word(self._connector.batch_set(keys, list(range(len(keys))), prefix))

    def _get(self, arguments: Sequence[str]) -> str:
        """A key counts as got when its page holds what this rank has set; another page is an error."""
        prefix, keys = _split(arguments)
        pages = [PAGES - 1 - position for position in range(len(keys))]
        for page in pages:
            self._pages.buffer(page)[:] = bytes(PAGE_BYTES)
        answers = self._connector.batch_get(keys, pages, prefix)
        for key, page, answer in zip(keys, pages, answers, strict=True):
            if answer and bytes(self._pages.buffer(page)) != self._content(key):
                raise AssertionError(f"rank {self._rank}: the page of {key} holds something else")
        return _word(answers)

    def _exists(self, arguments: Sequence[str]) -> str:
        prefix, keys = _split(arguments)
        return str(self._connector.batch_exists(keys, prefix))

    def _lost(self, _: Sequence[str]) -> str | None:
        """Only hardened.py knows of lost keys; the others do not answer."""
        lost = getattr(self._connector, "lost_keys", None)
        return None if lost is None else f"lost={','.join(lost)}"

    def _fail(self, arguments: Sequence[str]) -> None:
        if self._rank == 0:
            self._debug.inject(arguments[0])

    def _answer(self, arguments: Sequence[str]) -> None:
        if self._rank == 0:
            api, reply = REPLIES[arguments[0]]
            self._debug.inject(api, count=1, reply=reply)

    def _only_first_parts(self, arguments: Sequence[str]) -> None:
        """The next start names, for that many blocks, the places of rank 0's parts alone."""
        if self._rank == 0:
            folder = self._own_folder()
            parts = [[{"name": "tp_0", "uri": f"{folder}/{n}"}] for n in range(int(arguments[0]))]
            locations = [{"location_specs": part} for part in parts]
            self._debug.inject("StartWriteCache", count=1, reply={"locations": locations})

    def _heal(self, _: Sequence[str]) -> None:
        if self._rank == 0:
            self._debug.heal()

    def _storage_down(self, arguments: Sequence[str]) -> None:
        if self._rank == int(arguments[0]):
            self._transfer.take_away(self._own_folder())

    def _storage_up(self, arguments: Sequence[str]) -> None:
        if self._rank == int(arguments[0]):
            self._transfer.bring_back(self._own_folder())

    def _full(self, arguments: Sequence[str]) -> None:
        if self._rank == int(arguments[0]):
            self._connector.transfer_client = self._transfer.TransferClient(self._storage, PAGE_BYTES)

    def _own_folder(self) -> Path:
        return self._storage / self._instance_id / f"tp_{self._rank}"

    def _content(self, key: str) -> bytes:
        return f"{key} of rank {self._rank};".encode().ljust(PAGE_BYTES, b".")


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """`p q / a b` are the keys a and b behind the prefix p q."""
    if "/" not in arguments:
        return [], list(arguments)
    slash = arguments.index("/")
    return list(arguments[:slash]), list(arguments[slash + 1 :])


def _word(answers: Sequence[bool]) -> str:
    return "".join("T" if answer else "F" for answer in answers)


def run(
    rank: int, _: int, variant: str, endpoint: str, instance_id: str, storage: str, steps: Sequence[str]
) -> list[str]:
    """Carry out the steps; what the connector answered, in order."""
    here = Rank(rank, variant, endpoint, instance_id, storage)
    answers = [here.step(step) for step in steps]
    return [answer for answer in answers if answer is not None]

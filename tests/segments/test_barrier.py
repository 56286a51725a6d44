"""Where RS301's repair puts its barrier, and where it offers none: its condition has to be the same on all ranks."""

from __future__ import annotations

import contextlib
import io
import json
import textwrap
from pathlib import Path

import pytest

from rslint import cli

POINTER = """\
import torch.distributed as dist
from multiprocessing.shared_memory import SharedMemory


class Pointer:
    def __setstate__(self, state):
        try:
            self.handle = SharedMemory(state)
        except OSError:
            self.handle = None

    def take(self):
        if self.handle is not None:
            self.handle.unlink()


def take(item):
    if isinstance(item, Pointer):
        item.take()


"""
PREDICATE = """\
def has_pointers(items):
    for item in items:
        if isinstance(item, Pointer):
            return True
    return False


"""


def inserted(folder: Path, function: str, predicate: str = PREDICATE) -> str | None:
    """What the repair of the one RS301 inserts; None where it offers none."""
    (folder / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    program = folder / "m.py"
    program.write_text(POINTER + predicate + textwrap.dedent(function), encoding="utf-8")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        cli.main(["check", "--isolated", "--select", "RS301", "--output-format", "json", str(program)])
    (finding,) = json.loads(output.getvalue())
    if finding["fix"] is None:
        return None
    assert finding["fix"]["applicability"] == "unsafe"
    (edit,) = finding["fix"]["edits"]
    content: str = edit["content"]
    return textwrap.dedent(content)


def test_on_the_group_of_the_broadcast_under_the_projects_own_test(tmp_path: Path) -> None:
    assert inserted(
        tmp_path,
        """
        def receive(items, group):
            box = [items]
            dist.broadcast_object_list(box, 0, group)
            items_of_all = box[0]
            for item in items_of_all:
                take(item)
        """,
    ) == ("if has_pointers(items_of_all):\n    dist.barrier(group=group)\n")


def test_over_all_ranks_where_the_broadcast_is(tmp_path: Path) -> None:
    assert inserted(
        tmp_path,
        """
        def receive(items):
            box = [items]
            dist.broadcast_object_list(box, 0)
            items_of_all = box[0]
            for item in items_of_all:
                take(item)
        """,
    ) == ("if has_pointers(items_of_all):\n    dist.barrier()\n")


def test_under_the_test_of_size_that_the_broadcast_stands_under(tmp_path: Path) -> None:
    assert inserted(
        tmp_path,
        """
        class Receiver:
            def receive(self, items):
                items_of_all = self.spread(items)
                for item in items_of_all:
                    take(item)

            def spread(self, items):
                box = [items]
                if self.tp_size > 1:
                    dist.broadcast_object_list(box, 0, self.tp_group)
                return box[0]
        """,
    ) == ("if self.tp_size > 1 and has_pointers(items_of_all):\n    dist.barrier(group=self.tp_group)\n")


@pytest.mark.parametrize(
    "function",
    [
        """
        def what_is_gone_through_is_not_what_was_broadcast(items, others):
            dist.broadcast_object_list(items, 0)
            for item in others:
                take(item)
        """,
        """
        def it_is_bound_again(items):
            box = [items]
            dist.broadcast_object_list(box, 0)
            found = box[0]
            found = [item for item in found if item.mine]
            for item in found:
                take(item)
        """,
        """
        class Another:
            def another_object_has_the_group(self, items):
                found = self.sender.spread(items)
                for item in found:
                    take(item)

        class Sender:
            def spread(self, items):
                box = [items]
                dist.broadcast_object_list(box, 0, self.tp_group)
                return box[0]

        def build():
            another = Another()
            another.sender = Sender()
        """,
        """
        class Two:
            def two_groups(self, items):
                box = [items]
                dist.broadcast_object_list(box, 0, self.tp_group)
                dist.broadcast_object_list(box, 0, self.cp_group)
                found = box[0]
                for item in found:
                    take(item)
        """,
    ],
)
def test_where_the_condition_or_the_group_is_not_shown_none_is_offered(tmp_path: Path, function: str) -> None:
    assert inserted(tmp_path, function) is None


RECEIVE = """
    def receive(items):
        box = [items]
        dist.broadcast_object_list(box, 0)
        found = box[0]
        for item in found:
            take(item)
    """


@pytest.mark.parametrize(
    "predicate",
    [
        "",
        "def has_pointers(items):\n    return items.count and isinstance(items, Pointer)\n",
        "def has_pointers(items, rank):\n    return any(isinstance(item, Pointer) for item in items)\n",
        "SEEN = []\n\n\ndef has_pointers(items):\n    for item in items:\n        found = isinstance(item, Pointer)\n"
        "        SEEN.append(found)\n    return bool(SEEN)\n",
    ],
    ids=[
        "there is none",
        "it looks at no items",
        "it is told the rank",
        "it answers by what it has seen before",
    ],
)
def test_without_a_test_whether_there_is_a_segment_none_is_offered(tmp_path: Path, predicate: str) -> None:
    assert inserted(tmp_path, RECEIVE, predicate) is None

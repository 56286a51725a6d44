"""What the analyses cannot follow costs findings, never a crash."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from rslint import cli

STRANGE = """
from multiprocessing.shared_memory import *
import torch.distributed as dist

exec("x = SharedMemory(create=True)")


class A:
    def __init__(self, **kw):
        for k in kw:
            setattr(self, k, SharedMemory(create=True, size=1))
        self.__dict__["z"] = SharedMemory("n", True, 1)

    def __getattr__(self, n):
        return SharedMemory(n)

    def __del__(self):
        [getattr(self, a).unlink() for a in dir(self)]

    __reduce__ = lambda self: (A, ())


def generator(*a, **k):
    shm = SharedMemory(*a, **k)
    (lambda s=shm: s.unlink())()
    return (yield shm)


async def later():
    async with SharedMemory("x") as s:
        await s
    del s
    for s.x in [SharedMemory("q")]:
        s.x.unlink()
    match SharedMemory("z"):
        case s:
            s.unlink()


shm = SharedMemory("top", True, 8)
shm.unlink()


def one():
    other()
    dist.broadcast_object_list([shm.name])
    one()


def other():
    one()
    shm.unlink()
"""


def test_strange_code_is_analysed_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(STRANGE, encoding="utf-8")
    assert check(tmp_path) in (0, 1)


def test_so_is_pythons_own_multiprocessing(tmp_path: Path) -> None:
    for module in Path(multiprocessing.__file__).parent.glob("*.py"):
        (tmp_path / module.name).write_bytes(module.read_bytes())
    assert check(tmp_path) in (0, 1)


def check(folder: Path) -> int:
    """The exit code; 2 where a rule has failed."""
    (folder / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    return cli.main(
        ["check", "--isolated", "--preview", "--min-confidence", "low", "--select", "RS3", str(folder)]
    )

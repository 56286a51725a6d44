"""Segments that are opened while an object is unpickled; behind the row stands the method that makes it so."""

from __future__ import annotations

from pathlib import Path

from tests.flow.trees import assert_beside
from tests.segments.answers import raced, unpickled

SENDER = """
        from multiprocessing.shared_memory import SharedMemory

        def send(items):
            dist.broadcast_object_list(items, 0)
        """


def test_what_setstate_and_reduce_open_is_opened_by_the_collective(tmp_path: Path) -> None:
    source = """
        class ByState:
            def __setstate__(self, state):
                self.shm = SharedMemory(state)  # => ByState.__setstate__

        class ByClass:
            def __init__(self, name=None):
                if name is None:
                    self.shm = SharedMemory(create=True, size=8)
                else:
                    self.shm = SharedMemory(name)  # => ByClass.__reduce__

            def __reduce__(self):
                return self.__class__, (self.shm.name,)

        def rebuild(name):
            return ByFunction(SharedMemory(name))  # => ByFunction.__reduce__

        class ByFunction:
            def __init__(self, shm):
                self.shm = shm

            def __reduce__(self):
                return rebuild, (self.shm.name,)

        class Kept:
            def __setstate__(self, state):
                try:
                    self.shm = SharedMemory(state)
                except OSError as error:
                    self.error = error

        class Plain:
            def __init__(self, name):
                self.shm = SharedMemory(name)
        """
    assert_beside(tmp_path, SENDER + source, unpickled)


def test_without_a_collective_that_carries_objects_nobody_waits(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class ByState:
            def __setstate__(self, state):
                self.shm = SharedMemory(state)

        def sync():
            dist.barrier()
        """,
        unpickled,
    )


def test_an_attach_waits_for_the_maker(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import time
        from multiprocessing.shared_memory import SharedMemory

        def arms(name, rank):
            if rank == 0:
                shm = SharedMemory(name, True, 8)
            else:
                shm = SharedMemory(name)  # => branch

        def met(name, rank):
            if rank == 0:
                shm = SharedMemory(name, True, 8)
            dist.barrier()
            if rank != 0:
                shm = SharedMemory(name)

        def second(name):
            try:
                return SharedMemory(name, True, 8)
            except FileExistsError:
                return SharedMemory(name)  # => half-made

        def second_waits(name):
            try:
                return SharedMemory(name, True, 8)
            except FileExistsError:
                time.sleep(0.1)
                return SharedMemory(name)
        """,
        raced,
    )

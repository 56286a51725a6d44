"""Which calls open a segment, and whether they make it: kind, name, and what holds it afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.flow.trees import assert_beside
from tests.segments.answers import opened


def test_the_argument_tells_whether_a_segment_is_made(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing import shared_memory

        def f(name, size, create):
            shm = shared_memory.SharedMemory(name, True, size)  # => create name shm
            shm = shared_memory.SharedMemory(create=True, size=8)  # => create - shm
            shm = shared_memory.SharedMemory(name=name)  # => attach name shm
            shm = shared_memory.SharedMemory(name, False, size)  # => attach name shm
            shm = shared_memory.SharedMemory(name, create)  # => either name shm
            shm = shared_memory.SharedMemory(name, track=False)  # => attach name shm untracked
        """,
        opened,
    )


def test_a_segment_is_known_under_other_names(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import multiprocessing as mp
        import multiprocessing.shared_memory
        from multiprocessing.shared_memory import SharedMemory as Builtin
        from elsewhere import Builtin as Other

        def f(name):
            self.a = mp.shared_memory.SharedMemory(name)  # => attach name self.a
            b = c = Builtin(name)  # => attach name b c
            d = Other(name)
        """,
        opened,
    )


def test_a_class_of_the_project_that_derives_from_it_counts_with_its_own_parameters(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing import shared_memory

        class Owned(shared_memory.SharedMemory):
            def __init__(self, size, name=None, create=False):
                super().__init__(name, create, size)

        class Untracked(shared_memory.SharedMemory):
            def __init__(self, name=None, create=False, size=0):
                self._open(name)

        def f(name):
            a = Owned(8, name, True)  # => create name a
            b = Owned(8, name)  # => attach name b
            c = Untracked(name)  # => attach name c untracked
        """,
        opened,
    )


def test_a_function_that_returns_a_segment_opens_it_for_its_caller(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        def allocate(name, size):
            try:
                return SharedMemory(name, True, size)  # => create name
            except FileExistsError:
                return SharedMemory(name)  # => attach name

        def make(size):
            shm = SharedMemory(create=True, size=size)  # => create - shm
            shm.buf[0] = 0
            return shm

        class Sender:
            def start(self, size):
                self.shm = allocate(self.name, size)  # => either self.name self.shm
                first, second = make(1), make(2)  # => create -
        """,
        opened,
    )


def test_files_below_the_mount_point_are_segments_and_others_are_not(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os
        import _posixshmem

        class Region:
            def __init__(self, name):
                self.path = f"/dev/shm/{name}"
                self.fd = os.open(self.path, os.O_CREAT | os.O_RDWR)  # => create self.path self.fd untracked
                log = os.open(f"/var/log/{name}", os.O_CREAT)
                fd = _posixshmem.shm_open(name, os.O_RDWR)  # => attach name fd untracked

        def open_mapped(name, create):
            flags = os.O_RDWR | (os.O_CREAT if create else 0)
            fd = _posixshmem.shm_open(name, flags)  # => either name fd untracked
        """,
        opened,
    )


def test_a_list_holds_its_segment_in_an_attribute_and_a_manager_keeps_its_own(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.managers import SharedMemoryManager
        from multiprocessing.shared_memory import ShareableList

        def f(name):
            made = ShareableList([1, 2])  # => create - made.shm made
            attached = ShareableList(name=name)  # => attach name attached.shm attached
            with SharedMemoryManager() as manager:
                segment = manager.SharedMemory(size=8)
        """,
        opened,
    )


def test_the_runtimes_segments_are_known_and_other_calls_of_these_names_are_not(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from rslint_runtime import attach, create as made_here, segments

        def f(name, client):
            one = made_here(64, "table")  # => create - one untracked
            two = attach(name)  # => attach name two untracked
            three = segments.attach(name=name)  # => attach name three untracked
            four = client.create(64)
            five = client.attach(name)
        """,
        opened,
    )


def test_create_and_attach_of_a_project_without_the_runtime_open_nothing(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from elsewhere import attach, create

        def f(name):
            one = create(64)
            two = attach(name)
        """,
        opened,
    )

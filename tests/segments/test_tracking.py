"""Attaches that the resource tracker hears of; behind the row stands the relation that makes it a mistake."""

from __future__ import annotations

from pathlib import Path

from tests.flow.trees import assert_beside, known
from tests.segments.answers import tracked

FIRST_COME = """
        from multiprocessing.shared_memory import SharedMemory

        def table(name):
            try:
                return SharedMemory(name, True, 8)
            except FileExistsError:
                return SharedMemory(name)  # => {0}
        """


def test_ranks_that_a_launcher_starts_have_a_tracker_each(tmp_path: Path) -> None:
    source = """
        import os
        RANK = os.environ["LOCAL_RANK"]
        """
    assert_beside(tmp_path, source + FIRST_COME.format("ranks"), tracked)


def test_without_a_rank_no_relation_is_shown(tmp_path: Path) -> None:
    assert_beside(tmp_path, FIRST_COME.format("none shown"), tracked)


def test_a_project_that_starts_its_processes_hands_them_its_tracker(tmp_path: Path) -> None:
    source = """
        import multiprocessing
        import os
        RANK = os.environ["LOCAL_RANK"]

        def launch():
            multiprocessing.Process(target=table, args=("n",)).start()
        """
    assert_beside(tmp_path, source + FIRST_COME.format("none shown"), tracked)


def test_a_process_forked_by_the_constructor_has_no_tracker_to_share(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import multiprocessing
        from multiprocessing.shared_memory import SharedMemory

        class Saver:
            def __init__(self, name):
                self.name = name
                multiprocessing.Process(target=self._save).start()

            def copy(self, size):
                self.shm = SharedMemory(self.name, True, size)

            def _save(self):
                shm = SharedMemory(self.name)  # => forked
                shm.close()
        """,
        tracked,
    )


def test_a_spawned_one_has(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import multiprocessing
        from multiprocessing.shared_memory import SharedMemory

        class Saver:
            def __init__(self, name):
                self.name = name
                multiprocessing.get_context("spawn").Process(target=self._save).start()

            def copy(self, size):
                self.shm = SharedMemory(self.name, True, size)

            def _save(self):
                shm = SharedMemory(self.name)  # => none shown
                shm.close()
        """,
        tracked,
    )


def test_what_is_unlinked_or_kept_from_the_tracker_is_right(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os
        from multiprocessing.shared_memory import SharedMemory
        RANK = os.environ["LOCAL_RANK"]

        def keep(name):
            SharedMemory(name, True, 8)

        def consume(name):
            shm = SharedMemory(name)
            shm.unlink()

        def quiet(name):
            return untrack(SharedMemory(name))

        def newer(name):
            return SharedMemory(name, track=False)
        """,
        tracked,
    )


def test_a_wrapper_elsewhere_that_knows_the_tracker_is_believed(tmp_path: Path) -> None:
    wrapper = """
        import contextlib
        from multiprocessing import resource_tracker

        @contextlib.contextmanager
        def quietly():
            register, resource_tracker.register = resource_tracker.register, print
            yield
            resource_tracker.register = register
        """
    program = """
        import os
        from multiprocessing.shared_memory import SharedMemory
        from wrapper import quietly
        RANK = os.environ["LOCAL_RANK"]

        def table(name):
            try:
                return SharedMemory(name, True, 8)
            except FileExistsError:
                with quietly():
                    return SharedMemory(name)
        """
    assert tracked(known(tmp_path, {"wrapper.py": wrapper, "m.py": program}), "m:table") == {}

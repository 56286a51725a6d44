"""Removals by who does not own the segment; behind the row stands the kind."""

from __future__ import annotations

from pathlib import Path

from tests.flow.trees import assert_beside
from tests.segments.answers import removed


def test_who_may_have_attached_asks_before_it_removes(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Barrier:
            def __init__(self, name):
                self.is_owner = True
                try:
                    self.shm = SharedMemory(name, True, 8)
                except FileExistsError:
                    self.is_owner = False
                    self.shm = SharedMemory(name)

            def close(self):
                self.shm.unlink()  # => anybody

            def leave(self):
                if self.shm is not None:
                    self.shm.close()
                    self.shm.unlink()  # => anybody

            def close_as_owner(self):
                if self.is_owner:
                    self.shm.unlink()

            def early_return(self):
                if not self.is_owner:
                    return
                self.shm.unlink()

            def unlink(self):
                self.shm.unlink()

            def make_room(self, name):
                self.shm.unlink()
                self.shm = SharedMemory(name, create=True, size=16)
        """,
        removed,
    )


def test_a_function_of_two_roles_asks_as_well(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        def both(name, rank):
            if rank == 0:
                shm = SharedMemory(name, True, 8)
            else:
                shm = SharedMemory(name)
            dist.barrier()
            shm.unlink()  # => anybody

        def all_after_a_barrier(name, rank):
            if rank == 0:
                shm = SharedMemory(name, True, 8)
            else:
                shm = SharedMemory(name)
            shm.close()
            dist.barrier()
            try:
                shm.unlink()
            except FileNotFoundError:
                pass

        def asks(name, rank):
            if rank == 0:
                shm = SharedMemory(name, True, 8)
            else:
                shm = SharedMemory(name)
            if rank == 0:
                shm.unlink()

        def attaches_in_the_other_arm(name, shm):
            if not name:
                shm = SharedMemory(name, True, 8)
            if shm is None:
                shm = SharedMemory(name)
                shm.close()
            else:
                shm.unlink()
        """,
        removed,
    )


def test_a_reader_beside_a_maker_that_removes_does_not(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Writer:
            def __init__(self, name):
                self.shm = SharedMemory(name, True, 8)

            def close(self):
                self.shm.unlink()

        class Reader:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def close(self):
                self.shm.unlink()  # => attached

        def sweep_stale(name):
            shm = SharedMemory(name)
            shm.unlink()
        """,
        removed,
    )


def test_a_consumer_removes_what_the_maker_forgets(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Producer:
            def send(self, name):
                shm = SharedMemory(name, True, 8)
                shm.close()

        class Consumer:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def finish(self):
                self.shm.unlink()
        """,
        removed,
    )


def test_a_destructor_asks_for_what_a_failed_constructor_never_set(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Bare:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def __del__(self):
                self.shm.close()  # => half-built

        class Guarded:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def __del__(self):
                if hasattr(self, "shm"):
                    self.shm.close()

        class Default:
            shm = object()

            def __init__(self, name):
                self.shm = SharedMemory(name)

            def __del__(self):
                self.shm.close()

        class SetFirst:
            def __init__(self, name):
                self.shm = None
                self.shm = SharedMemory(name)

            def __del__(self):
                if self.shm is not None:
                    self.shm.close()

        class TestedOnly:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def __del__(self):
                if self.shm is not None:
                    self.shm.close()  # => half-built

        class Caught:
            def __init__(self, name):
                self.shm = SharedMemory(name)

            def __del__(self):
                try:
                    self.shm.close()
                except Exception:
                    pass
        """,
        removed,
    )


def test_what_travels_in_a_pickle_is_not_the_destructors_of_each_copy_to_remove(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Pointer:
            def __init__(self, size):
                self.shm = None
                self.shm = SharedMemory(create=True, size=size)

            def __setstate__(self, state):
                self.shm = SharedMemory(state)

            def take(self):
                self.shm.unlink()

            def __del__(self):
                if self.shm is not None:
                    self.shm.unlink()  # => anybody
        """,
        removed,
    )


def test_a_removal_that_may_raise_comes_after_the_one_at_exit_is_called_off(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import atexit
        from multiprocessing.shared_memory import SharedMemory

        class Late:
            def __enter__(self):
                self.shm = SharedMemory(create=True, size=8)
                self.fallback = atexit.register(lambda: self.shm.unlink())

            def __exit__(self, *_):
                self.shm.unlink()  # => armed
                atexit.unregister(self.fallback)

        class First:
            def __enter__(self):
                self.shm = SharedMemory(create=True, size=8)
                self.fallback = atexit.register(lambda: self.shm.unlink())

            def __exit__(self, *_):
                atexit.unregister(self.fallback)
                self.shm.unlink()
        """,
        removed,
    )

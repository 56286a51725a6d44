"""Segments that stay when something raises: behind the row that makes one stand the reasons, and how far down."""

from __future__ import annotations

from pathlib import Path

from tests.flow.trees import assert_beside
from tests.segments.answers import forgotten, leaked, lost


def test_what_raises_before_the_hand_over_leaves_the_segment(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import numpy as np
        import thirdparty
        from multiprocessing.shared_memory import SharedMemory

        def copies(data):
            shm = SharedMemory(create=True, size=data.nbytes)  # => fill+1
            np.copyto(np.ndarray(data.shape, data.dtype, shm.buf), data)
            return shm

        def talks(socket, size):
            shm = SharedMemory(create=True, size=size)  # => network+1 network+2
            socket.send_pyobj(shm.name)
            socket.recv()
            return shm

        def registers(size):
            shm = SharedMemory(create=True, size=size)  # => native+1
            thirdparty.register(shm.buf)
            return shm

        def refuses(size):
            shm = SharedMemory(create=True, size=size)  # => raise+2
            if shm.size < size:
                raise ValueError(size)
            return shm
        """,
        leaked,
    )


def test_what_cannot_be_expected_to_raise_does_not_count(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import numpy as np
        import torch
        from multiprocessing.shared_memory import SharedMemory

        def f(data, logger):
            shm = SharedMemory(create=True, size=len(data))
            shm.buf[: len(data)] = data
            view = np.ndarray(len(data), np.uint8, buffer=shm.buf)
            view[0] = 1
            tensor = torch.frombuffer(shm.buf, dtype=torch.uint8)
            logger.info("made %s", shm.name)
            dist.all_reduce(tensor)
            return shm
        """,
        leaked,
    )


def test_a_removal_on_the_exceptional_path_ends_it(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import contextlib
        import numpy as np
        from multiprocessing.shared_memory import SharedMemory

        def handler(data):
            shm = SharedMemory(create=True, size=data.nbytes)
            try:
                np.copyto(shm.buf, data)
            except BaseException:
                shm.unlink()
                raise
            return shm

        def narrow_handler(data):
            shm = SharedMemory(create=True, size=data.nbytes)  # => fill+2
            try:
                np.copyto(shm.buf, data)
            except KeyError:
                shm.unlink()
                raise
            return shm

        def finally_(data):
            shm = SharedMemory(create=True, size=data.nbytes)
            try:
                np.copyto(shm.buf, data)
            finally:
                shm.close()
                shm.unlink()

        def only_closed(data):
            shm = SharedMemory(create=True, size=data.nbytes)  # => fill+2
            try:
                np.copyto(shm.buf, data)
            finally:
                shm.close()

        def flagged(data):
            made = False
            try:
                shm = SharedMemory(create=True, size=data.nbytes)
                made = True
                np.copyto(shm.buf, data)
            except Exception:
                if made:
                    shm.unlink()
                raise

        def stack(data):
            with contextlib.ExitStack() as stack:
                shm = SharedMemory(create=True, size=data.nbytes)
                stack.callback(shm.unlink)
                np.copyto(shm.buf, data)
        """,
        leaked,
    )


def test_a_constructor_that_raises_loses_what_the_object_holds(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import atexit
        import numpy as np
        from multiprocessing.shared_memory import SharedMemory

        class Plain:
            def __init__(self, data):
                self.shm = SharedMemory(create=True, size=8)  # => fill+1
                np.copyto(self.shm.buf, data)

            def close(self):
                self.shm.unlink()

        class Destroyed:
            def __init__(self, data):
                self.shm = SharedMemory(create=True, size=8)
                np.copyto(self.shm.buf, data)

            def close(self):
                self.shm.unlink()

            def __del__(self):
                self.close()

        class Registered:
            def __init__(self, data):
                atexit.register(self.close)
                self.shm = SharedMemory(create=True, size=8)
                np.copyto(self.shm.buf, data)

            def close(self):
                self.shm.unlink()

        class RollsBack:
            def __init__(self, data):
                try:
                    self.shm = SharedMemory(create=True, size=8)
                    np.copyto(self.shm.buf, data)
                except Exception:
                    self.close()
                    raise

            def close(self):
                for shm in (self.shm,):
                    shm.unlink()

        class Lives:
            def grow(self, data):
                self.shm = SharedMemory(create=True, size=8)
                np.copyto(self.shm.buf, data)
        """,
        leaked,
    )


def test_who_removes_what_it_attached_does_so_on_every_path(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import pickle
        from multiprocessing.shared_memory import SharedMemory

        def consume(name):
            shm = SharedMemory(name)  # => fill+1
            message = pickle.loads(bytes(shm.buf))
            shm.unlink()
            return message

        def read(name):
            shm = SharedMemory(name)
            message = pickle.loads(bytes(shm.buf))
            shm.close()
            return message

        class Pointer:
            def __setstate__(self, state):
                self.handle = SharedMemory(state)

            def take(self, tensor):
                copy = tensor.clone()  # => fill+0
                if self.handle is not None:
                    self.handle.unlink()
                return copy

            def close(self, tensor):
                tensor.clone()
                self.handle.unlink()
        """,
        leaked,
    )


def test_what_another_may_have_made_is_nobodys_to_remove_unless_somebody_does(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        def allocate(name):
            try:
                return SharedMemory(name, create=True, size=8)
            except FileExistsError:
                return SharedMemory(name)

        def looks(name, socket):
            shm = allocate(name)
            socket.recv()
            shm.close()

        def owns(name, socket):
            shm = allocate(name)  # => network+1
            socket.recv()
            shm.unlink()
        """,
        leaked,
    )


def test_segments_in_a_row_are_lost_with_a_container_that_nobody_else_knows(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        def comprehension(sizes):
            return [SharedMemory(create=True, size=size) for size in sizes]  # => nothing

        def loop(sizes):
            made = {}
            for name, size in sizes:
                made[name] = SharedMemory(name, True, size)  # => made
            return made

        def rolls_back(sizes):
            made = []
            try:
                for size in sizes:
                    made.append(SharedMemory(create=True, size=size))
            except OSError:
                for shm in made:
                    shm.unlink()
                raise
            return made

        def fills(made, sizes):
            for size in sizes:
                made.append(SharedMemory(create=True, size=size))

        class Pool:
            def grow(self, sizes):
                for size in sizes:
                    self.made.append(SharedMemory(create=True, size=size))
        """,
        lost,
    )


def test_what_an_object_keeps_and_nobody_removes_is_forgotten(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Pool:
            def allocate(self, size):
                shm = SharedMemory(create=True, size=size)  # => a container
                self.made.append(shm)

        class Buffer:
            def start(self, size):
                self.shm = SharedMemory(create=True, size=size)  # => shm

        def hands_out(size):
            shm = SharedMemory(create=True, size=size)
            return shm
        """,
        forgotten,
    )


def test_who_removes_by_name_may_mean_any_of_them(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing.shared_memory import SharedMemory

        class Buffer:
            def start(self, size):
                self.shm = SharedMemory(create=True, size=size)

        def free(name):
            shm = SharedMemory(name)
            shm.unlink()
        """,
        forgotten,
    )

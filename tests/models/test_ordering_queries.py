"""What the built-in models know of shared memory: its names, views of it, accesses, and what orders them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint.models import load_models
from rslint.models.ordering_queries import (
    access_call,
    fence_call,
    fence_context,
    holds_shared_memory,
    is_shared_memory,
    view_call,
)

MODELS = load_models().ordering


def test_memory_is_known_by_its_type_or_else_by_its_name() -> None:
    assert is_shared_memory(MODELS, ("mmap.mmap",))
    assert not is_shared_memory(MODELS, ("multiprocessing.shared_memory.SharedMemory",))
    assert holds_shared_memory(MODELS, "buf", ("multiprocessing.shared_memory.SharedMemory",), "segment")
    assert holds_shared_memory(MODELS, "buf", (), "self._shm_ctrl")
    assert not holds_shared_memory(MODELS, "buf", ("io.BytesIO",), "self._shm_ctrl")
    assert not holds_shared_memory(MODELS, "buf", (), "workspace")


@pytest.mark.parametrize(
    ("dotted", "text", "position"),
    [
        ("numpy.ndarray", "np.ndarray", 2),
        ("torch.frombuffer", "torch.frombuffer", 0),
        ("builtins.memoryview", "memoryview", 0),
    ],
)
def test_views_of_an_argument(dotted: str, text: str, position: int) -> None:
    found = view_call(MODELS, dotted, text)
    assert found is not None
    assert found.buffer == (position, "buffer")


def test_views_of_a_receiver_and_no_views() -> None:
    found = view_call(MODELS, None, "tensor.view")
    assert found is not None
    assert found.buffer is None
    assert view_call(MODELS, None, "tensor.copy") is None


@pytest.mark.parametrize(
    ("dotted", "text", "how"),
    [
        ("struct.pack_into", "struct.pack_into", "store"),
        ("struct.unpack_from", "struct.unpack_from", "load"),
        (None, "view.copy_", "store"),
        (None, "view.tobytes", "load"),
        ("builtins.bytes", "bytes", "load"),
        ("builtins.len", "len", "none"),
    ],
)
def test_accesses(dotted: str | None, text: str, how: str) -> None:
    found = access_call(MODELS, dotted, text)
    assert found is not None
    assert found.how == how


@pytest.mark.parametrize(
    ("dotted", "text", "types", "exclusive"),
    [
        ("rslint_runtime.memory_fence", "memory_fence", (), False),
        ("ours.vendored.memory_fence", "memory_fence", (), False),
        (None, "memory_fence", (), False),
        (None, "x.acquire", ("threading.Lock",), False),
        (None, "self._lock.release", (), False),
        ("fcntl.flock", "fcntl.flock", (), True),
        (None, "guard.acquire", ("filelock.FileLock",), True),
        (None, "self.socket.recv", (), False),
    ],
)
def test_fences(dotted: str | None, text: str, types: tuple[str, ...], exclusive: bool) -> None:
    found = fence_call(MODELS, dotted, text, types)
    assert found is not None
    assert found.exclusive is exclusive


@pytest.mark.parametrize(
    ("dotted", "text"),
    [("time.sleep", "time.sleep"), ("os.sched_yield", "os.sched_yield"), (None, "self.lock_file.read")],
)
def test_no_fences(dotted: str | None, text: str) -> None:
    assert fence_call(MODELS, dotted, text, ()) is None


def test_contexts_that_order_at_both_ends() -> None:
    assert fence_context(MODELS, None, "self._guard", ("threading.Lock",)) is not None
    assert fence_context(MODELS, None, "self._order_lock", ()) is not None
    assert fence_context(MODELS, "contextlib.nullcontext", "nullcontext", ()) is None


def test_a_project_names_its_own_fence(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text('[[fence]]\nnames = ["ours.atomics.full"]\n', encoding="utf-8")
    models = load_models((path,)).ordering
    assert fence_call(models, "ours.atomics.full", "full", ()) is not None
    assert fence_call(MODELS, "ours.atomics.full", "full", ()) is None

"""What the built-in models answer about segments: what opens, removes, publishes, agrees."""

from __future__ import annotations

import pytest

from rslint.models import load_models
from rslint.models.segment_queries import (
    acknowledges,
    agrees_in,
    fills,
    keeps,
    opener_of,
    owner_test,
    publishes,
    removal_of,
    unique_name,
    untracks,
)

MODELS = load_models()
SHARED = "multiprocessing.shared_memory.SharedMemory"


def test_what_opens_a_segment() -> None:
    opener = opener_of(MODELS, SHARED, "shared_memory.SharedMemory")
    assert opener is not None
    assert (opener.name, opener.create, opener.track, opener.tracked) == (
        ("name", 0),
        ("create", 1),
        ("track", None),
        True,
    )
    assert opener_of(MODELS, None, "shm.SharedMemory") is not None
    assert opener_of(MODELS, "ours.SharedMemoryPool", "SharedMemoryPool") is None


def test_the_runtimes_segments_are_untracked_and_go_with_their_handle() -> None:
    created = opener_of(MODELS, "rslint_runtime.create", "create")
    attached = opener_of(MODELS, "rslint_runtime.segments.attach", "segments.attach")
    assert created is not None
    assert attached is not None
    assert (created.content, created.tracked, created.removes_itself) == (("size", 0), False, True)
    assert (attached.name, attached.tracked, attached.removes_itself) == (("name", 0), False, True)
    assert opener_of(MODELS, None, "client.create") is None
    for name in ("unlink_after_peers", "unlink_after_peers_async"):
        assert acknowledges(MODELS, f"rslint_runtime.{name}", name)
        assert acknowledges(MODELS, f"rslint_runtime.segments.{name}", f"segments.{name}")


def test_what_removes_one() -> None:
    by_handle = removal_of(MODELS, None, "self.shm.unlink")
    by_name = removal_of(MODELS, "_posixshmem.shm_unlink", "_posixshmem.shm_unlink")
    assert by_handle is not None
    assert by_name is not None
    assert (by_handle.value, by_name.value) == (None, ("name", 0))
    assert removal_of(MODELS, None, "self.shm.close") is None


@pytest.mark.parametrize(
    ("dotted", "text", "answer"),
    [
        ("torch.distributed.broadcast_object_list", "dist.broadcast_object_list", True),
        (None, "self.comm.bcast", True),
        (None, "connection.send", False),
        (None, "self.work_queue.put", False),
        (None, "self.registry.put", None),
        ("torch.distributed.broadcast", "dist.broadcast", None),
    ],
)
def test_what_hands_over(dotted: str | None, text: str, answer: bool | None) -> None:
    assert publishes(MODELS, dotted, text) is answer


@pytest.mark.parametrize("operation", ["barrier", "all_reduce", "Barrier", "Allreduce", "all_gather_object"])
def test_what_all_ranks_have_entered_when_it_ends(operation: str) -> None:
    assert agrees_in(MODELS, operation)


@pytest.mark.parametrize("operation", ["broadcast", "broadcast_object_list", "reduce", "scatter", "Ibarrier"])
def test_what_comes_back_earlier(operation: str) -> None:
    assert not agrees_in(MODELS, operation)


def test_the_rest() -> None:
    assert acknowledges(MODELS, None, "connection.recv")
    assert keeps(MODELS, "atexit.register", "atexit.register")
    assert fills(MODELS, "numpy.copyto", "np.copyto")
    assert not fills(MODELS, "numpy.ndarray", "np.ndarray")
    assert untracks(MODELS, "multiprocessing.resource_tracker.unregister", "resource_tracker.unregister")
    assert owner_test(MODELS, "self._is_creator")
    assert not owner_test(MODELS, "self.closed")
    assert unique_name(MODELS, "uuid.uuid4")
    assert not unique_name(MODELS, "self.prefix")

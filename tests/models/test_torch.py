"""Every public function of torch.distributed is a collective of the models, or stands here as none."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from rslint.models import Collective, collective_of, load_models

MODELS = load_models()

POINT_TO_POINT = {
    "send",
    "recv",
    "isend",
    "irecv",
    "send_object_list",
    "recv_object_list",
    "batch_isend_irecv",
}
QUESTIONS = {
    "get_backend",
    "get_backend_config",
    "get_default_backend_for_device",
    "get_global_rank",
    "get_group_rank",
    "get_node_local_rank",
    "get_pg_count",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "is_backend_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
    "supports_complex",
}
OTHERWISE = {"record_comm"}  # names a region for tracing
AGREEING = {"all_reduce", "all_reduce_coalesced", "broadcast", "broadcast_object_list"} | {
    "all_gather",
    "all_gather_coalesced",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_gather_single",
}


def c10d() -> ModuleType:
    pytest.importorskip("torch")
    import torch.distributed.distributed_c10d as module

    return module


def functions(module: ModuleType) -> list[str]:
    return sorted(name for name in module.__all__ if inspect.isfunction(getattr(module, name)))


def found(name: str) -> Collective | None:
    return collective_of(MODELS, f"torch.distributed.{name}", f"dist.{name}")


def test_every_public_function_is_known() -> None:
    names = functions(c10d())
    assert len(names) > 40
    unknown = [n for n in names if found(n) is None and n not in POINT_TO_POINT | QUESTIONS | OTHERWISE]
    assert unknown == []


@pytest.mark.parametrize("name", sorted(POINT_TO_POINT | QUESTIONS | OTHERWISE))
def test_point_to_point_and_questions_are_no_collectives(name: str) -> None:
    assert found(name) is None


def test_positions_are_those_of_the_signatures() -> None:
    module = c10d()
    for name in functions(module):
        collective = found(name)
        if collective is None:
            continue
        positions = list(inspect.signature(inspect.unwrap(getattr(module, name))).parameters)
        arguments = list(collective.agrees)
        if collective.group_keyword is not None:
            arguments.append((collective.group_keyword, collective.group_position))
        elif "group" in positions:
            pytest.fail(f"{name} takes a group that the model does not know")
        for argument in arguments:
            if argument is not None:
                assert positions[argument[1] or 0] == argument[0], name


def test_functional_collectives_have_the_signatures_of_torch() -> None:
    pytest.importorskip("torch")
    import torch.distributed._functional_collectives as functional

    prefix = "torch.distributed._functional_collectives."
    checked = 0
    for name, function in inspect.getmembers(functional, inspect.isfunction):
        collective = collective_of(MODELS, prefix + name, name)
        if collective is not None:
            checked += 1
            positions = list(inspect.signature(inspect.unwrap(function)).parameters)
            assert positions[collective.group_position or 0] == collective.group_keyword, name
    assert checked >= 12


@pytest.mark.parametrize("name", sorted(AGREEING))
def test_these_leave_the_same_value_everywhere(name: str) -> None:
    collective = found(name)
    assert collective is not None
    assert [position for _, position in collective.agrees] == [0]


@pytest.mark.parametrize(
    "name",
    [
        "reduce",
        "reduce_scatter",
        "scatter",
        "gather",
        "all_to_all",
        "all_to_all_single",
        "scatter_object_list",
    ],
)
def test_these_leave_different_values(name: str) -> None:
    collective = found(name)
    assert collective is not None
    assert collective.agrees == ()
    assert not collective.result_agrees


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("torch.distributed.new_group", None),
        ("torch.distributed.split_group", "parent_pg"),
        ("torch.distributed.device_mesh.init_device_mesh", None),
        ("torch.distributed.destroy_process_group", "group"),
        ("torch.nn.parallel.DistributedDataParallel", "process_group"),
        ("torch.distributed.checkpoint.save", "process_group"),
        ("torch.distributed.checkpoint.load", "process_group"),
    ],
)
def test_the_easily_forgotten_ones_take_all_ranks_of_the_parent_group(name: str, group: str | None) -> None:
    """Of the group that is given as the parent, the wrapped or the ended one; where none is, of all ranks."""
    collective = collective_of(MODELS, name, name.rpartition(".")[2])
    assert collective is not None
    assert (collective.group_keyword, collective.receiver_is_group) == (group, False)


def test_methods_of_a_process_group_are_collectives() -> None:
    pytest.importorskip("torch")
    from torch.distributed import ProcessGroup

    expected = [
        "allreduce",
        "allgather",
        "broadcast",
        "barrier",
        "reduce_scatter",
        "alltoall",
        "gather",
        "scatter",
    ]
    for name in expected:
        assert hasattr(ProcessGroup, name)
        collective = collective_of(MODELS, None, f"anything.{name}", ("torch.distributed.ProcessGroup",))
        assert collective is not None, name
        assert collective.receiver_is_group
    for name in ("send", "recv", "size", "rank"):
        assert collective_of(MODELS, None, f"anything.{name}", ("torch.distributed.ProcessGroup",)) is None

"""What the built-in models answer: names of the field, right ones and look-alikes."""

from __future__ import annotations

import pytest

from rslint.models import (
    agreeing_name,
    agreement_decorator,
    axes_compatible,
    axis_of,
    collective_decorator,
    collective_of,
    entry_name,
    load_models,
    local_state,
    raising,
    rank_predicate,
    silent,
    starter_of,
    terminates,
    uniform,
    world_size_name,
    world_size_test,
)

MODELS = load_models()


@pytest.mark.parametrize(
    ("text", "axis", "boolean"),
    [
        ("rank", "?", False),
        ("self.tp_rank", "tp", False),
        ("self.attn_tp_rank", "attn_tp", False),
        ("get_tensor_model_parallel_rank", "tp", False),
        ("LOCAL_RANK", "local", False),
        ("self.global_rank", "world", False),
        ("get_pp_group().is_last_rank", "pp", True),
        ("self.pp_group.rank_in_group", "pp", False),
        ("accelerator.is_main_process", "world", True),
        ("state.is_local_main_process", "local", True),
        ("trainer.is_global_zero", "world", True),
        ("is_world_process_zero", "world", True),
        ("self.is_driver_worker", "?", True),
    ],
)
def test_ranks(text: str, axis: str, boolean: bool) -> None:
    predicate = rank_predicate(MODELS, text, None)
    assert predicate is not None
    assert (predicate.axis, predicate.boolean) == (axis, boolean)


@pytest.mark.parametrize(
    "text",
    [
        "lora_rank",
        "self.q_lora_rank",
        "kv_lora_rank",
        "low_rank",
        "torch.linalg.matrix_rank",
        "self._multi_rank",
        "every_rank",
        "recovered_rank",
        "num_ranks",
        "tp_ranks",
        "FEATURE_ONLY_ON_RANK",
        "Q_RANK",
        "pipeline_split_rank",
        "room_to_dp_rank",
        "rank_size",
        "src_rank",
        "world_size",
        "ranking",
        "frank",
        "is_initialized",
    ],
)
def test_no_ranks(text: str) -> None:
    assert rank_predicate(MODELS, text, None) is None


def test_get_rank_names_its_group_argument() -> None:
    predicate = rank_predicate(MODELS, "dist.get_rank", "torch.distributed.get_rank")
    assert predicate is not None
    assert (predicate.axis, predicate.group) == ("world", ("group", 0))
    assert rank_predicate(MODELS, "dist.get_global_rank", "torch.distributed.get_global_rank") is None


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("self.tp_group", "tp"),
        ("_TP", "tp"),
        ("get_tp_group()", "tp"),
        ("get_attn_tp_group().cpu_group", "attn_tp"),
        ("mesh['dp'].get_group()", "dp"),
        ("parallel_state.get_pipeline_model_parallel_group()", "pp"),
        ("dist.group.WORLD", "world"),
        ("None", "world"),
        ("group", "?"),
        ("self.device_group", "?"),
        ("dp_cp_group", "?"),
        ("http_group", "?"),
        ("self.local_group", "local"),
        ("self.moe_ep_group", "ep"),
    ],
)
def test_axes(text: str, axis: str) -> None:
    assert axis_of(MODELS, text) == axis


@pytest.mark.parametrize(
    ("predicate", "group", "differs"),
    [
        ("tp", "tp", True),
        ("tp", "attn_tp", True),
        ("ep", "tp", True),
        ("tp", "pp", False),
        ("pp", "tp", False),
        ("dp", "tp", False),
        ("local", "tp", True),
        ("node", "pp", True),
        ("world", "tp", True),
        ("?", "tp", True),
        ("pp", "?", False),
        ("ep", "?", False),
        ("attn_dp", "?", False),
        ("tp", "?", True),
        ("attn_tp", "?", True),
        ("?", "?", True),
        ("pp", "world", True),
        ("moe_tp", "attn_tp", False),
    ],
)
def test_which_groups_a_test_parts(predicate: str, group: str, differs: bool) -> None:
    assert axes_compatible(predicate, group) is differs


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("get_tp_group().all_reduce", "all_reduce"),
        ("self.tp_cpu_group.barrier", "barrier"),
        ("_PP.broadcast_object", "broadcast_object"),
        ("self.pynccl_comm.all_gather", "all_gather"),
        ("dist.broadcast_object_list", "broadcast_object_list"),
        ("self.accelerator.wait_for_everyone", "wait_for_everyone"),
        ("accelerator.gather", "gather"),
        ("hvd.allreduce", "allreduce"),
        ("comm.Bcast", "Bcast"),
        ("self.strategy.barrier", "barrier"),
        ("multihost_utils.sync_global_devices", "sync_global_devices"),
        ("xm.rendezvous", "rendezvous"),
    ],
)
def test_collectives_by_their_spelling(text: str, kind: str) -> None:
    collective = collective_of(MODELS, None, text)
    assert collective is not None
    assert collective.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "torch.gather",
        "x.gather",
        "np.broadcast_to",
        "asyncio.gather",
        "functools.reduce",
        "self.broadcast",
        "threading.Barrier",
        "barrier",
        "group.send",
        "dist.isend",
        "self.worker_group.barrier",
        "path.split",
        "store.barrier",
    ],
)
def test_no_collectives_by_their_spelling(text: str) -> None:
    assert collective_of(MODELS, None, text) is None


def test_the_runtime_is_known_by_names_too() -> None:
    result = collective_of(MODELS, None, "broadcast_result")
    guard = collective_of(MODELS, "rslint_runtime.rank_guard", "rank_guard")
    agree = collective_of(MODELS, "rslint_runtime.agree", "agree")
    gather = collective_of(MODELS, "rslint_runtime.gather_results", "gather_results")
    assert result is not None
    assert gather is not None
    assert guard is not None
    assert agree is not None
    assert result.captures == ("produce",)
    assert (result.group_position, result.result_agrees) == (2, True)
    assert (gather.captures, gather.group_position, gather.result_agrees) == (("fn",), 1, True)
    assert guard.at_exit == "agreed"
    assert agree.group_position == 1


@pytest.mark.parametrize(
    ("dotted", "text", "keywords", "kind", "certainty"),
    [
        ("requests.post", "requests.post", (), "network", "model"),
        ("httpx.Client.get", "self.http.get", (), "network", "model"),
        (None, "self.manager_client.start_write", (), "rpc", "name"),
        (None, "self.storage_backend.batch_get", (), "storage", "name"),
        (None, "self.session.post", (), "network", "name"),
        (None, "future.result", ("timeout",), "timeout", "name"),
        ("builtins.open", "open", (), "file", "model"),
        ("multiprocessing.shared_memory.SharedMemory", "SharedMemory", (), "shm", "model"),
        ("subprocess.run", "subprocess.run", (), "process", "model"),
        ("torch.load", "torch.load", (), "file", "model"),
        ("boto3.client().upload_file", "self.s3.upload_file", (), "storage", "model"),
        (
            "google.cloud.storage.Client.bucket().blob().upload_from_string",
            "blob.upload_from_string",
            (),
            "storage",
            "model",
        ),
        ("psycopg2.connect().cursor().execute", "cursor.execute", (), "storage", "model"),
        ("redis.Redis.pipeline().execute", "pipe.execute", (), "storage", "model"),
        ("grpc.aio.insecure_channel().unary_unary().__call__", "call", (), "rpc", "model"),
        ("aiohttp.ClientSession.get().json", "response.json", (), "network", "model"),
        ("http.client.HTTPConnection.request", "connection.request", (), "network", "model"),
    ],
)
def test_reasons(dotted: str | None, text: str, keywords: tuple[str, ...], kind: str, certainty: str) -> None:
    reason = raising(MODELS, dotted, text, (), frozenset(keywords))
    assert reason is not None
    assert (reason.kind, reason.certainty) == (kind, certainty)
    assert reason.strength == (5 if kind in ("file", "shm", "process") else 1)


@pytest.mark.parametrize(
    ("dotted", "text"),
    [
        (None, "self.session.create_req"),
        (None, "future.result"),
        ("builtins.dict.get", "self.store.get"),
        ("requests.Session", "requests.Session"),
        ("torch.zeros", "torch.zeros"),
        ("socket.gethostname", "socket.gethostname"),
        (None, "self.client.close"),
        (None, "native_client.Options"),
        (None, "envs.SOME_STORE.get"),
        ("pickle.dumps", "pickle.dumps"),
        ("collections.deque.append", "client.append"),
        (None, "self.attn_backend.forward"),
        ("zmq.Context", "zmq.Context"),
        ("logging.Logger.info", "logger.info"),
        # what a client has given is a value: its methods ask nobody
        ("httpx.Client.post().json", "response.json"),
        ("httpx.Client.post().headers.get", "response.headers.get"),
        ("redis.Redis.get().decode", "value.decode"),
        ("pymongo.MongoClient.db.runs.find_one().get", "entry.get"),
        ("boto3.client().head_object().get", "head.get"),
        ("psycopg2.connect().cursor().fetchone().count", "row.count"),
        # clients that connect with their first request
        ("boto3.client", "boto3.client"),
        ("redis.asyncio.Redis", "Redis"),
        ("grpc.aio.insecure_channel", "grpc.aio.insecure_channel"),
        ("http.client.HTTPConnection", "http.client.HTTPConnection"),
    ],
)
def test_no_reasons(dotted: str | None, text: str) -> None:
    assert raising(MODELS, dotted, text, (), frozenset()) is None


@pytest.mark.parametrize(
    ("dotted", "text", "exception"),
    [
        ("aiohttp.ClientSession.get", "session.get", "aiohttp.ClientConnectorError"),
        ("etcd3.client().get", "self.etcd.get", "etcd3.exceptions.ConnectionFailedError"),
        ("urllib3.PoolManager.request", "pool.request", "urllib3.exceptions.MaxRetryError"),
        ("minio.Minio.stat_object", "self.minio.stat_object", "minio.error.MinioException"),
        ("psycopg2.connect", "psycopg2.connect", "psycopg2.Error"),
        (None, "self.stub.GetState", "grpc.RpcError"),
        ("xmlrpc.client.ServerProxy.state", "proxy.state", "OSError"),
    ],
)
def test_every_library_raises_its_own(dotted: str | None, text: str, exception: str) -> None:
    reason = raising(MODELS, dotted, text, (), frozenset())
    assert reason is not None
    assert reason.exceptions[0] == exception


@pytest.mark.parametrize(
    ("dotted", "text"),
    [
        ("builtins.len", "len"),
        (None, "names.append"),
        (None, "logger.info"),
        ("time.time", "time.time"),
        ("torch.empty", "torch.empty"),
        (None, "self.get_name"),
        (None, "line.strip"),
        ("pickle.loads", "pickle.loads"),
        ("socket.gethostname", "socket.gethostname"),
    ],
)
def test_silent(dotted: str | None, text: str) -> None:
    assert silent(MODELS, dotted, text)


@pytest.mark.parametrize("text", ["self.engine.transfer", "load_weights", "self.connector.start_write"])
def test_not_silent(text: str) -> None:
    assert not silent(MODELS, None, text)


@pytest.mark.parametrize(
    ("dotted", "text", "kind"),
    [
        ("os.path.exists", "os.path.exists", "filesystem"),
        (None, "checkpoint_path.exists", "filesystem"),
        ("time.monotonic", "time.monotonic", "clock"),
        (None, "future.done", "future"),
        (None, "self.ready_event.is_set", "event"),
        (None, "finish_event.query", "event"),
        (None, "self.recv_queue.empty", "queue"),
        (None, "self.mem_pool_host.alloc", "host-allocation"),
        (None, "self.token_to_kv_pool_allocator.available_size", "device-allocation"),
    ],
)
def test_local_state(dotted: str | None, text: str, kind: str) -> None:
    state = local_state(MODELS, dotted, text)
    assert state is not None
    assert state.kind == kind


@pytest.mark.parametrize(
    ("dotted", "text"),
    [
        ("torch.empty", "torch.empty"),
        (None, "database.query"),
        (None, "self.stop_event.is_set"),
        (None, "registry.exists"),
        (None, "self.shutdown_event.is_set"),
        (None, "config.empty"),
    ],
)
def test_no_local_state(dotted: str | None, text: str) -> None:
    assert local_state(MODELS, dotted, text) is None


@pytest.mark.parametrize(
    ("dotted", "text"),
    [
        ("torch.distributed.get_world_size", "dist.get_world_size"),
        (None, "self.world_size"),
        (None, "self.tp_size"),
        ("os.getenv", "os.getenv"),
        (None, "self.server_args.enable_overlap"),
        (None, "AutoConfig.from_pretrained"),
        ("yaml.safe_load", "yaml.safe_load"),
    ],
)
def test_uniform(dotted: str | None, text: str) -> None:
    assert uniform(MODELS, dotted, text)


@pytest.mark.parametrize(
    "text", ["self.ongoing_prefetch", "self.client.get_status", "batch_size", "self.rank"]
)
def test_not_uniform(text: str) -> None:
    assert not uniform(MODELS, None, text)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("world_size > 1", True),
        ("self.args.local_rank != -1", True),
        ("rank == -1", False),
        ("lora_rank != -1", None),
        ("self.tp_size == 1", False),
        ("1 < ws", True),
        ("dist.get_world_size() != 1", True),
        ("2 > world_size", False),
        ("dist.is_initialized()", True),
        ("is_distributed", True),
        ("torch.cuda.is_available()", None),
        ("world_size > 2", None),
        ("batch_size > 1", None),
        ("rank == 0", None),
        ("world_size == other", None),
    ],
)
def test_world_size_guards(text: str, outcome: bool | None) -> None:
    assert world_size_test(MODELS, text) is outcome


def test_sizes_and_counts_are_no_ranks_any_more() -> None:
    assert all(world_size_name(MODELS, name) for name in ("tp_size", "world", "num_heads", "self.chunk_size"))
    assert not any(world_size_name(MODELS, name) for name in ("rank", "is_first", "flag"))


def test_agreement() -> None:
    assert agreement_decorator(MODELS, "rank_consensus(same_params=['a'], same_results=True)")
    assert agreement_decorator(MODELS, "checker.rank_consensus(same_results=['result.hit_length'])")
    assert not agreement_decorator(MODELS, "rank_consensus(same_params=True, same_results=None)")
    assert not agreement_decorator(MODELS, "rank_consensus")
    assert not agreement_decorator(MODELS, "torch.no_grad()")
    assert collective_decorator(MODELS, "rank_consensus") == "rank_consensus"
    assert collective_decorator(MODELS, "functools.cache") is None


@pytest.mark.parametrize(
    "name",
    ["broadcast_pyobj", "check_model_agreement", "all_gather_states", "tensor_model_parallel_all_reduce"],
)
def test_functions_named_like_agreeing_collectives(name: str) -> None:
    assert agreeing_name(MODELS, name)


@pytest.mark.parametrize(
    "name", ["broadcast_to", "reduce_scatter", "should_broadcast", "scatter", "gather", "init_broadcast"]
)
def test_functions_named_otherwise(name: str) -> None:
    assert not agreeing_name(MODELS, name)


def test_processes() -> None:
    assert terminates(MODELS, "os._exit", "os._exit")
    assert terminates(MODELS, None, "kill_process_tree")
    assert terminates(MODELS, None, "self.parent_process.send_signal")
    assert not terminates(MODELS, None, "self.client.shutdown")
    assert starter_of(MODELS, "threading.Thread", "threading.Thread") == "thread"
    assert starter_of(MODELS, None, "self.executor.submit") == "thread"
    assert starter_of(MODELS, "asyncio.create_task", "asyncio.create_task") == "task"
    assert starter_of(MODELS, "multiprocessing.Process", "mp.Process") == "process"
    assert starter_of(MODELS, None, "sorted") is None
    assert entry_name(MODELS, "run_scheduler_process")
    assert not entry_name(MODELS, "process_batch")


def test_exceptions_of_libraries_have_bases() -> None:
    assert MODELS.exception_bases["requests.exceptions.RequestException"] == ("OSError",)
    assert MODELS.exception_bases["grpc.RpcError"] == ("Exception",)


def test_an_exception_class_has_one_name() -> None:
    """`requests.ConnectionError` is found by its package and last name; listed as well it would be another class."""
    names = sorted(MODELS.exception_bases)
    assert len({(name.partition(".")[0], name.rpartition(".")[2]) for name in names}) == len(names)
    assert "contextlib.suppress" in MODELS.swallowing


def test_answers_are_remembered_and_do_not_depend_on_order() -> None:
    other = load_models()
    texts = ["self.tp_rank", "lora_rank", "get_pp_group().is_last_rank"]
    forwards = [rank_predicate(other, text, None) for text in texts]
    backwards = [rank_predicate(load_models(), text, None) for text in reversed(texts)]
    assert forwards == backwards[::-1] == [rank_predicate(other, text, None) for text in texts]


def test_the_built_in_models_are_compiled_once_for_all_projects() -> None:
    one, other = load_models(), load_models()
    assert one.collectives is other.collectives
    assert one.memory is not other.memory

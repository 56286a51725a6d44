"""The channels that ring_throughput.py compares, each as a writer and readers of Python objects in other processes.

vLLM's ring is its released module, loaded with stand-ins for what it imports of its own package. It is fetched into a
cache at its first use; nothing of it is kept here.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import tarfile
import tempfile
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from rslint_runtime import ShmRing

SLOTS = 10
SLOT_BYTES = 1 << 21
VLLM = "0.33.0"
MODULE = "vllm/distributed/device_communicators/shm_broadcast.py"

Send = Callable[[Any], None]
Receive = Callable[[], Any]


@dataclass(frozen=True)
class Writing:
    """The writer's end: what sends an object, what tells readers where it is, and what takes it down."""

    send: Send
    handle: Any
    close: Callable[[], None]


@dataclass(frozen=True)
class Channel:
    """A way of sending: `prepare(readers)` before the readers are forked, then the two ends.

    `writer(prepared)` gives the writing end; `reader(prepared, handle, rank)` what receives, in the reader's process.
    """

    name: str
    prepare: Callable[[int], Any]
    writer: Callable[[Any], Writing]
    reader: Callable[[Any, Any, int], Receive]


def _ring_writer(readers: int) -> Writing:
    ring = ShmRing.create(readers, slots=SLOTS, slot_bytes=SLOT_BYTES)
    writer = ring.writer()

    def close() -> None:
        writer.close()
        ring.unlink()

    return Writing(writer.send, ring, close)


def _ring_reader(_: int, ring: ShmRing, rank: int) -> Receive:
    return ring.reader(rank).receive


def _pipes(readers: int) -> Any:
    return [multiprocessing.Pipe(duplex=False) for _ in range(readers)]


def _pipe_writer(pipes: Any) -> Writing:
    def send(value: Any) -> None:
        for _, sending in pipes:
            sending.send(value)

    def close() -> None:
        for ends in pipes:
            for end in ends:
                end.close()

    return Writing(send, None, close)


def _pipe_reader(pipes: Any, _: Any, rank: int) -> Receive:
    receive: Receive = pipes[rank][0].recv
    return receive


def _queues(readers: int) -> Any:
    return [multiprocessing.get_context("fork").Queue(SLOTS) for _ in range(readers)]


def _queue_writer(queues: Any) -> Writing:
    def send(value: Any) -> None:
        for queue in queues:
            queue.put(value)

    def close() -> None:
        for queue in queues:
            queue.close()
            queue.join_thread()

    return Writing(send, None, close)


def _queue_reader(queues: Any, _: Any, rank: int) -> Receive:
    receive: Receive = queues[rank].get
    return receive


RING = Channel("ShmRing", lambda readers: readers, _ring_writer, _ring_reader)
PIPE = Channel("multiprocessing.Pipe", _pipes, _pipe_writer, _pipe_reader)
QUEUE = Channel("multiprocessing.Queue", _queues, _queue_writer, _queue_reader)


def vllm_ring(cache: Path) -> Channel:
    """vLLM's ring. Raises RuntimeError or ImportError where it cannot be had."""
    module = _loaded(_fetched(cache))

    def writer(readers: int) -> Writing:
        queue = module.MessageQueue(readers, readers, max_chunk_bytes=SLOT_BYTES, max_chunks=SLOTS)

        def close() -> None:
            queue.buffer.shared_memory.unlink()
            queue.buffer.is_creator = False  # or it would unlink it once more

        return Writing(queue.enqueue, queue.export_handle(), close)

    def reader(_: int, handle: Any, rank: int) -> Receive:
        receive: Receive = module.MessageQueue.create_from_handle(handle, rank).dequeue
        return receive

    return Channel(f"vLLM {VLLM}", lambda readers: readers, writer, reader)


def _fetched(cache: Path) -> Path:
    """The module of the released source archive, which is fetched and not built."""
    path = cache / f"vllm-{VLLM}" / MODULE
    if path.is_file():
        return path
    with tempfile.TemporaryDirectory() as scratch:
        order = [sys.executable, "-m", "unearth", "--no-binary", "--download", scratch, f"vllm=={VLLM}"]
        done = subprocess.run(order, capture_output=True, text=True, timeout=600, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if not archives:
            raise RuntimeError(f"vllm {VLLM} cannot be fetched (pip install unearth): {done.stderr[-200:]}")
        with tarfile.open(archives[0]) as archive:
            member = next(one for one in archive if one.name.endswith("/" + MODULE))
            source = archive.extractfile(member)
            assert source is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read())
    return path


def _loaded(path: Path) -> Any:
    """The module, with stand-ins for the rest of its package."""

    def stand_in(name: str, **names: Any) -> None:
        module = types.ModuleType(name)
        module.__dict__.update(names)
        module.__path__ = []
        sys.modules[name] = module

    def address() -> str:
        return f"ipc://{tempfile.gettempdir()}/ring-{os.getpid()}-{os.urandom(4).hex()}"

    envs = types.SimpleNamespace(VLLM_USE_SPINLOOP_EXT=False, VLLM_RINGBUFFER_WARNING_INTERVAL=60)
    stand_in("vllm", envs=envs)
    sys.modules["vllm.envs"] = envs  # type: ignore[assignment]
    stand_in("vllm.distributed")
    stand_in("vllm.distributed.utils", StatelessProcessGroup=type("G", (), {}), sched_yield=os.sched_yield)
    stand_in("vllm.logger", init_logger=logging.getLogger)
    stand_in("vllm.platforms", current_platform=None)
    stand_in("vllm.utils")
    stand_in("vllm.utils.cpu_resource_utils", check_cgroup_memory_available=lambda *_: None)
    stand_in(
        "vllm.utils.network_utils",
        get_ip=lambda: "127.0.0.1",
        get_open_zmq_ipc_path=address,
        get_open_zmq_inproc_path=lambda: f"inproc://{os.urandom(4).hex()}",
        is_valid_ipv6_address=lambda _: False,
    )
    spec = util.spec_from_file_location("vllm_shm_broadcast", path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules["vllm_shm_broadcast"] = module
    spec.loader.exec_module(module)
    return module

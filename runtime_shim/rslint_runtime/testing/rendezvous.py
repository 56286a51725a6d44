"""What a launcher gives to ranks that join their process group themselves: a store, and variables that name it."""

from __future__ import annotations

import importlib
import itertools
import os
import socket
from typing import Any

import torch.distributed as dist

# torch.distributed has a function of the same name.
_distributed: Any = dist
_rendezvous: Any = importlib.import_module("torch.distributed.rendezvous")
_hosted: list[Any] = []  # lives as long as rank 0's process


def listener(backlog: int) -> socket.socket:
    """Where the store will listen; bound before the ranks start, so that they know a port which nobody can take."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen(backlog)
    return bound


def offer(rank: int, world_size: int, bound: socket.socket) -> None:
    """`init_process_group` without arguments finds a store that is there already, as it does under torchrun."""
    host, port = bound.getsockname()
    os.environ.update(MASTER_ADDR=host, MASTER_PORT=str(port))
    if rank == 0:
        options: dict[str, Any] = {
            "is_master": True,
            "wait_for_workers": False,
            "master_listen_fd": bound.detach(),
        }
        _hosted.append(_distributed.TCPStore(host, port, world_size, **options))
    else:
        bound.close()
    _connect_only(port)


def _connect_only(offered: int) -> None:
    """At the offered port, nobody becomes the store's host any more. Other ports are the program's own affair.

    A group that is made again, after it was destroyed, must not find what its predecessor left in the store.
    """
    original = _rendezvous._create_c10d_store
    rounds = itertools.count(1)

    def create_c10d_store(
        hostname: str, port: int, rank: int, world_size: int, timeout: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if port != offered:
            return original(hostname, port, rank, world_size, timeout, *args, **kwargs)
        store = _distributed.TCPStore(hostname, port, world_size, is_master=False, timeout=timeout)
        return _distributed.PrefixStore(f"round {next(rounds)}", store)

    _rendezvous._create_c10d_store = create_c10d_store

"""Messages between processes: ShmRing beside multiprocessing.Pipe, multiprocessing.Queue and vLLM's released ring.

    python benchmarks/ring_throughput.py [--rounds 5] [--cache FOLDER] [--without-vllm]

All send the same Python objects (bytes, pickled by each in its own way) to every reader. The channels take turns, each
round begins with another one, and ratios are taken within a round, so that other work on the machine slows all alike.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ring_channels import PIPE, QUEUE, RING, Channel, vllm_ring

# Bytes of a message, and how many of them make one measurement.
THROUGHPUT = ((100, 10_000), (10_000, 4_000), (1_000_000, 200))
ROUND_TRIPS = 2_000
READERS = (1, 2)


def read(channel: Channel, prepared: Any, rank: int, control: Any) -> None:
    """A reader's process: as many messages as it is told, then it says that it is done."""
    receive = channel.reader(prepared, control.recv(), rank)
    control.send("here")
    for _ in range(control.recv()):
        receive()
    control.send("done")
    control.recv()
    os._exit(0)


def throughput(channel: Channel, readers: int, size: int, count: int) -> float:
    """Microseconds a message, from the first that is sent to the last that every reader has."""
    context = multiprocessing.get_context("fork")
    prepared = channel.prepare(readers)
    controls = [context.Pipe() for _ in range(readers)]
    processes = [
        context.Process(target=read, args=(channel, prepared, rank, controls[rank][1]), daemon=True)
        for rank in range(readers)
    ]
    for process in processes:
        process.start()
    writing = channel.writer(prepared)
    said = [control for control, _ in controls]
    tell(said, writing.handle)
    heard(said)
    tell(said, count)
    message = os.urandom(size)
    started = time.perf_counter()
    for _ in range(count):
        writing.send(message)
    heard(said)
    taken = time.perf_counter() - started
    tell(said, None)
    writing.close()
    for process in processes:
        process.join()
    return taken / count * 1e6


def echo(there: Channel, back: Channel, prepared: Any, control: Any) -> None:
    """A process that sends back what it receives."""
    receive = there.reader(prepared[0], control.recv(), 0)
    writing = back.writer(prepared[1])
    control.send(writing.handle)
    for _ in range(control.recv()):
        writing.send(receive())
    control.recv()
    writing.close()
    os._exit(0)


def round_trip(channel: Channel, count: int) -> float:
    """Microseconds, the median: a message of 100 bytes there over one channel, and back over another of the kind."""
    context = multiprocessing.get_context("fork")
    prepared = (channel.prepare(1), channel.prepare(1))
    control, other = context.Pipe()
    process = context.Process(target=echo, args=(channel, channel, prepared, other), daemon=True)
    process.start()
    writing = channel.writer(prepared[0])
    control.send(writing.handle)
    receive = channel.reader(prepared[1], control.recv(), 0)
    control.send(count)
    message, times = os.urandom(100), []
    for _ in range(count):
        started = time.perf_counter()
        writing.send(message)
        receive()
        times.append(time.perf_counter() - started)
    control.send(None)
    writing.close()
    process.join()
    return statistics.median(times) * 1e6


def tell(controls: list[Any], what: Any) -> None:
    for control in controls:
        control.send(what)


def heard(controls: list[Any]) -> None:
    for control in controls:
        control.recv()


def compare(channels: list[Channel], rounds: int, measure: Callable[[Channel], float]) -> list[str]:
    """A cell for each channel: its median, and how many times ShmRing's within the same round."""
    taken: dict[str, list[float]] = {channel.name: [] for channel in channels}
    for number in range(rounds):
        turn = number % len(channels)
        for channel in channels[turn:] + channels[:turn]:
            taken[channel.name].append(measure(channel))
    own = taken[RING.name]
    return [
        f"{statistics.median(times):.0f} µs ({statistics.median(map(ratio, times, own)):.2f})"
        for times in taken.values()
    ]


def ratio(other: float, own: float) -> float:
    return other / own


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rslint-ring")
    parser.add_argument("--without-vllm", action="store_true")
    parser.add_argument(
        "--quick", action="store_true", help="a hundredth of the messages, to see that it runs"
    )
    arguments = parser.parse_args()
    channels = [RING, PIPE, QUEUE] + ([] if arguments.without_vllm else [vllm_ring(arguments.cache)])
    part = 100 if arguments.quick else 1
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, load average {load:.1f}\n"
    )
    print(f"| | {' | '.join(channel.name for channel in channels)} |")
    print(f"|---|{'--:|' * len(channels)}")
    for readers in READERS:
        for size, count in THROUGHPUT:
            measure = partial(throughput, readers=readers, size=size, count=max(count // part, 2))
            cells = compare(channels, arguments.rounds, measure)
            print(f"| {size:,} bytes, {readers} reader(s) | {' | '.join(cells)} |", flush=True)
    cells = compare(channels, arguments.rounds, partial(round_trip, count=ROUND_TRIPS // part))
    print(f"| round trip of 100 bytes | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""Runs the programs of the RS4 fixtures as threads on the machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from rslint.proof.cores import received_right

FIXTURES = Path(__file__).parents[2] / "fixtures"


def on_the_machine(program: Any, count: int) -> bool:
    """Writer and reader as two threads; whether all messages came over."""
    segment = SharedMemory(create=True, size=program.SIZE)
    try:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(program.consume, segment.name, count)
            program.produce(segment.name, count)
            return received_right(program, reading.result(20), count)
    finally:
        segment.close()
        segment.unlink()

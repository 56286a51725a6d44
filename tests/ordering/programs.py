"""Runs the programs of the RS4 fixtures: as threads on the machine, and as cores under modelled weak memory."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import ModuleType
from typing import Any

from rslint_runtime.testing import Overtaken, Stuck, weak_memory

FIXTURES = Path(__file__).parents[2] / "fixtures"
_numbers = itertools.count()


def load(path: Path, text: str | None = None) -> ModuleType:
    """The program as a module of its own; with other source, where that is given."""
    name = f"program_{next(_numbers)}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(path.read_text("utf-8") if text is None else text, str(path), "exec"), module.__dict__)
    finally:
        del sys.modules[name]
    return module


def is_right(program: Any, received: list[object], count: int) -> bool:
    """Whether what the reader got is what was sent; a program may say itself what counts as right."""
    if hasattr(program, "is_right"):
        return bool(program.is_right(received, count))
    if hasattr(program, "expected"):
        return received == program.expected(count)
    return received == [program.message(number) for number in range(count)]


def on_the_machine(program: Any, count: int) -> bool:
    """Writer and reader as two threads; whether all messages came over."""
    segment = SharedMemory(create=True, size=program.SIZE)
    try:
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(program.consume, segment.name, count)
            program.produce(segment.name, count)
            return is_right(program, reading.result(20), count)
    finally:
        segment.close()
        segment.unlink()


def under_weak_memory(program: Any, seed: int, count: int) -> str:
    """Writer and reader as two cores: "right", "wrong", "overtaken" or "stuck"."""
    segment = SharedMemory(create=True, size=program.SIZE)
    try:
        with weak_memory(seed, programs=(program,), most_accesses=400 * count) as memory:
            _, received = memory.run(
                partial(program.produce, segment.name, count), partial(program.consume, segment.name, count)
            )
        return "right" if is_right(program, received, count) else "wrong"
    except Overtaken:
        return "overtaken"
    except Stuck:
        return "stuck"
    finally:
        segment.close()
        segment.unlink()

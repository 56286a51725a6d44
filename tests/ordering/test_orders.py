"""Which orders of shared memory are missing: what counts as memory, as a flag, as a fence, and as one protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ordering.building import ordering, orders

READER = """
def read(segment: SharedMemory):
    while not segment.buf[0]:
        time.sleep(0)
    memory_fence()
    return bytes(segment.buf[8:24])
"""


def writer(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"LOCK = threading.Lock()\n\ndef write(segment: SharedMemory, message, connection, ok):\n{lines}\n{READER}"


PAYLOAD = "segment.buf[8:24] = message"
FLAG = "segment.buf[0] = 1"


def test_a_flag_behind_its_payload_needs_a_fence(tmp_path: Path) -> None:
    assert orders(tmp_path, writer(f"{PAYLOAD}\n{FLAG}")) == [("publish", FLAG)]


@pytest.mark.parametrize(
    "fence",
    [
        "memory_fence()",
        "with LOCK:\n    pass",
        "LOCK.acquire()\nLOCK.release()",
        "fcntl.flock(3, fcntl.LOCK_EX)",
        "connection.send(b'x')",
        "torch.distributed.barrier()",
        "synchronised()",
    ],
)
def test_what_counts_as_a_fence(tmp_path: Path, fence: str) -> None:
    helper = "\n\ndef synchronised():\n    with LOCK:\n        return 1\n"
    assert orders(tmp_path, writer(f"{PAYLOAD}\n{fence}\n{FLAG}") + helper) == []


@pytest.mark.parametrize(
    "other",
    ["time.sleep(0.1)", "print(message)", "if ok:\n    memory_fence()", "maybe(ok)", "len(segment.buf)"],
)
def test_what_does_not(tmp_path: Path, other: str) -> None:
    helper = "\n\ndef maybe(ok):\n    if ok:\n        memory_fence()\n"
    assert orders(tmp_path, writer(f"{PAYLOAD}\n{other}\n{FLAG}") + helper) == [("publish", FLAG)]


def test_a_fence_on_the_wrong_side_orders_nothing(tmp_path: Path) -> None:
    assert orders(tmp_path, writer(f"memory_fence()\n{PAYLOAD}\n{FLAG}\nmemory_fence()")) == [
        ("publish", FLAG)
    ]


def test_a_store_of_zero_publishes_nothing(tmp_path: Path) -> None:
    found = orders(tmp_path, writer(f"{PAYLOAD}\nsegment.buf[0] = 0"))
    assert all(kind == "rearm" for kind, _ in found)


def test_a_flag_that_nobody_tests_is_none(tmp_path: Path) -> None:
    assert orders(tmp_path, writer(f"{PAYLOAD}\nsegment.buf[1] = 1")) == []


def test_a_payload_without_a_reader_is_none(tmp_path: Path) -> None:
    polls = "def write(segment: SharedMemory, message):\n    segment.buf[8:24] = message\n    segment.buf[0] = 1\n"
    polls += "\ndef wait(segment: SharedMemory):\n    while not segment.buf[0]:\n        time.sleep(0)\n"
    assert orders(tmp_path, polls) == []


@pytest.mark.parametrize(
    "store",
    [
        "np.ndarray((16,), dtype=np.uint8, buffer=segment.buf, offset=8)[:] = message",
        "np.copyto(np.frombuffer(segment.buf[8:24], dtype=np.uint8), message)",
        "torch.frombuffer(segment.buf, dtype=torch.uint8, offset=8).copy_(message)",
        "view = memoryview(segment.buf)[8:24]\nview[:] = message",
        "connection.readinto(segment.buf[8:24])",
        "fill(segment.buf[8:24], message)",
    ],
)
def test_ways_to_write_a_payload(tmp_path: Path, store: str) -> None:
    helper = "\n\ndef fill(view, message):\n    view[:] = message\n"
    reads = helper + "\n\ndef other(segment: SharedMemory):\n    if segment.buf[0]:\n        memory_fence()\n"
    reads += "        return np.ndarray((16,), dtype=np.uint8, buffer=segment.buf, offset=8).copy(), "
    reads += "torch.frombuffer(segment.buf, dtype=torch.uint8, offset=8).clone()\n"
    assert ("publish", FLAG) in orders(tmp_path, writer(f"{store}\n{FLAG}") + reads)


@pytest.mark.parametrize(
    "test",
    [
        "while not segment.buf[0]:\n        time.sleep(0)",
        "if segment.buf[0] != 1:\n        return None",
        "ready = segment.buf[0]\n    if not ready:\n        return None",
        "while True:\n        if segment.buf[0] and not segment.buf[1]:\n            break",
        "if not is_ready(segment):\n        return None",
        "if struct.unpack_from('B', segment.buf, 0)[0] == 0:\n        return None",
    ],
)
def test_ways_to_look_at_a_flag(tmp_path: Path, test: str) -> None:
    source = f"""
def write(segment: SharedMemory, message):
    segment.buf[8:24] = message
    memory_fence()
    segment.buf[0] = 1

def is_ready(segment: SharedMemory):
    return bool(segment.buf[0])

def read(segment: SharedMemory):
    {test}
    return bytes(segment.buf[8:24])
"""
    assert orders(tmp_path, source) == [("consume", "return bytes(segment.buf[8:24])")]


def test_a_fence_before_the_load_of_the_flag_does_not_order_the_payload(tmp_path: Path) -> None:
    source = writer(f"{PAYLOAD}\nmemory_fence()\n{FLAG}").replace(
        "    memory_fence()\n    return", "    return"
    )
    source = source.replace("        time.sleep(0)\n", "        memory_fence()\n")
    assert orders(tmp_path, source) == [("consume", "return bytes(segment.buf[8:24])")]


def test_a_read_that_no_flag_decides_over_is_no_consumption(tmp_path: Path) -> None:
    source = writer(f"{PAYLOAD}\nmemory_fence()\n{FLAG}") + (
        "\n\ndef peek(segment: SharedMemory):\n    if segment.buf[0]:\n        print('ready')\n"
        "    return bytes(segment.buf[8:24])\n"
    )
    assert orders(tmp_path, source) == []


def test_an_exclusive_region_needs_no_fences(tmp_path: Path) -> None:
    source = """
@contextmanager
def locked(fd):
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)

class Slot:
    def __init__(self, fd):
        self.fd = fd
        self.map = mmap.mmap(fd, 64)

    def write(self, message):
        with locked(self.fd):
            self._store(message)

    def _store(self, message):
        self.map[8:24] = message
        self.map[0] = 1

    def read(self):
        with locked(self.fd):
            if self.map[0]:
                return bytes(self.map[8:24])
"""
    assert orders(tmp_path, source) == []
    unlocked = source.replace(
        "        with locked(self.fd):\n            self._store(message)", "        self._store(message)"
    )
    assert ("publish", "self.map[0] = 1") in orders(tmp_path, unlocked)


def test_two_rings_of_one_class_are_not_confused_across_calls(tmp_path: Path) -> None:
    source = """
class Ring:
    def __init__(self, name):
        self.segment = SharedMemory(name=name)

    def push(self, message):
        while self.segment.buf[0]:
            time.sleep(0)
        self.segment.buf[8:24] = message
        memory_fence()
        self.segment.buf[0] = 1

    def pop(self):
        while not self.segment.buf[0]:
            time.sleep(0)
        memory_fence()
        message = bytes(self.segment.buf[8:24])
        memory_fence()
        self.segment.buf[0] = 0
        return message

def relay(names):
    here, there = Ring(names[0]), Ring(names[1])
    while True:
        there.push(here.pop())
"""
    assert orders(tmp_path, source) == []


def test_one_finding_for_a_ring_and_file(tmp_path: Path) -> None:
    memory = """
class Ring:
    def __init__(self, name):
        self.segment = SharedMemory(name=name)
"""
    writes = """
from m0 import Ring

def push(ring: Ring, message):
    while ring.segment.buf[0]:
        time.sleep(0)
    ring.segment.buf[8:24] = message
    ring.segment.buf[0] = 1
"""
    reads = """
from m0 import Ring

def pop(ring: Ring):
    while not ring.segment.buf[0]:
        time.sleep(0)
    message = bytes(ring.segment.buf[8:24])
    ring.segment.buf[0] = 0
    return message
"""
    rings = ordering(tmp_path, memory, writes, reads).rings
    assert [[order.kind for order in ring.orders] for ring in rings] == [
        ["publish"],
        ["consume", "acknowledge"],
    ]


@pytest.mark.parametrize(
    "source",
    [
        "def f(segment: SharedMemory, name):\n    getattr(segment, name)[0] = 1\n",
        "def f(segment: SharedMemory):\n    exec('segment.buf[0] = 1')\n",
        "def f(x):\n    return x.buf[x.buf[0]][x.buf[1]:]\n",
        "def f(segment: SharedMemory):\n    return f(segment)[f(segment)]\n",
        "def f(*views, **more):\n    for view in views:\n        view.buf[0], more['a'].buf[1:] = 1, 2\n",
        "from somewhere import *\nshm = SharedMemory()\nbuf = shm.buf\n(a, *b), c = buf, buf\n",
        "class A(A):\n    buf = property(lambda a: a.buf)\n    def f(self):\n        self.buf[0] = self.buf[1:]\n",
        "async def f(shm):\n    async with shm.buf as b:\n        yield b\n    yield\n",
    ],
)
def test_what_cannot_be_followed_costs_findings_and_nothing_else(tmp_path: Path, source: str) -> None:
    assert orders(tmp_path, source + READER) == []


def test_a_number_in_a_slice_is_one_cell(tmp_path: Path) -> None:
    source = """
class Stream:
    def __init__(self, name):
        self.segment = SharedMemory(name=name)
        self.position = self.segment.buf[0:4]
        self.seen = 0

    def append(self, update):
        start = self.seen
        self.segment.buf[64 : 64 + len(update)] = update
        self.position[:] = (start + 1).to_bytes(4, "little")

    def apply(self):
        position = int.from_bytes(self.position, "little")
        if position == self.seen:
            return None
        return bytes(self.segment.buf[64:128])
"""
    assert orders(tmp_path, source) == [
        ("publish", 'self.position[:] = (start + 1).to_bytes(4, "little")'),
        ("consume", "return bytes(self.segment.buf[64:128])"),
    ]

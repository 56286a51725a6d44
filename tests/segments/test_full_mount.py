"""A full /dev/shm: the pages of a segment are reserved in vain, and the name is taken back, or stays.

Each program runs in a mount namespace of its own in which /dev/shm is a tmpfs of 1 MB.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rslint import cli

MOUNTED = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" "$@"']
PROGRAM = """
import json, os, sys
from multiprocessing.shared_memory import SharedMemory


def reserve(name, size):
    shm = SharedMemory(name=name, create=True, size=size)
    os.posix_fallocate(shm._fd, 0, size)
    return shm


def main():
    with open("/dev/shm/ballast", "wb") as ballast:
        ballast.write(bytes(1 << 19))
    try:
        reserve("features", 1 << 20)
    except OSError as error:
        print(json.dumps([error.errno, sorted(os.listdir("/dev/shm"))]))


if __name__ == "__main__":
    main()
"""
NO_SPACE = 28


@pytest.fixture(scope="module", autouse=True)
def mount_namespace() -> None:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("there are no mount namespaces here")
    tried = subprocess.run([*MOUNTED, "true"], capture_output=True, text=True, timeout=20, check=False)
    if tried.returncode:
        pytest.skip(f"no mount namespace of our own: {tried.stderr.strip()}")


def left(program: Path) -> tuple[int, list[str]]:
    """The error that the program met, and what was in /dev/shm while it lived."""
    done = subprocess.run(
        [*MOUNTED, sys.executable, str(program)], capture_output=True, text=True, timeout=30, check=True
    )
    error, names = json.loads(done.stdout)
    return error, names


def test_the_reservation_fails_and_the_segment_stays_until_it_is_repaired(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    assert left(program) == (NO_SPACE, ["ballast", "features"])
    assert cli.main(["check", "--isolated", "--select", "RS303", "--fix", str(program)]) == 0
    assert left(program) == (NO_SPACE, ["ballast"])

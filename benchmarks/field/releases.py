"""Fetches released source trees, once, into a cache: wheels through pip, commits as archives of their host.

Only .py files are kept, and nothing of them is installed or run here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# For whom the wheel is chosen: any one will do, since only its Python files are read.
_WHEEL = ("--python-version", "3.11", "--platform", "manylinux_2_34_x86_64", "--only-binary", ":all:")
_LIMIT = 600.0  # seconds for one download


class FetchError(RuntimeError):
    """A release that cannot be had, or an archive that is not as it should be."""


@dataclass(frozen=True)
class Release:
    """A version of a distribution on the package index, or a commit of a repository on GitHub."""

    package: str
    version: str
    repository: str = ""  # owner/name; "" for a distribution on the package index

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def cache_folder() -> Path:
    """Where trees are kept: $RSLINT_FIELD_CACHE, else the user's cache folder."""
    named = os.environ.get("RSLINT_FIELD_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "rslint-field"


def tree(release: Release, cache: Path) -> Path:
    """The folder with the release's .py files, NAME-VERSION in the cache; fetched when it is not there.

    Raises:
        FetchError: when the index or the host does not give it. A tree may then be laid there by hand.
    """
    folder = cache / f"{release.package}-{release.version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = _archive_of(release, Path(scratch), folder)
        unpacked = Path(scratch) / "unpacked"
        if unpack(archive, unpacked) == 0:
            raise FetchError(f"{release}: {archive.name} holds no Python file")
        # In one step, so that a fetch that was interrupted leaves no half tree behind.
        try:
            unpacked.rename(folder)
        except OSError:
            if not folder.is_dir():  # another run may have been first
                raise
    return folder


def unpack(archive: Path, target: Path) -> int:
    """Write the archive's .py files below `target`, without the folder that source archives put around them.

    Returns:
        How many files were written.

    Raises:
        FetchError: when a member's name leads out of `target`, or the archive is damaged; what was written before is
            removed again.
    """
    try:
        if archive.suffix == ".whl":
            return _write(_wheel_members(archive), target)
        return _write(_tar_members(archive), target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise FetchError(f"{archive.name}: cannot be unpacked: {error}") from error
    except FetchError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _archive_of(release: Release, scratch: Path, folder: Path) -> Path:
    if release.repository:
        return _downloaded(release, scratch, folder)
    order = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", *_WHEEL]
    try:
        done = subprocess.run(
            [*order, "--dest", str(scratch), f"{release.package}=={release.version}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"{release}: pip download did not end within {_LIMIT:.0f} s") from None
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise FetchError(f"{release}: pip download failed: {last}")
    return wheels[0]


def _downloaded(release: Release, scratch: Path, folder: Path) -> Path:
    target = scratch / f"{release.package}.tar.gz"
    address = f"https://github.com/{release.repository}/archive/{release.version}.tar.gz"
    try:
        with urllib.request.urlopen(address, timeout=60) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except OSError as error:
        raise FetchError(
            f"{release}: {address}: {error}; a checkout of that commit may be laid at {folder}"
        ) from error
    return target


def _wheel_members(archive: Path) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name.endswith(".py"):
                yield name, wheel.read(name)


def _tar_members(archive: Path) -> Iterable[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isfile() and member.name.endswith(".py") else None
            if source is not None:
                yield member.name.partition("/")[2] or member.name, source.read()


def _write(members: Iterable[tuple[str, bytes]], target: Path) -> int:
    written = 0
    for name, content in members:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
            raise FetchError(f"{name!r} leads out of the folder it is unpacked into")
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        written += 1
    return written

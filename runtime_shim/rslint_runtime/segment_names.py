"""The names of segments: which of them are ours, of which generation, and which file each stands for.

A name is `rslint-<label>-<pid>-<generation>`. The generation is 64 random bits, so that a name is never made twice: a
name that was sent yesterday finds nothing today, instead of the segment of a process that was started since. The pid is
there for people who read `ls /dev/shm`; nothing is concluded from it, since another process may have it by now.
"""

from __future__ import annotations

import errno
import os
import re
import sys

__all__ = ["generation_of", "label_of", "new_segment_name", "pid_of", "segment_path", "segments_folder"]

_SEGMENTS_FOLDER = "/dev/shm"
_LONGEST_LABEL = 200  # a file's name has 255 bytes at most, and pid, generation and prefix take up to 40
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OUR_NAME = re.compile(
    r"rslint-(?:(?P<label>[A-Za-z0-9][A-Za-z0-9._-]*)-)?(?P<pid>[0-9]+)-(?P<generation>[0-9a-f]{16})"
)


def new_segment_name(label: str = "") -> str:
    """A name that no segment has had. Raises ValueError for a label that cannot be part of a file's name."""
    if label and (len(label) > _LONGEST_LABEL or _LABEL.fullmatch(label) is None):
        raise ValueError(
            f"the label of a segment is up to {_LONGEST_LABEL} letters, digits and . _ - and starts with a letter or a "
            f"digit, not {label!r}"
        )
    return "-".join(part for part in ("rslint", label, str(os.getpid()), os.urandom(8).hex()) if part)


def generation_of(name: str) -> str | None:
    """The generation in a name, None where the name is not of our making."""
    match = _OUR_NAME.fullmatch(name)
    return None if match is None else match["generation"]


def label_of(name: str) -> str:
    """The label in a name of ours, "" where there is none."""
    match = _OUR_NAME.fullmatch(name)
    return "" if match is None or match["label"] is None else match["label"]


def pid_of(name: str) -> int | None:
    """The pid in a name of ours: of the process that made it, which may have handed it over or be gone."""
    match = _OUR_NAME.fullmatch(name)
    return None if match is None else int(match["pid"])


def segments_folder() -> str:
    """The folder in which the system keeps POSIX shared memory.

    Raises:
        OSError: (ENOTSUP) where it keeps none in a folder: Windows and macOS. Nothing there tells which segments are
        left over, so these are not half supported.
    """
    if sys.platform == "win32" or not os.path.isdir(_SEGMENTS_FOLDER):
        raise OSError(
            errno.ENOTSUP,
            f"segments need POSIX shared memory in {_SEGMENTS_FOLDER} (Linux); on {sys.platform} use "
            "multiprocessing.shared_memory",
        )
    return _SEGMENTS_FOLDER


def segment_path(name: str) -> str:
    """The file of a segment; the leading slash that POSIX writes may be there. ValueError for what is no name."""
    plain = name.removeprefix("/")
    if not plain or "/" in plain or "\0" in plain or plain in (".", ".."):
        raise ValueError(f"{name!r} is not the name of a segment")
    return os.path.join(segments_folder(), plain)

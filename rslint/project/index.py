"""Builds the index of a project: its files' bytes, the words in them, the facts of every relevant file."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import msgspec

from rslint.project.extract import extract_facts
from rslint.project.facts import FileFacts
from rslint.project.parsing import parse, problem_of, without_cycle_collection
from rslint.project.project import Project
from rslint.project.scan import DEFAULT_MARKERS, base_names, defined_names, holds_marker, words_of
from rslint.project.source import Source, SourceFile, Unreadable, read_source

_CHUNK_BYTES = 1_000_000
_WORTH_A_PROCESS_BYTES = 3_000_000


@dataclass(frozen=True)
class Index:
    """What is known of a project before anything is resolved.

    `files`, `data` and `facts` (encoded `FileFacts`, of files with a marker) are keyed by module; `data`
    is the snapshot that every later step reads, so a file changed during the run cannot mix two versions.
    `words`, `defined` and `bases` map a word to the modules whose bytes hold it (after `def`, or in the
    parentheses of a class statement), sorted.
    """

    project: Project
    files: Mapping[str, SourceFile]
    data: Mapping[str, bytes]
    facts: Mapping[str, bytes]
    words: Mapping[bytes, Sequence[str]]
    defined: Mapping[bytes, Sequence[str]]
    bases: Mapping[bytes, Sequence[str]]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True)
class _Scanned:
    module: str
    words: bytes
    defined: bytes
    bases: bytes
    facts: bytes | None
    unreadable: Unreadable | None


def build_index(project: Project, jobs: int | None = None) -> Index:
    """Read, scan and index every file of the project; `jobs` processes, by default one for each usable
    CPU."""
    files: dict[str, SourceFile] = {}
    data: dict[str, bytes] = {}
    unreadable: list[Unreadable] = []
    for file in unique_modules(project.files):
        source = read_source(file, project.overrides.get(file.path))
        if isinstance(source, Unreadable):
            unreadable.append(source)
        else:
            files[file.module] = file
            data[file.module] = source.data
    markers = tuple(getattr(project.models, "markers", ()))
    words: dict[bytes, list[str]] = {}
    defined: dict[bytes, list[str]] = {}
    bases: dict[bytes, list[str]] = {}
    facts: dict[str, bytes] = {}
    for scanned in _scan_all([(files[module], data[module]) for module in files], markers, jobs):
        for table, found in ((words, scanned.words), (defined, scanned.defined), (bases, scanned.bases)):
            for word in found.split():
                table.setdefault(word, []).append(scanned.module)
        if scanned.facts is not None:
            facts[scanned.module] = scanned.facts
        if scanned.unreadable is not None:
            unreadable.append(scanned.unreadable)
    unreadable.sort(key=lambda problem: (str(problem.path), problem.row, problem.column))
    return Index(project, files, data, facts, words, defined, bases, tuple(unreadable))


def unique_modules(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files sorted by path; a module name that occurs again gets "#2", "#3" … and cannot be imported."""
    seen: dict[str, int] = {}
    unique: list[SourceFile] = []
    for file in sorted(files, key=lambda file: str(file.path)):
        count = seen[file.module] = seen.get(file.module, 0) + 1
        unique.append(file if count == 1 else replace(file, module=f"{file.module}#{count}"))
    return sorted(unique, key=lambda file: file.module)


def facts_of_source(source: Source) -> FileFacts | Unreadable:
    """Parse one source and extract its facts."""
    try:
        tree = parse(source.text)
    except SyntaxError as error:
        return Unreadable(source.file.path, *problem_of(error))
    return extract_facts(tree, source.file.module, source.file.is_package)


def check_syntax(source: Source) -> Unreadable | None:
    """Why a file that nothing else parsed cannot be parsed, or None."""
    try:
        parse(source.text)
    except SyntaxError as error:
        return Unreadable(source.file.path, *problem_of(error))
    return None


def _scan_all(
    work: Sequence[tuple[SourceFile, bytes]], markers: tuple[str, ...], jobs: int | None
) -> Iterator[_Scanned]:
    chunks = list(_chunks(work))
    processes = min(jobs or usable_cpus(), len(chunks))
    small = sum(len(data) for _, data in work) < _WORTH_A_PROCESS_BYTES
    if processes <= 1 or small or multiprocessing.current_process().daemon:
        for chunk in chunks:
            yield from _scan_chunk(chunk, markers)
        return
    with ProcessPoolExecutor(processes, mp_context=start_method()) as pool:
        for scanned in pool.map(_scan_chunk, chunks, [markers] * len(chunks)):
            yield from scanned


def start_method() -> multiprocessing.context.BaseContext:
    """Forking is cheap and safe while this process has one thread; a second one may hold a lock at the
    fork."""
    forkable = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if forkable else "spawn")


def usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunks(work: Sequence[tuple[SourceFile, bytes]]) -> Iterator[list[tuple[SourceFile, bytes]]]:
    chunk: list[tuple[SourceFile, bytes]] = []
    size = 0
    for file, data in work:
        chunk.append((file, data))
        size += len(data)
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _scan_chunk(chunk: Sequence[tuple[SourceFile, bytes]], markers: tuple[str, ...]) -> list[_Scanned]:
    with without_cycle_collection():
        return [_scan(file, data, markers or DEFAULT_MARKERS) for file, data in chunk]


def _scan(file: SourceFile, data: bytes, markers: Sequence[str]) -> _Scanned:
    facts: bytes | None = None
    unreadable: Unreadable | None = None
    words = b" ".join(words_of(data))
    if holds_marker(words, data, markers):
        source = read_source(file, data)
        result = source if isinstance(source, Unreadable) else facts_of_source(source)
        if isinstance(result, Unreadable):
            unreadable = result
        else:
            facts = msgspec.msgpack.encode(result)
    defined, bases = b" ".join(defined_names(data)), b" ".join(base_names(data))
    return _Scanned(file.module, words, defined, bases, facts, unreadable)

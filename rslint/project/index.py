"""Builds the index of a project: the bytes and words of its files, the facts and the IR of each."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import msgspec

from rslint.project.extract import extract_facts
from rslint.project.facts import base_names, called_names, defined_names
from rslint.project.ir import Function
from rslint.project.lower import lower_file
from rslint.project.parsing import parse, problem_of, without_cycle_collection
from rslint.project.project import Project
from rslint.project.scan import DEFAULT_MARKERS, any_marker, words_of
from rslint.project.scope_tree import file_scope
from rslint.project.source import SourceFile, Unreadable, read_source

_ENCODER = msgspec.msgpack.Encoder()
_FUNCTIONS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_CHUNK_BYTES = 1_000_000
_WORTH_A_PROCESS_BYTES = 3_000_000


@dataclass(frozen=True)
class Index:
    """What is known of a project before anything is resolved.

    `files`, `data`, `facts` (encoded `FileFacts`) and `lowered` (encoded functions by identity) are keyed by module.
    The last two hold the files that can be parsed, and nothing where no file of the project holds a marker: then
    syntax alone was checked. `data` is the snapshot that every later step reads, so a file changed during the run
    cannot mix two versions. `words` maps a word to the modules whose bytes hold it, `defined` a name to those that
    define such a function, `called` to those that call something of this name, `bases` to those in which a class may
    derive from a class of this name, all sorted.
    """

    project: Project
    files: Mapping[str, SourceFile]
    data: Mapping[str, bytes]
    facts: Mapping[str, bytes]
    lowered: Mapping[str, bytes]
    words: Mapping[str, Sequence[str]]
    defined: Mapping[str, Sequence[str]]
    called: Mapping[str, Sequence[str]]
    bases: Mapping[str, Sequence[str]]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True)
class _Scanned:
    module: str
    tables: tuple[str, str, str, str]
    facts: bytes | None
    lowered: bytes | None
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
    markers = tuple(getattr(project.models, "markers", ())) or DEFAULT_MARKERS
    marked = any_marker(data.values(), markers)
    words, defined, called, bases = [defaultdict[str, list[str]](list) for _ in range(4)]
    facts: dict[str, bytes] = {}
    lowered: dict[str, bytes] = {}
    with without_cycle_collection():
        for scanned in _scan_all([(files[module], data[module]) for module in files], marked, jobs):
            for table, found in zip((words, defined, called, bases), scanned.tables, strict=True):
                for word in found.split():
                    table[word].append(scanned.module)
            if scanned.facts is not None:
                facts[scanned.module] = scanned.facts
            if scanned.lowered is not None:
                lowered[scanned.module] = scanned.lowered
            if scanned.unreadable is not None:
                unreadable.append(scanned.unreadable)
    unreadable.sort(key=lambda problem: (str(problem.path), problem.row, problem.column))
    return Index(
        project,
        files,
        data,
        facts,
        lowered,
        words=dict(words),
        defined=dict(defined),
        called=dict(called),
        bases=dict(bases),
        unreadable=tuple(unreadable),
    )


def unique_modules(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files sorted by path; a module name that occurs again gets "#2", "#3" … and cannot be imported."""
    seen: dict[str, int] = {}
    unique: list[SourceFile] = []
    for file in sorted(files, key=lambda file: str(file.path)):
        count = seen[file.module] = seen.get(file.module, 0) + 1
        unique.append(file if count == 1 else replace(file, module=f"{file.module}#{count}"))
    return sorted(unique, key=lambda file: file.module)


def _scan_all(work: Sequence[tuple[SourceFile, bytes]], marked: bool, jobs: int | None) -> Iterator[_Scanned]:
    chunks = list(_chunks(work))
    processes = min(jobs or usable_cpus(), len(chunks))
    small = sum(len(data) for _, data in work) < _WORTH_A_PROCESS_BYTES
    if processes <= 1 or small or multiprocessing.current_process().daemon:
        for chunk in chunks:
            yield from _scan_chunk(chunk, marked)
        return
    with ProcessPoolExecutor(processes, mp_context=start_method()) as pool:
        for scanned in pool.map(_scan_chunk, chunks, [marked] * len(chunks)):
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


def _scan_chunk(chunk: Sequence[tuple[SourceFile, bytes]], marked: bool) -> list[_Scanned]:
    with without_cycle_collection():
        return [_scan(file, data, marked) for file, data in chunk]


def _scan(file: SourceFile, data: bytes, marked: bool) -> _Scanned:
    nothing = ("", "", "", "")
    source = read_source(file, data)
    if isinstance(source, Unreadable):
        return _Scanned(file.module, nothing, None, None, source)
    try:
        tree = parse(source.text)
    except SyntaxError as error:
        return _Scanned(file.module, nothing, None, None, Unreadable(file.path, *problem_of(error)))
    if not marked:
        return _Scanned(file.module, nothing, None, None, None)
    scope = file_scope(tree, file.module)
    facts = extract_facts(scope, file.is_package)
    lowered = encode_functions(lower_file(scope, file.is_package))
    tables = (
        words_of(data).decode(errors="replace"),
        " ".join(defined_names(facts)),
        " ".join(called_names(facts)),
        " ".join(base_names(facts)),
    )
    return _Scanned(file.module, tables, _ENCODER.encode(facts), lowered, None)


def encode_functions(functions: Mapping[str, Function]) -> bytes:
    """Functions by identity; each is decoded on its own (`decode_functions`), when it is asked for."""
    return _ENCODER.encode(functions)


def decode_functions(encoded: bytes) -> Mapping[str, msgspec.Raw]:
    """The encoded functions of one module by identity."""
    return _FUNCTIONS.decode(encoded)

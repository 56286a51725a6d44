"""The parts of the field reproductions, on packages made up here; the bugs themselves need the network."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.field.loading import StandInCalled, load
from benchmarks.field.releases import FetchError, Release, tree, unpack

ROOT = Path(__file__).parents[2]


def wheel(place: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return place


def source_archive(place: Path, members: dict[str, str]) -> Path:
    with tarfile.open(place, "w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return place


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- fetching


def test_only_python_files_of_a_wheel_are_kept(tmp_path: Path) -> None:
    archive = wheel(tmp_path / "a.whl", {"pkg/a.py": "A = 1", "pkg/a.so": "", "pkg-1.dist-info/METADATA": ""})
    assert unpack(archive, tmp_path / "tree") == 1
    assert files(tmp_path / "tree") == ["pkg/a.py"]
    assert (tmp_path / "tree/pkg/a.py").read_text() == "A = 1"


def test_the_folder_around_a_source_archive_is_left_out(tmp_path: Path) -> None:
    archive = source_archive(tmp_path / "a.tar.gz", {"pkg-f00/pkg/a.py": "", "pkg-f00/README": ""})
    assert unpack(archive, tmp_path / "tree") == 1
    assert files(tmp_path / "tree") == ["pkg/a.py"]


@pytest.mark.parametrize("name", ["../out.py", "pkg/../../out.py", "/out.py", "..\\out.py", "c:/out.py"])
@pytest.mark.parametrize("kind", ["wheel", "source"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    members = {"top/first.py": "", (name if kind == "wheel" else f"top/{name}"): ""}
    make = wheel if kind == "wheel" else source_archive
    archive = make(tmp_path / ("a.whl" if kind == "wheel" else "a.tar.gz"), members)
    with pytest.raises(FetchError, match="leads out of the folder"):
        unpack(archive, tmp_path / "inner" / "tree")
    assert files(tmp_path) == [archive.name]


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_a_damaged_archive_is_said_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"half an archive")
    with pytest.raises(FetchError, match=f"{name}: cannot be unpacked"):
        unpack(tmp_path / name, tmp_path / "tree")
    assert files(tmp_path) == [name]


def test_a_link_inside_a_source_archive_is_not_followed(tmp_path: Path) -> None:
    place = source_archive(tmp_path / "a.tar.gz", {"top/a.py": ""})
    with tarfile.open(place, "w:gz") as archive:
        member = tarfile.TarInfo("top/link.py")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    assert unpack(place, tmp_path / "tree") == 0


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that stands for the package index; there is no other."""
    pytest.importorskip("pip")
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_release_is_fetched_once(index: Path, tmp_path: Path) -> None:
    described = "Metadata-Version: 2.1\nName: madeup\nVersion: 1.0\n"
    tagged = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {
        "madeup/a.py": "A = 1",
        "madeup-1.0.dist-info/METADATA": described,
        "madeup-1.0.dist-info/WHEEL": tagged,
        "madeup-1.0.dist-info/RECORD": "",
    }
    offered = wheel(index / "madeup-1.0-py3-none-any.whl", members)
    cache = tmp_path / "cache"

    fetched = tree(Release("madeup", "1.0"), cache)
    offered.unlink()

    assert fetched == cache / "madeup-1.0"
    assert files(cache) == ["madeup-1.0/madeup/a.py"]
    assert tree(Release("madeup", "1.0"), cache) == fetched


def test_a_release_that_is_not_there_is_one_line(index: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"^madeup 2\.0: pip download failed: [^\n]+$"):
        tree(Release("madeup", "2.0"), tmp_path / "cache")
    assert files(tmp_path / "cache") == []


# --- loading


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A tree of one package, whose __init__ must not run; what is loaded from it is forgotten afterwards."""
    package = tmp_path / "released" / "serving"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('all of the package was imported')\n")
    (package / "clock.py").write_text("TICKS = 7\n")
    (package / "cache.py").write_text(
        "import native_kernels\n"
        "from serving import clock, telemetry\n"
        "from serving.pools import Kind, Pool\n"
        "from serving.devices import current_device\n"
        "DEVICE = current_device()\n"
        "class Cache(Pool):\n"
        "    kind: Pool | None = None\n"
        "    kinds: dict[str, Pool[int]] = {Kind.DENSE: None}\n"
        "    def get(self):\n"
        "        return clock.TICKS\n"
        "    def careless(self):\n"
        "        try:\n"
        "            return telemetry.count('gets')\n"
        "        except Exception:\n"
        "            return 'the failure was handled'\n"
    )
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    known = set(sys.modules)
    yield package.parent
    for name in set(sys.modules) - known:
        del sys.modules[name]


GIVEN = {"serving.devices": {"current_device": lambda: "cpu"}}


def cache(released: Path) -> Any:
    module = load(str(released), "serving.cache", "serving.clock", absent=("native_kernels",), given=GIVEN)
    return module.Cache()


def test_named_modules_run_as_released_and_given_names_answer(released: Path) -> None:
    loaded = cache(released)
    assert loaded.get() == 7
    module = sys.modules["serving.cache"]
    assert (module.__file__, vars(module)["DEVICE"]) == (str(released / "serving" / "cache.py"), "cpu")


def test_calling_a_stand_in_names_it_and_is_not_taken_for_a_failure(released: Path) -> None:
    with pytest.raises(StandInCalled, match=r"serving\.telemetry\.count is a stand-in and was called"):
        cache(released).careless()


def test_an_instance_has_no_names_but_its_own(released: Path) -> None:
    loaded = cache(released)
    assert isinstance(loaded, sys.modules["serving.pools"].Pool)
    assert not hasattr(loaded, "size")
    assert not hasattr(type(loaded), "size")


def test_a_module_that_the_tree_lacks_is_an_error(released: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"has no module serving\.gone"):
        load(str(released), "serving.gone")


def test_what_is_neither_installed_nor_named_as_absent_is_an_error(released: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="native_kernels"):
        load(str(released), "serving.cache", given=GIVEN)


# --- runs

RELEASE = """import torch.distributed as dist
from lookups.clients import count

def lookup(client, rank):
    found = None
    try:
        if rank == 0:
            found = [client.ask()]
        else:
            found = [None]
        dist.broadcast_object_list(found, src=0)
    except ConnectionError:
        return None
    return found[0]

def careless(client, rank):
    return count(client)
"""
REPAIRED = RELEASE.replace("[client.ask()]", "[ask(client)]") + (
    "\ndef ask(client):\n    try:\n        return client.ask()\n    except ConnectionError:\n        return 'nothing'\n"
)


class Client:
    def ask(self) -> str:
        return "answer"


def looks_up(rank: int, world_size: int, tree: str, folder: str) -> Any:
    return load(tree, "lookups.table").lookup(Client(), rank)


def needs_a_stand_in(rank: int, world_size: int, tree: str, folder: str) -> Any:
    return load(tree, "lookups.table").careless(Client(), rank)


@pytest.fixture
def lookups(tmp_path: Path) -> Path:
    """Two releases of a package: in 1.0 rank 0's client may skip the broadcast, in 1.1 not."""
    pytest.importorskip("torch")
    for version, text in (("1.0", RELEASE), ("1.1", REPAIRED)):
        package = tmp_path / f"lookups-{version}" / "lookups"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "table.py").write_text(text)
    return tmp_path


def bug(**fields: Any) -> Any:
    from rslint_runtime.testing import Fault

    from benchmarks.field.bugs import Bug

    whole: dict[str, Any] = {
        "name": "lookups-1",
        "reference": "none",
        "buggy": Release("lookups", "1.0"),
        "module": "lookups/table.py",
        "program": looks_up,
        "faults": (Fault(rank=0, target="Client.ask", raises=ConnectionError),),
        "sound": "completed, all return 'answer'",
        "fixed": Release("lookups", "1.1"),
        "repaired_by_release": "completed, all return 'nothing'",
        **fields,
    }
    return Bug(**whole)


def endings(case: Any, cache: Path) -> list[tuple[str, str, bool]]:
    from benchmarks.field.bugs import trials

    runs = trials(case, lambda release: tree(release, cache))
    return [(trial.what, trial.observed, trial.as_expected) for trial in runs]


def test_a_bug_is_sound_without_the_fault_hangs_with_it_and_is_repaired(lookups: Path) -> None:
    assert endings(bug(), lookups) == [
        ("lookups 1.0 without the fault", "completed, all return 'answer'", True),
        ("lookups 1.0", "deadlock in lookups/table.py", True),
        ("lookups 1.1", "completed, all return 'nothing'", True),
    ]


def test_rslint_repairs_a_copy(lookups: Path) -> None:
    case = bug(fixed=None, rslint_fix=("--fix",), repaired_by_rslint="completed")
    *_, sound, repaired = endings(case, lookups)
    assert sound[1:] == ("completed, all return 'answer'", True)
    assert repaired == ("lookups 1.0 after rslint --fix", "completed", True)
    assert (lookups / "lookups-1.0/lookups/table.py").read_text() == RELEASE


def test_a_fix_that_changes_nothing_is_an_error(lookups: Path) -> None:
    from benchmarks.field.bugs import RepairError, repaired

    case = bug(buggy=Release("lookups", "1.1"), rslint_fix=("--fix",))
    scratch = lookups / "scratch"
    scratch.mkdir()
    with pytest.raises(RepairError, match=r"rslint changed nothing in lookups/table\.py"):
        repaired(case, lookups / "lookups-1.1", scratch)


def test_a_fault_that_never_comes_is_not_taken_for_soundness(lookups: Path) -> None:
    from rslint_runtime.testing import Fault

    case = bug(faults=(Fault(rank=1, target="Client.ask"),))
    _, broken, _ = endings(case, lookups)
    assert broken[1:] == ("completed, and the fault never came", False)


def test_a_stand_in_that_is_called_is_not_taken_for_a_failure(lookups: Path) -> None:
    case = bug(program=needs_a_stand_in, faults=(), fixed=None, broken="failed: rank 0 StandInCalled")
    ((_, ending, as_expected),) = endings(case, lookups)
    assert (ending, as_expected) == ("failed, but a stand-in was called", False)


# --- the command


def command(*arguments: str) -> int:
    pytest.importorskip("torch")
    main = importlib.import_module("benchmarks.field.__main__").main
    return int(main(list(arguments)))


def test_an_unknown_bug_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command("lookups-1")
    assert "'lookups-1': no such bug; there are composer-3345, " in capsys.readouterr().err


def test_a_tree_that_cannot_be_fetched_is_one_line_and_exit_1(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("composer-3345", "--cache", str(tmp_path / "cache")) == 1
    assert re.fullmatch(
        r"error: composer-3345: composer 0\.22\.0: pip download failed: .+\n", capsys.readouterr().err
    )


def test_every_bug_has_a_row_in_the_readme() -> None:
    pytest.importorskip("torch")
    from benchmarks.field.__main__ import bugs

    measured = (ROOT / "benchmarks" / "field" / "README.md").read_text()
    rows = {line.split("|")[1].strip() for line in measured.splitlines() if line.startswith("| ")}
    known = bugs()
    assert set(known) <= rows
    for case in known.values():
        fixes = [str(case.buggy), str(case.fixed)] if case.fixed else [str(case.buggy)]
        assert all(f"| {case.name} | {release} |" in measured for release in fixes)


def test_scripts_import_nothing_of_the_projects(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    known = importlib.import_module("benchmarks.field.__main__").bugs()
    for case in known.values():
        assert case.module.partition("/")[0] not in sys.modules

"""Which calls a sweep makes fail, and with what: observed in this process, with and without rslint's models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from rslint_runtime.testing import call_knowledge, call_watch, observed_calls
from rslint_runtime.testing.faults import Setting
from rslint_runtime.testing.observed_calls import Observation, ObservedCall
from rslint_runtime.testing.sweep_trials import Trial, trials_of

Observe = Callable[[str], tuple[ObservedCall, ...]]


@pytest.fixture
def observe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Observe:
    """Runs a program's `main` and gives back the calls that were noted."""

    def observed(source: str) -> tuple[ObservedCall, ...]:
        path = tmp_path / "program.py"
        path.write_text(source, encoding="utf-8")
        module = ModuleType("program")
        monkeypatch.setitem(sys.modules, "program", module)
        exec(compile(source, str(path), "exec"), module.__dict__)
        Observation(str(tmp_path), (str(tmp_path),), 1).install(Setting(module, 0, lambda: None))
        try:
            module.main()
        finally:
            call_watch.stop()
        return observed_calls.read(str(tmp_path))

    return observed


@pytest.fixture
def tried(observe: Observe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Trial]]:
    """The trials of a program, by what the runtime itself knows: rslint need not be installed."""
    monkeypatch.setattr("rslint_runtime.testing.sweep_trials.rslint_models", lambda: None)
    monkeypatch.chdir(tmp_path)
    return lambda source: list(trials_of(observe(source), tmp_path))


@pytest.mark.parametrize(
    ("call", "target", "raised", "kind"),
    [
        ("open(os.devnull)", "builtins.open", "OSError", "file"),
        ("open(os.devnull).read()", "io.TextIOWrapper.read", "OSError", "file"),
        ("os.stat(os.devnull)", "os.stat", "OSError", "file"),
        ("pathlib.Path(os.devnull).touch()", "pathlib.Path.touch", "OSError", "file"),
        ("tempfile.mkdtemp(dir=FOLDER)", "tempfile.mkdtemp", "OSError", "file"),
        ("subprocess.run(['true'])", "subprocess.run", "OSError", "process"),
        (
            "socket.create_server(('127.0.0.1', 0)).close()",
            "socket.create_server",
            "ConnectionError",
            "network",
        ),
        (
            "urllib.request.urlopen('file:///dev/null')",
            "urllib.request.urlopen",
            "urllib.error.URLError",
            "network",
        ),
        ("json.loads('1')", "json.loads", "JSONDecodeError", "parsing"),
        ("pickle.loads(pickle.dumps(1))", "pickle.loads", "pickle.UnpicklingError", "parsing"),
        (
            "done().result(timeout=1)",
            "concurrent.futures.Future.result",
            "concurrent.futures.TimeoutError",
            "timeout",
        ),
        ("filled().get(timeout=1)", "queue.Queue.get", "queue.Empty", "timeout"),
    ],
)
def test_what_is_raised_fits_the_call(
    tried: Callable[[str], list[Trial]], tmp_path: Path, call: str, target: str, raised: str, kind: str
) -> None:
    trials = tried(program(call, tmp_path))
    assert target in [trial.fault.target for trial in trials]
    trial = next(trial for trial in trials if trial.fault.target == target)
    given = trial.fault.raises
    assert (given if isinstance(given, str) else type(given).__name__, trial.reason.kind) == (raised, kind)
    assert trial.place == "program.py:16"


@pytest.mark.parametrize(
    "call",
    [
        "'a'.upper()",
        "len([])",
        "print(end='')",
        "os.getpid()",
        "os.path.join('a', 'b')",
        "(pathlib.Path('a') / 'b').exists()",
        "json.dumps({})",
        "time.monotonic()",
        "logging.getLogger('a').debug('b')",
        "threading.Lock().acquire()",
        "done().result()",
        "filled().get()",
        "re.compile('a').match('a')",
        "Point(1)",
    ],
)
def test_what_fails_nowhere_or_everywhere_is_not_tried(
    tried: Callable[[str], list[Trial]], tmp_path: Path, call: str
) -> None:
    assert tried(program(call, tmp_path)) == []


def program(call: str, folder: Path) -> str:
    return (
        "import concurrent.futures, dataclasses, json, logging, os, pathlib, pickle, queue, re, socket, subprocess\n"
        "import tempfile, threading, time, urllib.request\n"
        f"FOLDER = {str(folder)!r}\n"
        "def done():\n"
        "    future = concurrent.futures.Future()\n"
        "    future.set_result(1)\n"
        "    return future\n"
        "def filled():\n"
        "    items = queue.Queue()\n"
        "    items.put(1)\n"
        "    return items\n"
        "@dataclasses.dataclass\n"
        "class Point:\n"
        "    x: int\n"
        "def main():\n"
        f"    {call}\n"
    )


# --- how a call's place is named


def stats(file: str) -> ObservedCall:
    place = (f"{file}:1",)
    return ObservedCall(0, file, 1, "os.stat", "stat", 1, False, "", False, (), place)


@pytest.mark.parametrize(
    ("folder", "place", "at"),
    [
        ("project", "package/a.py:1", "package/a.py:1"),
        ("project/package", "a.py:1", "a.py:1"),
        # This is no end of the file's path: a fault has it from the project's folder.
        ("other", "../project/package/a.py:1", "package/a.py:1"),
    ],
)
def test_a_file_is_named_from_the_working_directory_where_that_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, place: str, at: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    (trial,) = trials_of([stats(f"{tmp_path}/project/package/a.py")], tmp_path / "project")
    assert (trial.place, trial.fault.at) == (place, at)


def test_a_file_is_named_in_full_where_the_way_to_it_is_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (trial,) = trials_of([stats("/a.py")], tmp_path)
    assert (trial.place, trial.fault.at) == ("/a.py:1", "/a.py:1")


def test_a_fault_names_a_file_by_an_end_of_its_path_that_no_other_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [f"{tmp_path}/project/__init__.py", f"{tmp_path}/project/package/__init__.py"]
    (tmp_path / "project" / "package").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "package")
    trials = trials_of([stats(file) for file in files], tmp_path / "project")
    assert [trial.fault.at for trial in trials] == [f"{files[0]}:1", "package/__init__.py:1"]
    assert [trial.place for trial in trials] == ["../__init__.py:1", "__init__.py:1"]


# --- the program's own functions


def test_a_client_that_calls_nothing_in_this_run_fails_itself(tried: Callable[[str], list[Trial]]) -> None:
    trials = tried(
        "class IndexClient:\n  def ask(self): return 1\n  def is_open(self): return True\n"
        "def plain(): return 1\n"
        "def main():\n  client = IndexClient()\n  client.is_open()\n  plain()\n  client.ask()\n"
    )
    assert [(trial.fault.target, trial.fault.raises, trial.reason.kind) for trial in trials] == [
        ("IndexClient.ask", "ConnectionError", "remote by its name")
    ]


def test_a_function_that_holds_a_call_it_does_not_come_to_fails_itself(
    tried: Callable[[str], list[Trial]],
) -> None:
    (trial,) = tried(
        "import urllib.request\n"
        "def rate(url=None):\n  if url is None: return 1\n  return urllib.request.urlopen(url).read()\n"
        "def main():\n  rate()\n"
    )
    assert (trial.fault.target, trial.fault.raises, trial.place) == (
        "rate",
        "urllib.error.URLError",
        "program.py:6",
    )


def test_a_failure_is_tried_where_it_begins(tried: Callable[[str], list[Trial]]) -> None:
    """What stands around the call inside the client, handlers too, counts."""
    (trial,) = tried(
        "import os\n"
        "class DiskClient:\n  def size(self):\n    try: return os.stat('/').st_size\n    except OSError: return 0\n"
        "def main():\n  DiskClient().size()\n"
    )[:1]
    assert (trial.fault.target, trial.place) == ("os.stat", "program.py:4")


def test_likeliest_failures_come_first(tried: Callable[[str], list[Trial]]) -> None:
    trials = tried(
        "import json, os, socket\n"
        "def main():\n  json.loads('1')\n  os.stat('/')\n  socket.create_server(('127.0.0.1', 0)).close()\n"
    )
    assert [trial.fault.target for trial in trials] == ["socket.create_server", "os.stat", "json.loads"]


def test_a_library_that_nothing_is_known_about_may_raise(
    tried: Callable[[str], list[Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = ModuleType("unheard_of")
    exec("def mix(): return 1", library.__dict__)
    monkeypatch.setitem(sys.modules, "unheard_of", library)
    # Compiled from a text it has no file; it is given one where libraries are installed.
    library.mix.__code__ = library.mix.__code__.replace(co_filename="/usr/lib/site-packages/unheard_of.py")
    (trial,) = tried("import unheard_of\ndef main():\n  unheard_of.mix()\n")
    assert (trial.fault.target, trial.fault.raises) == ("unheard_of.mix", "RuntimeError")


def test_rslints_models_are_asked_where_it_is_installed(observe: Observe) -> None:
    models = call_knowledge.rslint_models()
    if models is None:
        pytest.skip("rslint is not installed")
    calls = observe(
        "class TransferEngine:\n  def transfer(self): pass\ndef main():\n  TransferEngine().transfer()\n"
    )
    call = next(call for call in calls if call.qualname == "TransferEngine.transfer")
    assert call_knowledge.reason_of(call) is None
    reason = call_knowledge.reason_of(call, models)
    assert reason is not None
    assert (reason.kind, reason.raised) == ("native", "RuntimeError")


# --- what is noted


def test_the_chain_leads_from_the_call_to_where_the_program_began(observe: Observe) -> None:
    calls = observe(
        "import os\ndef inner():\n  os.stat('/')\ndef outer():\n  inner()\ndef main():\n  outer()\n"
    )
    (call,) = [call for call in calls if call.callee == "os.stat"]
    assert [int(place.rpartition(":")[2]) for place in call.chain] == [3, 5, 7]


def test_the_project_is_the_nearest_folder_with_a_mark(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "package"
    inner.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    assert observed_calls.project_of(inner / "program.py") == tmp_path / "project"

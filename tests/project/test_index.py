"""The index: what is parsed, what is found unreadable, and that nothing depends on order or hashing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rslint.project.extract import extract_facts
from rslint.project.facts import FileFacts
from rslint.project.index import build_index, unique_modules
from rslint.project.links import Links
from rslint.project.parsing import parse
from rslint.project.scope_tree import file_scope
from rslint.project.source import SourceFile
from tests.project.building import calls_in, links_of, project_of

FILES = {
    "pkg/__init__.py": "from .comm import reduce\n",
    "pkg/comm.py": "import torch.distributed as dist\ndef reduce(x): dist.all_reduce(x)\n",
    "pkg/plain.py": "class Plain:\n    def go(self): self.step()\n    def step(self): pass\n",
    "pkg/child.py": "from pkg.plain import Plain as P\nclass Child(P):\n    def step(self): reduce(1)\n",
    "pkg/uses.py": (
        "from pkg import reduce\nimport pkg.plain\n"
        "def main(p: pkg.plain.Plain):\n    reduce(2)\n    p.step()\n"
    ),
    "pkg/broken.py": "def f(:\n",
    "pkg/broken_with_marker.py": "import torch.distributed\nx = (\n",
}


def test_every_file_is_known_where_one_holds_a_marker(tmp_path: Path) -> None:
    index = build_index(project_of(tmp_path, FILES, ("torch.distributed",)))
    assert (
        list(index.facts) == list(index.lowered) == ["pkg", "pkg.child", "pkg.comm", "pkg.plain", "pkg.uses"]
    )
    assert [(problem.path.name, problem.row) for problem in index.unreadable] == [
        ("broken.py", 1),
        ("broken_with_marker.py", 2),
    ]


def test_without_a_marker_syntax_alone_is_checked(tmp_path: Path) -> None:
    index = build_index(project_of(tmp_path, FILES, ("no file holds this",)))
    assert not index.facts
    assert not index.lowered
    assert not index.words
    assert [problem.path.name for problem in index.unreadable] == ["broken.py", "broken_with_marker.py"]


def test_calls_are_resolved_from_file_to_file(tmp_path: Path) -> None:
    links = Links(build_index(project_of(tmp_path, FILES, ("torch.distributed",))))
    step = [links.resolve("pkg.uses:main", call) for call in calls_in(links, "pkg.uses:main")][1]
    assert step.functions == ("pkg.child:Child.step", "pkg.plain:Plain.step")
    assert links.calling("reduce") == ("pkg.child:Child.step", "pkg.uses:main")


def test_a_marker_may_be_a_part_of_a_word(tmp_path: Path) -> None:
    files = {"a.py": "device_group = 1\n", "b.py": "device = 1\n"}
    assert list(build_index(project_of(tmp_path, files, ("_group",))).facts) == ["a", "b"]
    assert not build_index(project_of(tmp_path, files, ("_groups",))).facts


def test_two_files_of_one_module_name_are_both_known(tmp_path: Path) -> None:
    files = [SourceFile(tmp_path / folder / "m.py", "m", False) for folder in ("b", "a", "c")]
    unique = [(file.path.parent.name, file.module) for file in unique_modules(files)]
    assert unique == [("a", "m"), ("b", "m#2"), ("c", "m#3")]


def test_overrides_replace_what_is_on_disk(tmp_path: Path) -> None:
    project = project_of(tmp_path, {"m.py": "def old(): pass\n"}, ("",))
    project.overrides[tmp_path / "m.py"] = b"def new(): pass\n"
    links = Links(build_index(project))
    assert links.function_ids == ("m:", "m:new")
    assert links.ir("m:new").name == "new"


def test_a_file_changed_after_indexing_is_read_as_it_was(tmp_path: Path) -> None:
    links = links_of(tmp_path, {"m.py": "def f(): return 1\n"})
    (tmp_path / "m.py").write_text("broken (\n")
    assert links.ir("m:f").name == "f"


@pytest.mark.parametrize(
    ("data", "row", "reason"),
    [
        (b"x = (\n", 1, "never closed"),
        (b"\n\0", 2, "null bytes"),
        (b"x = " + b"-" * 20_000 + b"1\n", 1, "nested too deeply"),
    ],
)
def test_what_cannot_be_parsed_is_said(tmp_path: Path, data: bytes, row: int, reason: str) -> None:
    project = project_of(tmp_path, {"m.py": ""})
    (tmp_path / "m.py").write_bytes(data)
    (problem,) = build_index(project).unreadable
    assert (problem.row, reason in problem.reason) == (row, True)


def test_a_generated_file_of_five_megabytes_is_indexed(tmp_path: Path) -> None:
    rows = "".join(f"TABLE_{i} = [{i}, 'x' * {i}]\n" for i in range(150_000))
    text = "import torch.distributed as dist\n" + rows + "def f(): dist.barrier()\n"
    assert len(text) > 5_000_000
    assert links_of(tmp_path, {"m.py": text}).calling("barrier") == ("m:f",)


def test_processes_and_one_process_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rslint.project.index._WORTH_A_PROCESS_BYTES", 0)
    monkeypatch.setattr("rslint.project.index._CHUNK_BYTES", 1)
    project = project_of(tmp_path, FILES, ("",))
    assert build_index(project, jobs=2) == build_index(project, jobs=1)


def test_patterns_that_hold_plain_values_are_no_nodes(tmp_path: Path) -> None:
    text = "def f(x):\n    match x:\n        case True | None: g()\n        case {'a': False}: h()\n"
    assert links_of(tmp_path, {"m.py": text}).calling("h") == ("m:f",)


def test_facts_survive_serialisation(tmp_path: Path) -> None:
    for text in FILES.values():
        try:
            facts = extract_facts(file_scope(parse(text), "m"), False)
        except SyntaxError:
            continue
        assert msgspec.msgpack.Decoder(FileFacts).decode(msgspec.msgpack.encode(facts)) == facts


SERIALISED = """
import sys
from pathlib import Path
from rslint.project.index import build_index
from rslint.project.links import Links
from tests.project.building import calls_in, project_of
from tests.project.test_index import FILES

reverse = sys.argv[2] == "reverse"
links = Links(build_index(project_of(Path(sys.argv[1]), FILES, ("torch.distributed", "reduce"), reverse)))
answers = {}
functions = list(links.function_ids)
for function in reversed(functions) if reverse else functions:
    answers[function] = [repr(links.resolve(function, call)) for call in calls_in(links, function)]
for name in ("reduce", "step", "dist"):
    answers[name] = [links.calling(name), links.mentioning(name), links.storing(name)]
answers["below"] = links.subclasses("pkg.plain:Plain")
print(sorted(answers.items()), links.index.unreadable)
"""


def test_answers_depend_neither_on_order_nor_on_hashing(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    found = set()
    for seed, order in (("1", "forward"), ("2", "reverse"), ("77", "forward")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", SERIALISED, str(tmp_path), order]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
    assert "pkg.child:Child.step" in found.pop()

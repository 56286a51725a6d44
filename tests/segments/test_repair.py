"""The repairs of RS303 and RS302: what they make of a file, and where they keep their hands off."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_rules.segments.repair import unlink_on_error
from rslint_rules.segments.untracked import attached

from rslint import cli
from rslint.finding import Confidence, Finding, Place, Severity
from rslint.project.source import Source, SourceFile


def source_of(text: str) -> Source:
    return Source(SourceFile(Path("/p/m.py"), "m", False), text.encode(), text, "utf-8")


def repaired(text: str, made: int, raising: tuple[int, ...], holder: str = "shm") -> str | None:
    """The text after the repair of a segment made on one row, with calls that may raise on others."""
    places = [Place("/p/m.py", row, 1, row, 2) for row in (made, *raising)]
    finding = Finding("RS303", "n", Severity.WARNING, Confidence.HIGH, "m", places[0], "f", (made, made))
    source = source_of(text)
    fix = unlink_on_error(source, finding, holder, places[1:])
    if fix is None:
        return None
    (edit,) = fix.edits
    rows = text.splitlines(keepends=True)
    end = "\n" if rows[edit.place.end_row - 1].endswith("\n") else ""
    return "".join([*rows[: edit.place.row - 1], edit.content + end, *rows[edit.place.end_row :]])


def test_what_may_raise_goes_into_a_try() -> None:
    before = """\
        def f(data):
            shm = SharedMemory(create=True, size=8)
            view = shm.buf  # all of it

            copy(view, data)
            return shm
        """
    after = """\
        def f(data):
            shm = SharedMemory(create=True, size=8)
            try:
                view = shm.buf  # all of it

                copy(view, data)
            except BaseException:
                shm.unlink()
                raise
            return shm
        """
    assert repaired(textwrap.dedent(before), 2, (5,)) == textwrap.dedent(after)


def test_tabs_stay_tabs() -> None:
    assert repaired("def f():\n\tshm = make()\n\tcopy(shm)\n", 2, (3,)) == (
        "def f():\n\tshm = make()\n\ttry:\n\t\tcopy(shm)\n\texcept BaseException:\n\t\tshm.unlink()\n\t\traise\n"
    )


@pytest.mark.parametrize(
    ("body", "raising"),
    [
        ('shm = make()\n    text = """one\n    two"""\n    copy(shm)', 5),
        ("shm = make()\n    yield copy(shm)", 3),
        ("shm = make(); copy(shm)", 2),
        ("shm = make()\n    copy(shm); other()\n    pass", 3),
    ],
    ids=["a text of several rows", "a generator", "two statements on the row", "half a row"],
)
def test_what_cannot_be_indented_is_left_alone(body: str, raising: int) -> None:
    assert repaired(f"def f():\n    {body}\n", 2, (raising,)) is None


def test_a_raise_in_another_block_is_left_alone() -> None:
    text = "def f():\n    if a:\n        shm = make()\n    copy(shm)\n"
    assert repaired(text, 3, (4,)) is None


@given(
    st.lists(
        st.sampled_from(
            [
                "copy(shm)",
                "x = 1",
                "# a comment",
                "",
                "if x:\n    copy(shm)",
                "s = 'a\\\nb'",
                "call(\n  shm,\n)",
            ]
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_repaired_function_parses_and_says_the_same_outside_of_its_handler(lines: list[str]) -> None:
    body = textwrap.indent("\n".join(["shm = make()", *lines, "copy(shm)", "return shm"]), "    ")
    text = f"def f(x):\n{body}\n"
    made = 2
    last = len(text.splitlines()) - 1
    after = repaired(text, made, (last,))
    if after is None:
        return
    (before_function,), (after_function,) = ast.parse(text).body, ast.parse(after).body
    assert isinstance(before_function, ast.FunctionDef)
    assert isinstance(after_function, ast.FunctionDef)
    (wrapped,) = [s for s in after_function.body if isinstance(s, ast.Try)]
    unwrapped = [*after_function.body[:1], *wrapped.body, *after_function.body[2:]]
    assert [ast.dump(s) for s in unwrapped] == [ast.dump(s) for s in before_function.body]


ATTACH = """\
import os
from multiprocessing.shared_memory import SharedMemory

RANK = os.environ["LOCAL_RANK"]


def table(name):
    try:
        return SharedMemory(name, True, 8)
    except FileExistsError:
        return SharedMemory(name{0})
"""


def checked(folder: Path, pyproject: str, *options: str) -> list[dict[str, Any]]:
    (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        cli.main(["check", "--select", "RS302", "--output-format", "json", *options, str(folder)])
    findings: list[dict[str, Any]] = json.loads(output.getvalue())
    return findings


@pytest.mark.parametrize(
    ("pyproject", "applicability"),
    [
        ('[tool.rslint]\ntarget-version = "3.13"\n', "safe"),
        ('[tool.rslint]\ntarget-version = "py314"\n', "safe"),
        ('[tool.rslint]\ntarget-version = "3.12"\n', "display"),
        ('[project]\nname = "p"\nrequires-python = ">=3.13"\n[tool.rslint]\n', "safe"),
        ('[project]\nname = "p"\nrequires-python = ">=3.10,<4"\n[tool.rslint]\n', "display"),
        (
            '[project]\nname = "p"\nrequires-python = ">=3.14"\n[tool.rslint]\ntarget-version = "3.12"\n',
            "display",
        ),
        ("[tool.rslint]\n", "display"),
    ],
)
def test_an_untracked_attach_is_safe_where_every_python_knows_it(
    tmp_path: Path, pyproject: str, applicability: str
) -> None:
    (tmp_path / "m.py").write_text(ATTACH.format(""), encoding="utf-8")
    (finding,) = checked(tmp_path, pyproject)
    assert finding["fix"]["applicability"] == applicability


def test_an_untracked_attach_is_written_behind_the_last_argument_once(tmp_path: Path) -> None:
    program = tmp_path / "m.py"
    program.write_text(ATTACH.format(""), encoding="utf-8")
    for _ in range(2):
        assert checked(tmp_path, '[tool.rslint]\ntarget-version = "3.13"\n', "--fix") == []
        assert program.read_text(encoding="utf-8") == ATTACH.format(", track=False")


# --- in the style of the runtime

RUNTIME = '[tool.rslint]\nfix-style = "runtime"\n'


def attached_in(folder: Path, text: str, pyproject: str = RUNTIME) -> str:
    """What the repair makes of a module."""
    program = folder / "m.py"
    program.write_text(text, encoding="utf-8")
    checked(folder, pyproject, "--fix", "--unsafe-fixes")
    return program.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from multiprocessing.shared_memory import SharedMemory", "SharedMemory(name)"),
        ("from multiprocessing.shared_memory import SharedMemory", "SharedMemory(name=name)"),
        ("from multiprocessing.shared_memory import SharedMemory", "SharedMemory(name, False, 0)"),
        (
            "from multiprocessing.shared_memory import SharedMemory",
            "SharedMemory(size=8, create=False, name=name)",
        ),
        (
            "from multiprocessing.shared_memory import SharedMemory",
            "SharedMemory(\n            name,\n        )",
        ),
        ("from multiprocessing.shared_memory import SharedMemory as Shm", "Shm(name)"),
        ("from multiprocessing import shared_memory", "shared_memory.SharedMemory(name)"),
        ("from multiprocessing import shared_memory as sm", "sm.SharedMemory(name)"),
        ("import multiprocessing.shared_memory", "multiprocessing.shared_memory.SharedMemory(name)"),
    ],
)
def test_an_attach_becomes_the_runtimes(tmp_path: Path, imported: str, call: str) -> None:
    line, made = "from multiprocessing.shared_memory import SharedMemory", "SharedMemory(name, True, 8)"
    maker = call.partition("(")[0]
    text = ATTACH.replace(line, imported).replace(made, f"{maker}(name, True, 8)")
    before = text.replace("SharedMemory(name{0})", call)
    after = attached_in(tmp_path, before)
    assert ast.parse(after)
    assert "return attach(name)\n" in after
    assert after.count("import attach") == 1
    assert after.replace("from rslint_runtime import attach\n", "").replace("attach(name)", call) == before
    assert attached_in(tmp_path, after) == after


def test_the_projects_own_copy_of_the_runtime_is_imported(tmp_path: Path) -> None:
    pyproject = f'{RUNTIME}runtime-module = "ours.rank_safety"\n'
    assert "from ours.rank_safety import attach\n" in attached_in(tmp_path, ATTACH.format(""), pyproject)


def test_where_every_python_knows_it_track_false_is_safe_in_either_style(tmp_path: Path) -> None:
    after = attached_in(tmp_path, ATTACH.format(""), f'{RUNTIME}target-version = "3.13"\n')
    assert after == ATTACH.format(", track=False")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RANK =", "def attach(): ...\n\n\nRANK ="),
        ("RANK =", "from hooks import attach\n\nRANK ="),
        ("RANK =", "from hooks import *\n\nRANK ="),
        ("def table(name):", "def table(name, attach=True):"),
        ("RANK =", "class Own(SharedMemory):\n    pass\n\n\nRANK ="),
        ("RANK =", "def known(shm):\n    return isinstance(shm, (bytes, SharedMemory))\n\n\nRANK ="),
        ("RANK =", "def known(shm):\n    return type(shm) is SharedMemory\n\n\nRANK ="),
        ("RANK =", "def file_of(shm):\n    return shm._fd\n\n\nRANK ="),
        ("SharedMemory(name{0})", "SharedMemory(name, size=SIZES[name])"),
        ("SharedMemory(name{0})", "SharedMemory(**{{'name': name}})"),
        ("SharedMemory(name{0})", "SharedMemory(\n            name  # the table\n        )"),
    ],
    ids=[
        "a function", "an import", "a star", "a parameter", "a subclass", "isinstance", "type", "private", "a size",
        "keywords", "a comment",
    ],
)  # fmt: skip
def test_where_the_runtimes_attach_may_not_do_as_well_it_is_not_offered(old: str, new: str) -> None:
    text = ATTACH.replace(old, new).format("")
    assert text != ATTACH.format("")
    assert not is_offered(text)


def test_a_method_of_that_name_is_no_hindrance() -> None:
    assert is_offered(ATTACH.format(""))
    assert is_offered(ATTACH.format("") + "\n\nclass Table:\n    def attach(self): ...\n")


def is_offered(text: str) -> bool:
    """Whether the attach in the handler can become the runtime's."""
    (handler,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler)]
    (call,) = [node for node in ast.walk(handler) if isinstance(node, ast.Call) and node.end_lineno]
    place = Place(
        "/p/m.py", call.lineno, call.col_offset + 1, call.end_lineno or 0, (call.end_col_offset or 0) + 1
    )
    finding = Finding("RS302", "n", Severity.WARNING, Confidence.HIGH, "m", place, "f", (1, 1))
    return attached(text, finding, "rslint_runtime") is not None

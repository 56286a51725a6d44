"""The one-file form of the runtime library: what it is made of, what its modules must keep, how parts are taken."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rslint.shim.generate import generated, joined
from rslint.shim.one_file_form import FormError, defined, header_of, parts_of, read, used, written
from rslint.shim.vendor import CARRIED

RUNTIME = Path(__file__).parents[2] / "runtime_shim"
CARRIED_TEXT = CARRIED.read_text(encoding="utf-8")
PARTS = [section.name for section in read(CARRIED_TEXT).sections]
in_the_tree = pytest.mark.skipif(
    not RUNTIME.is_dir(), reason="the wheel has no sources of the runtime library"
)

FIRST = '''\
"""Says hello."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["hello"]

# Who is greeted.
NAME = "you"


def hello(tensor: Tensor | None = None) -> Any:
    """Greets."""
    return f"hello {NAME} {sys.maxsize > 1}"
'''
SECOND = '''\
"""Says it twice."""

from __future__ import annotations

from rslint_runtime.first import hello

__all__ = ["twice"]


def twice() -> str:
    return f"{hello()}, {hello()}"
'''


def one_file(**sources: str) -> str:
    return written(joined(sources, "1.2.3", "MIT License\n\nNo warranty.\n", "What it is."))


def names_of(text: str) -> dict[str, Any]:
    """What the file binds when it is imported."""
    module = ModuleType("vendored")
    sys.modules["vendored"] = module  # dataclasses look themselves up there
    try:
        exec(compile(text, "vendored.py", "exec"), vars(module))
    finally:
        del sys.modules["vendored"]
    return vars(module)


@in_the_tree
def test_what_the_wheel_carries_is_what_the_sources_make() -> None:
    assert written(generated(RUNTIME)) == CARRIED_TEXT, (
        "renew it: python -m rslint.shim.generate runtime_shim"
    )


@in_the_tree
def test_everything_that_the_package_exports_is_in_the_file() -> None:
    package = ast.parse((RUNTIME / "rslint_runtime" / "__init__.py").read_text(encoding="utf-8"))
    (exports,) = (
        ast.literal_eval(statement.value)
        for statement in package.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
    )
    functions = {name for section in read(CARRIED_TEXT).sections for name in section.exports}
    assert {name for name in exports if name not in PARTS} <= functions


def test_the_first_lines_say_version_parts_and_licence() -> None:
    header = header_of(CARRIED_TEXT)
    assert header is not None
    assert header.untouched
    assert header.parts == tuple(PARTS)
    head = CARRIED_TEXT.partition('"""')[0]
    assert "MIT License" in head
    assert "WITHOUT WARRANTY OF ANY KIND" in head


def test_modules_follow_what_they_need_and_share_their_imports() -> None:
    text = one_file(second=SECOND, first=FIRST)
    assert text.index("# ==== first") < text.index("# ==== second")
    assert "rslint_runtime" not in text.partition("\n")[2].partition('"""What')[2]
    assert "# Who is greeted.\nNAME" in text
    assert names_of(text)["twice"]() == "hello you True, hello you True"
    assert names_of(text)["__all__"] == ["hello", "twice"]


def test_the_form_can_be_read_back() -> None:
    for text in (CARRIED_TEXT, one_file(first=FIRST, second=SECOND)):
        assert written(read(text)) == text


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            SECOND.replace("from rslint_runtime.first import hello", "import rslint_runtime.first"),
            "write `from",
        ),
        (SECOND.replace("from rslint_runtime.first", "from .first"), "write `from"),
        (SECOND.replace("import hello", "import hello as greet"), "write `from"),
        (SECOND.replace("    return", "    from rslint_runtime.first import NAME\n    return"), "at the top"),
        (SECOND.replace("__all__", "NAMES"), "`__all__` are needed"),
        (SECOND.replace("from __future__ import annotations\n", ""), "are needed"),
        (SECOND + "\nNAME = 1\n", "the name NAME is taken by first"),
        (SECOND + "\nif __debug__:\n    NAME = 1\n", "the name NAME is taken by first"),
        (SECOND.replace("__all__", "from os import path as sys\n\n__all__"), "another meaning"),
        (SECOND + "\nsys = 1\n", "the name sys is taken by an import"),
        (SECOND.replace(".first", ".third"), "third is no module"),
    ],
)
def test_a_module_that_breaks_a_rule_is_named(module: str, message: str) -> None:
    with pytest.raises(FormError, match=message) as raised:
        one_file(first=FIRST, second=module)
    assert str(raised.value).startswith("second")


def test_modules_that_need_each_other_are_refused() -> None:
    first = FIRST.replace("import sys\n", "import sys\nfrom rslint_runtime.second import twice\n")
    with pytest.raises(FormError, match="imports it in turn"):
        one_file(first=first, second=SECOND)


def test_a_name_inside_a_function_or_comprehension_is_no_name_of_the_module() -> None:
    text = "if __debug__:\n    def f():\n        x = 1\nelse:\n    f = None\ny = [z for z in ()]\n"
    text += "for i in y:\n    j = i\n"
    assert defined(text) == {"f", "y", "i", "j"}


def test_a_type_written_as_text_is_a_use_and_prose_is_none() -> None:
    assert {"Ring", "Any"} <= used('x = cast("Ring[Any]", y)')
    assert "word" not in used('raise ValueError("a word or two")')


@settings(max_examples=25)
@given(wanted=st.lists(st.sampled_from(PARTS), min_size=1, unique=True))
def test_any_parts_are_whole_minimal_and_lose_nothing(wanted: list[str]) -> None:
    whole = read(CARRIED_TEXT)
    part = parts_of(whole, wanted)
    names = [section.name for section in part.sections]
    assert set(wanted) <= set(names)
    assert names == [name for name in PARTS if name in names]
    bound = set().union(*(defined(section.text) for section in part.sections))
    everything = set().union(*(defined(section.text) for section in whole.sections))
    mentioned = set().union(*(used(section.text) for section in part.sections))
    assert not mentioned & (everything - bound)
    assert {one.binds for one in part.imports} <= mentioned | {"TYPE_CHECKING"}
    assert written(read(written(part))) == written(part)
    names_of(written(part))


@given(at=st.integers(CARRIED_TEXT.index("\n") + 1, len(CARRIED_TEXT)), more=st.text(min_size=1, max_size=3))
def test_a_file_to_which_anything_was_added_is_not_untouched(at: int, more: str) -> None:
    header = header_of(CARRIED_TEXT[:at] + more + CARRIED_TEXT[at:])
    assert header is not None
    assert not header.untouched


def test_a_part_can_be_asked_for_by_what_it_exports() -> None:
    whole = read(CARRIED_TEXT)
    assert parts_of(whole, ["memory_fence"]) == parts_of(whole, ["order"])


def test_an_unknown_part_is_named_with_those_there_are() -> None:
    with pytest.raises(FormError, match=r'no part "foo"; there are .*order'):
        parts_of(read(CARRIED_TEXT), ["order", "foo"])


def test_it_runs_without_the_package_without_torch_and_without_any_other(tmp_path: Path) -> None:
    (tmp_path / "rank_safety.py").write_text(CARRIED_TEXT, encoding="utf-8")
    program = (
        "import json, sys, rank_safety as r; r.memory_fence();"
        "value = r.broadcast_result(lambda: 7, src=0);"
        "print(json.dumps([value, [m for m in ('torch', 'numpy', 'rslint_runtime') if m in sys.modules]]))"
    )
    command = [sys.executable, "-S", "-E", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [7, []]


def test_no_line_is_too_long_for_the_eye_and_no_blank_lines_pile_up() -> None:
    assert max(map(len, CARRIED_TEXT.splitlines())) <= 122  # a docstring of the house, as comment
    blank = [
        len(list(run)) for empty, run in itertools.groupby(CARRIED_TEXT.splitlines(), key=bool) if not empty
    ]
    assert max(blank) == 2

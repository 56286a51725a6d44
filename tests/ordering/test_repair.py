"""The repair of a ring: where its fences go, what they are called, and when none is offered."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rslint_rules.ordering.repair import row_of_fence

from rslint import cli

WRITER = """\
{imports}

def write(segment: SharedMemory, message):
    segment.buf[8:24] = message
    segment.buf[0] = 1


def read(segment: SharedMemory):
    while not segment.buf[0]:
        pass
    return bytes(segment.buf[8:24])
"""
IMPORT = "from multiprocessing.shared_memory import SharedMemory\n"


def repaired(folder: Path, source: str, settings: str = "") -> str:
    """The file after `--fix --unsafe-fixes`; applying it again changes nothing."""
    (folder / "pyproject.toml").write_text(f"[tool.rslint]\n{settings}", encoding="utf-8")
    path = folder / "m.py"
    path.write_bytes(source.encode())
    cli.main(["check", "--fix", "--unsafe-fixes", "--exit-zero", str(path)])
    once = path.read_bytes()
    cli.main(["check", "--fix", "--unsafe-fixes", "--exit-zero", str(path)])
    assert path.read_bytes() == once
    return once.decode()


def fenced(definition: str, imports: str) -> str:
    source = WRITER.format(imports=imports + definition)
    source = source.replace("    segment.buf[0] = 1", "    memory_fence()\n    segment.buf[0] = 1")
    return source.replace("    return bytes", "    memory_fence()\n    return bytes")


INLINE = '''
_fence_lock = threading.Lock()


def memory_fence():
    """Orders all accesses before it before all behind it: taking and giving back a lock are atomic operations."""
    with _fence_lock:
        pass
'''


def test_inline_the_fence_is_a_lock_of_the_file(tmp_path: Path) -> None:
    assert repaired(tmp_path, WRITER.format(imports=IMPORT)) == fenced(INLINE, "import threading\n" + IMPORT)


def test_threading_is_imported_once(tmp_path: Path) -> None:
    imports = "import os\nimport threading\n" + IMPORT
    assert repaired(tmp_path, WRITER.format(imports=imports)) == fenced(INLINE, imports)


def test_with_the_runtime_it_is_imported(tmp_path: Path) -> None:
    after = repaired(tmp_path, WRITER.format(imports=IMPORT), 'fix-style = "runtime"\n')
    assert after == fenced("", IMPORT + "from rslint_runtime import memory_fence\n")


def test_a_vendored_runtime_is_imported_from_where_it_is(tmp_path: Path) -> None:
    settings = 'fix-style = "runtime"\nruntime-module = "ours.rank_safety"\n'
    after = repaired(tmp_path, WRITER.format(imports=IMPORT), settings)
    assert after == fenced("", IMPORT + "from ours.rank_safety import memory_fence\n")


@pytest.mark.parametrize(
    "imports",
    [
        "from ours import memory_fence\n" + IMPORT,
        IMPORT + "\n\ndef memory_fence():\n    with LOCK:\n        pass\n",
    ],
)
def test_a_fence_that_the_file_has_is_used(tmp_path: Path, imports: str) -> None:
    assert repaired(tmp_path, WRITER.format(imports=imports)) == fenced("", imports)


@pytest.mark.parametrize(
    "imports",
    [
        IMPORT + "memory_fence = None\n",
        IMPORT + "class memory_fence:\n    pass\n",
        IMPORT + "_fence_lock = None\n",
        IMPORT + "from ours import threads as threading\n",
    ],
)
def test_where_a_name_is_taken_nothing_is_offered(tmp_path: Path, imports: str) -> None:
    source = WRITER.format(imports=imports)
    assert repaired(tmp_path, source) == source


def test_where_there_is_no_line_for_a_fence_nothing_is_offered(tmp_path: Path) -> None:
    source = WRITER.format(imports=IMPORT).replace(
        "    segment.buf[8:24] = message\n    segment.buf[0] = 1\n",
        "    segment.buf[8:24] = message; segment.buf[0] = 1\n",
    )
    assert repaired(tmp_path, source) == source


def test_line_ends_are_kept(tmp_path: Path) -> None:
    after = repaired(tmp_path, WRITER.format(imports=IMPORT).replace("\n", "\r\n"))
    assert after == fenced(INLINE, "import threading\n" + IMPORT).replace("\n", "\r\n")


def test_several_reads_behind_one_flag_need_one_fence(tmp_path: Path) -> None:
    source = WRITER.format(imports=IMPORT).replace(
        "    return bytes(segment.buf[8:24])\n",
        "    first = bytes(segment.buf[8:16])\n    second = bytes(segment.buf[8:24])\n    return first, second\n",
    )
    after = repaired(tmp_path, source)
    assert "    memory_fence()\n    first = bytes" in after
    assert "    memory_fence()\n    second = bytes" not in after


def test_the_fence_goes_above_comments_and_outside_of_what_only_wraps_the_access(tmp_path: Path) -> None:
    source = WRITER.format(imports=IMPORT).replace(
        "    segment.buf[0] = 1\n",
        "    # now tell them,\n    # all of them\n    for number in range(1):\n        segment.buf[0] = 1\n",
    )
    after = repaired(tmp_path, source)
    assert (
        "    memory_fence()\n    # now tell them,\n    # all of them\n    for number in range(1):\n" in after
    )


NESTED = st.recursive(
    st.just(["late()"]),
    lambda inner: st.tuples(
        st.sampled_from(["for x in y:", "with x as y:", "if x:", "while x:", "try:"]), inner
    ).map(lambda pair: [pair[0], *(f"    {line}" for line in pair[1])]),
    max_leaves=5,
)


@settings(max_examples=60)
@given(block=NESTED, comments=st.integers(0, 2), newline=st.sampled_from(["\n", "\r\n"]))
def test_the_row_found_takes_a_statement_whatever_stands_around(
    block: list[str], comments: int, newline: str
) -> None:
    lines = ["early()", *["# why"] * comments, *block]
    if "try:" in "".join(block):
        lines = textwrap.dedent("\n".join(_with_finally(lines))).split("\n")
    text = newline.join(["def f():", *(f"    {line}" for line in lines), ""])
    late = next(index for index, line in enumerate(text.split(newline), 1) if "late()" in line)
    column = text.split(newline)[late - 1].index("late()")
    row = row_of_fence(ast.parse(text), text, early=2, late=(late, column))
    assert row is not None
    written = text.split(newline)
    before = written[row - 1]
    indent = before[: len(before) - len(before.lstrip())]
    changed = newline.join([*written[: row - 1], f"{indent}fence()", *written[row - 1 :]])
    body = [node for node in ast.walk(ast.parse(changed)) if isinstance(node, ast.Name)]
    order = [node.id for node in sorted(body, key=lambda node: (node.lineno, node.col_offset))]
    assert order.index("early") < order.index("fence") < order.index("late")


def _with_finally(lines: list[str]) -> list[str]:
    """Each `try:` gets its `finally`, behind everything that stands in it."""
    ends = [line[: len(line) - len(line.lstrip())] for line in lines if line.strip() == "try:"]
    return [
        *lines,
        *(part for indent in reversed(ends) for part in (f"{indent}finally:", f"{indent}    pass")),
    ]

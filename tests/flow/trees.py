"""Small projects for the tests of the engine: built from source text, what is expected in comments beside it.

Lines `#| ...` right under a `def` are what is expected of that function, and a trailing `# => ...` is what is
expected of the row it stands on. Every file begins with `import torch.distributed as dist`.
"""

from __future__ import annotations

import ast
import difflib
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from rslint.flow.forest import Forest, Site, child
from rslint.flow.knowledge import Knowledge
from rslint.flow.relevant import compute_effects
from rslint.project.discover import Request, discover
from rslint.project.index import build_index
from rslint.project.links import Links
from rslint.project.project import Project

_UNDER = re.compile(r"^ *#\| ?(.*)$")
_BESIDE = re.compile(r"^(.*?)  # => (.*)$")


def written(folder: Path, files: str | Mapping[str, str]) -> dict[str, str]:
    """Write the files of a project, by default one `m.py`; their texts by module name."""
    named = {"m.py": files} if isinstance(files, str) else files
    (folder / "pyproject.toml").write_text('[project]\nname = "p"\n', encoding="utf-8")
    texts = {}
    for name, body in named.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "import torch.distributed as dist\n" + textwrap.dedent(body)
        path.write_text(text, encoding="utf-8")
        texts[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = text
    return texts


def project_of(folder: Path) -> Project:
    (project,) = discover(Request(paths=(folder,), isolated=True)).projects
    return project


def knowledge_of(folder: Path) -> Knowledge:
    """Links and effects of the project in this folder, before anything is compared."""
    project = project_of(folder)
    knowledge = Knowledge(Links(build_index(project, 1)), project.models)
    compute_effects(knowledge)
    return knowledge


def known(folder: Path, files: str | Mapping[str, str]) -> Knowledge:
    written(folder, files)
    return knowledge_of(folder)


def expected_under(text: str, module: str = "m") -> dict[str, str]:
    """What stands in `#|` lines under each `def`, by the identity of the function."""
    rows = text.splitlines()
    found = {
        identity: "\n".join(_lines_under(rows[row:]))
        for identity, row in _definitions(ast.parse(text), "", module)
    }
    return {identity: expected for identity, expected in found.items() if expected}


def _definitions(node: ast.AST, path: str, module: str) -> Iterator[tuple[str, int]]:
    for inner in ast.iter_child_nodes(node):
        below = path
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            below = f"{path}.{inner.name}" if path else inner.name
            if not isinstance(inner, ast.ClassDef):
                yield f"{module}:{below}", inner.lineno
        yield from _definitions(inner, below, module)


def _lines_under(rows: list[str]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        match = _UNDER.match(row)
        if match is None:
            break
        lines.append(match[1])
    return lines


def expected_beside(text: str) -> dict[int, str]:
    """What stands behind `# =>`, by row."""
    matches = ((row, _BESIDE.match(line)) for row, line in enumerate(text.splitlines(), start=1))
    return {row: match[2] for row, match in matches if match is not None}


def assert_beside(folder: Path, source: str, answer: Callable[[Knowledge, str], dict[int, str]]) -> None:
    """Just the rows with `# =>` are answered, with just what stands there; all other rows have no answer."""
    (text,) = written(folder, source).values()
    k = knowledge_of(folder)
    got: dict[int, str] = {}
    for identity in functions_in(text):
        got |= answer(k, identity)
    left, right = (
        {f"{row:3} {line.strip().partition('  # =>')[0]}": texts.get(row, "") for row, line in _rows(text)}
        for texts in (got, expected_beside(text))
    )
    assert_same(left, right)


def _rows(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines(), start=1))


def functions_in(text: str, module: str = "m") -> list[str]:
    """The identities of the functions and methods of a file, in order."""
    return [identity for identity, _ in _definitions(ast.parse(text), "", module)]


def assert_under(folder: Path, source: str, answer: Callable[[Knowledge, str], str]) -> None:
    """Every function with `#|` lines is answered with just these."""
    (text,) = written(folder, source).values()
    expected = expected_under(text)
    assert expected, "no function says what is expected of it"
    k = knowledge_of(folder)
    assert_same({identity: answer(k, identity) for identity in expected}, expected)


def assert_same(got: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Equal texts, name by name; otherwise the failure shows their difference."""
    left, right = (
        [line for name in sorted(texts) for line in (f"{name}:", *texts[name].splitlines())]
        for texts in (expected, got)
    )
    assert left == right, "\n" + "\n".join(
        difflib.unified_diff(left, right, "expected", "got", "", "", 99, "")
    )


def assert_trees(folder: Path, source: str) -> None:
    """Every function with `#|` lines has just this effect."""
    assert_under(folder, source, effect_of)


def effect_of(k: Knowledge, identity: str) -> str:
    return shown(k.forest, k.effects.get(identity, 0))


def shown(forest: Forest, tree: int) -> str:
    """A tree as text, without sites; loops are numbered in the order in which they are met."""
    return "\n".join(_shown(forest, tree, {}))


def _shown(forest: Forest, tree: int, loops: dict[str, int]) -> list[str]:
    node = forest.node(tree)
    kind = str(node[0])

    def at(position: int) -> list[str]:
        return _shown(forest, child(node, position), loops)

    def inside(position: int) -> list[str]:
        return ["    " + line for line in at(position)]

    if kind in ("return", "raise", "nil"):
        return [kind]
    if kind in ("again", "leave"):
        return [f"{kind} {loops.get(str(node[1]), str(node[1]))}"]
    if kind == "collective":
        return [f"{node[1]} {node[2]}", *at(4)]
    if kind == "call":
        return [f"call {str(node[1]).removeprefix('m:')}:", *inside(2), *at(4)]
    if kind == "if":
        return [f"if {node[1]}:", *inside(2), "else:", *inside(3)]
    if kind == "loop":
        number = loops.setdefault(str(node[1]), len(loops) + 1)
        return [f"loop {number}:", *inside(2), *at(3)]
    assert kind == "yield"
    return ["yield, if it raises:", *inside(3), *at(2)]


# Trees without a forest: nested tuples that look like nodes, with trees in place of indices.

Tree = tuple[Any, ...]
PLACES = {"if": (2, 3), "loop": (2, 3), "yield": (2, 3), "collective": (4,), "call": (2, 4)}


def interned(forest: Forest, tree: Tree) -> int:
    places = PLACES.get(tree[0], ())
    parts = (interned(forest, part) if i in places else part for i, part in enumerate(tree))
    return forest.make(tuple(parts))


def unfolded(forest: Forest, tree: int) -> Tree:
    """The inverse of `interned`, but for choices between equal trees."""
    node = forest.node(tree)
    places = PLACES.get(str(node[0]), ())
    return tuple(unfolded(forest, child(node, i)) if i in places else part for i, part in enumerate(node))


def random_trees() -> st.SearchStrategy[Tree]:
    sites = st.builds(Site, st.just("m:f"), st.integers(1, 3), st.just(0), st.just(1), st.just(9))
    conditions, loops = st.sampled_from(["a", "b"]), st.sampled_from(["m:f:1:0", "m:f:2:0"])
    operations, axes = st.sampled_from(["all_reduce", "barrier"]), st.sampled_from(["world", "tp", "?"])
    leaves = st.one_of(
        st.sampled_from([("return",), ("raise",)]),
        st.tuples(st.sampled_from(["again", "leave"]), loops),
    )

    def larger(tree: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.one_of(
            st.tuples(st.just("collective"), operations, axes, sites, tree),
            st.tuples(st.just("call"), st.sampled_from(["m:f", "m:g"]), tree, sites, tree),
            st.tuples(st.just("if"), conditions, tree, tree),
            st.tuples(st.just("loop"), loops, tree, tree),
            st.tuples(st.just("yield"), sites, tree, tree),
        )

    return st.recursive(leaves, larger, max_leaves=12)

"""What a project is: its root, its files, its modules; what is reported; what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from rslint.project.discover import Discovered, Request, discover
from tests.faces.support import write


def found(tree: Path, *paths: str, **options: object) -> Discovered:
    named = tuple(tree / path for path in paths) or (tree,)
    return discover(Request(named, **options))  # type: ignore[arg-type]


def names(tree: Path, files: Iterable[Path]) -> list[str]:
    return sorted(os.path.relpath(path, tree) for path in files)


def known(tree: Path, discovered: Discovered) -> dict[str, list[str]]:
    """The files of each project by its root, both relative."""
    return {
        os.path.relpath(project.root, tree): names(tree, (file.path for file in project.files))
        for project in discovered.projects
    }


def modules(tree: Path, *paths: str) -> dict[str, str]:
    return {
        os.path.relpath(file.path, tree): file.module
        for project in found(tree, *paths).projects
        for file in project.files
    }


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder without a marker above it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Roots ------------------------------------------------------------------------------------------------------


def test_the_whole_root_is_known_and_paths_are_reported(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "a.py": "", "sub/b.py": "", "sub/deep/c.py": "", "data.txt": ""})
    done = found(tree, "sub/b.py")
    assert known(tree, done) == {".": ["a.py", "sub/b.py", "sub/deep/c.py"]}
    assert names(tree, done.reported) == ["sub/b.py"]
    assert names(tree, found(tree, "sub").reported) == ["sub/b.py", "sub/deep/c.py"]


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ({"pyproject.toml": "[tool.rslint]\n", "in/pyproject.toml": "", "in/a/.git/HEAD": ""}, "."),
        ({"pyproject.toml": "", "in/a/.git/HEAD": ""}, "."),
        ({"pyproject.toml": "", "in/pyproject.toml": ""}, "in"),
        ({"pyproject.toml": "", "in/pyproject.toml": "[tool]\nrslint = {}\n"}, "in"),
        ({".git/HEAD": "", "in/.git": "gitdir: elsewhere"}, "in"),
        ({".git/HEAD": ""}, "."),
        ({"in/__init__.py": "", "in/a/__init__.py": ""}, "."),
        ({"in/__init__.py": "", "in/note.txt": ""}, "."),
        ({}, "in/a"),
    ],
    ids=[
        "table-beats-nearer-pyproject", "pyproject-beats-nearer-git", "nearest-pyproject", "nearest-table",
        "nearest-git", "git", "above-packages", "above-a-gap-in-a-package", "nearest-folder",
    ],
)  # fmt: skip
def test_roots(files: dict[str, str], root: str, tree: Path) -> None:
    write(tree, {**files, "in/a/x.py": ""})
    (project,) = found(tree, "in/a/x.py").projects
    assert os.path.relpath(project.root, tree) == root


def test_several_roots_in_one_run_are_several_projects(tree: Path) -> None:
    write(tree, {"a/pyproject.toml": "", "a/x.py": "", "b/pyproject.toml": "", "b/y.py": ""})
    assert known(tree, found(tree)) == {"a": ["a/x.py"], "b": ["b/y.py"]}
    assert known(tree, found(tree, "a/x.py", "b/y.py")) == {"a": ["a/x.py"], "b": ["b/y.py"]}


def test_a_nested_project_is_no_part_of_the_outer_one(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "x.py": "", "in/pyproject.toml": "", "in/y.py": ""})
    done = found(tree)
    assert known(tree, done) == {".": ["x.py"], "in": ["in/y.py"]}
    assert names(tree, done.reported) == ["in/y.py", "x.py"]
    assert known(tree, found(tree, "x.py")) == {".": ["x.py"]}


def test_without_a_marker_neighbouring_folders_are_no_part_of_the_project(tree: Path) -> None:
    write(tree, {"x.py": "", "pkg/__init__.py": "", "pkg/sub/y.py": "", "other/z.py": ""})
    assert known(tree, found(tree, "x.py")) == {".": ["pkg/__init__.py", "pkg/sub/y.py", "x.py"]}
    assert known(tree, found(tree, "pkg/sub/y.py")) == {".": ["pkg/__init__.py", "pkg/sub/y.py", "x.py"]}


def test_without_a_marker_a_named_folder_is_one_project(tree: Path) -> None:
    write(tree, {"x.py": "", "other/z.py": "", "other/deep/w.py": ""})
    assert known(tree, found(tree)) == {".": ["other/deep/w.py", "other/z.py", "x.py"]}


def test_stdin_joins_the_project_of_its_name(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "a.py": ""})
    done = found(tree, "sub/new.py", overrides={tree / "sub/new.py": b"x = 1\n"})
    assert known(tree, done) == {".": ["a.py", "sub/new.py"]}
    assert done.projects[0].overrides == {tree / "sub/new.py": b"x = 1\n"}


# What is left out -------------------------------------------------------------------------------------------


def test_what_is_not_the_projects_own_source(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "a.py": "", "env/pyvenv.cfg": "", "env/lib/b.py": ""})
    for folder in ("build", "dist", ".venv", "node_modules", "__pycache__", "x/site-packages", ".tox"):
        write(tree, {f"{folder}/b.py": ""})
    write(tree, {".gitignore": "gen*\n!generator.py\n/top.py\n", "generated/c.py": "", "gen.py": ""})
    write(
        tree, {"generator.py": "", "top.py": "", "sub/top.py": "", "sub/.gitignore": "d.py\n", "sub/d.py": ""}
    )
    assert known(tree, found(tree)) == {".": ["a.py", "generator.py", "sub/top.py"]}


def test_ignore_files_above_the_root_count_up_to_the_repository(tree: Path) -> None:
    write(tree, {".gitignore": "a.py\n", "repo/.git/HEAD": "", "repo/.gitignore": "gen.py\n"})
    write(tree, {"repo/py/pyproject.toml": "", "repo/py/a.py": "", "repo/py/gen.py": ""})
    assert known(tree, found(tree, "repo/py")) == {"repo/py": ["repo/py/a.py"]}


def test_an_ignored_checkout_is_not_ignored_by_its_own_run(tree: Path) -> None:
    write(
        tree, {".git/HEAD": "", ".gitignore": "vendor/\n", "vendor/p/pyproject.toml": "", "vendor/p/a.py": ""}
    )
    assert known(tree, found(tree, "vendor/p")) == {"vendor/p": ["vendor/p/a.py"]}


@pytest.mark.parametrize("named", ["build/lib", "build/lib/x.py"])
def test_an_excluded_path_that_is_named_is_its_own_root(named: str, tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "a.py": "", "build/lib/x.py": ""})
    done = found(tree, named)
    assert known(tree, done) == {"build/lib": ["build/lib/x.py"]}
    assert names(tree, done.reported) == ["build/lib/x.py"]
    forced = found(tree, named, force_exclude=True)
    assert (known(tree, forced), forced.reported) == ({}, frozenset())


def test_excludes_of_the_configuration_are_relative_to_it(tree: Path) -> None:
    write(tree, {"pyproject.toml": "[tool.rslint]\nextend-exclude = ['/sub/a.py', '*_pb2.py']\n"})
    write(tree, {"sub/a.py": "", "a.py": "", "sub/b.py": "", "sub/x_pb2.py": ""})
    assert known(tree, found(tree)) == {".": ["a.py", "sub/b.py"]}


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_links_are_followed_out_of_the_project_only(tree: Path) -> None:
    write(tree, {"p/pyproject.toml": "", "p/a.py": "", "p/sub/b.py": "", "shared/c.py": "", "one.py": ""})
    (tree / "p/linked").symlink_to("../shared")
    (tree / "p/again").symlink_to("sub")
    (tree / "p/one.py").symlink_to("../one.py")
    (tree / "p/same.py").symlink_to("a.py")
    assert known(tree, found(tree, "p")) == {"p": ["p/a.py", "p/linked/c.py", "p/one.py", "p/sub/b.py"]}


# Modules ----------------------------------------------------------------------------------------------------


def test_modules_by_layout(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "src/pkg/__init__.py": "", "src/pkg/a.py": "", "src/ns/b.py": ""})
    write(tree, {"python/lib/__init__.py": "", "python/lib/sub/c.py": "", "tests/d.py": "", "e.py": ""})
    assert modules(tree) == {
        "e.py": "e",
        "python/lib/__init__.py": "lib",
        "python/lib/sub/c.py": "lib.sub.c",
        "src/ns/b.py": "ns.b",
        "src/pkg/__init__.py": "pkg",
        "src/pkg/a.py": "pkg.a",
        "tests/d.py": "tests.d",
    }


def test_namespace_packages_by_what_the_sources_import(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "ns/pkg/__init__.py": "", "ns/pkg/a.py": "from ns.pkg import b\n"})
    assert modules(tree)["ns/pkg/a.py"] == "ns.pkg.a"
    write(tree, {"ns/pkg/a.py": "from pkg import b\n"})
    assert modules(tree)["ns/pkg/a.py"] == "pkg.a"


def test_declared_source_roots(tree: Path) -> None:
    write(tree, {"pyproject.toml": "[tool.rslint]\nsrc = ['lib/python']\n", "lib/python/ns/a.py": ""})
    assert modules(tree) == {"lib/python/ns/a.py": "ns.a"}


def test_a_root_that_is_a_package_itself(tree: Path) -> None:
    write(tree, {"nodes/pyproject.toml": "", "nodes/__init__.py": "", "nodes/sub/a.py": ""})
    assert modules(tree, "nodes") == {"nodes/__init__.py": "nodes", "nodes/sub/a.py": "nodes.sub.a"}


def test_module_names_are_unique(tree: Path) -> None:
    write(tree, {"pyproject.toml": "", "a.py": "", "a/__init__.py": "", "src/b.py": "", "b.py": ""})
    given = modules(tree)
    assert len(set(given.values())) == 4
    assert (given["a/__init__.py"], given["a.py"]) == ("a", "a.py")


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_the_order_of_paths_changes_nothing(order: Sequence[str], tree: Path) -> None:
    write(tree, {"a/pyproject.toml": "", "a/x.py": "", "b/y.py": "", "b/c/z.py": ""})
    done = found(tree, *order)
    assert known(tree, done) == {"a": ["a/x.py"], "b": ["b/c/z.py", "b/y.py"]}

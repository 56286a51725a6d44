"""What an installed rslint offers is found where others look for it: by its console script, flake8 and itself."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files

import pytest

from rslint.proof.find import shipped_fixtures
from rslint.registry import load_rules
from rslint.shim.vendor import library


@pytest.mark.parametrize(
    ("group", "name", "target"),
    [
        ("console_scripts", "rslint", "rslint.cli:run"),
        ("flake8.extension", "RS", "rslint.flake8_plugin:Plugin"),
        ("rslint.rules", "rslint_rules", "rslint_rules:rules"),
    ],
)
def test_an_entry_point_is_there_and_loads(group: str, name: str, target: str) -> None:
    found = {entry.value for entry in entry_points(group=group) if entry.name == name}
    assert found == {target}
    (entry,) = {entry for entry in entry_points(group=group) if entry.name == name}
    assert callable(entry.load())


def test_the_rules_are_found_as_a_third_partys_would_be() -> None:
    assert {rule.code for rule in load_rules()} >= {
        "RS101",
        "RS102",
        "RS103",
        "RS105",
        "RS106",
        "RS201",
        "RS202",
        "RS203",
        "RS204",
        "RS206",
        "RS207",
        "RS208",
        "RS301",
        "RS302",
        "RS303",
        "RS304",
        "RS305",
        "RS306",
        "RS900",
        "RS901",
    }


@pytest.mark.parametrize("package", ["rslint", "rslint_rules"])
def test_types_are_shipped(package: str) -> None:
    assert files(package).joinpath("py.typed").is_file()


def test_models_are_shipped() -> None:
    names = {entry.name for entry in files("rslint").joinpath("models").iterdir()}
    assert {"torch.toml", "rslint_runtime.toml"} <= names


def test_fixtures_are_shipped() -> None:
    assert (shipped_fixtures() / "RS101" / "prefix-lookup-swallowed" / "case.toml").is_file()
    assert not list(shipped_fixtures().glob("*.py"))


def test_the_runtime_library_is_shipped_as_one_file() -> None:
    assert {"broadcast_result", "memory_fence"} <= {
        name for part in library().sections for name in part.exports
    }
